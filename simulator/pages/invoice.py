"""The hosted invoice: what it says, paying it, and a receipt to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.hosted import checkout, invoices
from simulator.pages import api, card_form, html, three_d_secure, words
from simulator.pages.html import esc
from simulator.pages.pdf import one_page

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor

Json = dict[str, Any]


def show(door: FrontDoor, invoice_id: str, given: dict[str, str]) -> Answer:
    """The invoice, with a card form while it is open."""
    sentence = three_d_secure.SENTENCES.get(given.get("authentication", ""))
    trouble = html.problem("The payment did not go through.", sentence) if sentence else ""
    return _page(door, invoice_id, given, trouble)


def submit(door: FrontDoor, invoice_id: str, given: dict[str, str]) -> Answer:
    """Pay it with the card typed."""
    invoice = _invoice(door, invoice_id)
    if invoice is None or invoice["status"] != "open":
        return _page(door, invoice_id, given, "")
    try:
        card = card_form.read(given).as_card()
    except card_form.Incomplete as incomplete:
        trouble = html.problem("The card cannot be read.", str(incomplete), field=incomplete.field)
        return _page(door, invoice_id, given, trouble, wrong=incomplete.field, status=422)
    try:
        outcome = invoices.pay_hosted(door.simulator, invoice_id, card=card)
    except checkout.NotOpen:  # Another tab was quicker.
        return html.see_other(f"/i/{invoice_id}")
    if outcome.status == "requires_action":
        return html.see_other(f"/3ds/{outcome.intent}")
    if outcome.status == "declined":
        sentence = f"{outcome.message} Nothing was charged. Try again, or use another card."
        trouble = html.problem("The payment did not go through.", sentence)
        return _page(door, invoice_id, given, trouble, wrong="number", status=402)
    return html.see_other(f"/i/{invoice_id}")


def pdf(door: FrontDoor, invoice_id: str, given: dict[str, str]) -> Answer:
    """The same as a one-page PDF."""
    invoice = _invoice(door, invoice_id)
    if invoice is None:
        return _unknown()
    lines = [f"Invoice {_number(invoice)}", f"Made {words.day(invoice['created'])}, {invoice['status']}", ""]
    lines += [f"{said}:  {amount}" for said, amount in _rows(invoice)]
    lines += ["", "This is a simulation: no money moved."]
    name = f"{_number(invoice)}.pdf"
    headers = {"Content-Type": "application/pdf", "Content-Disposition": f'inline; filename="{name}"'}
    return 200, headers, one_page(lines)


def _page(
    door: FrontDoor,
    invoice_id: str,
    given: dict[str, str],
    trouble: str,
    *,
    wrong: str | None = None,
    status: int = 200,
) -> Answer:
    invoice = _invoice(door, invoice_id)
    if invoice is None:
        return _unknown()
    rows = _rows(invoice)
    paying = ""
    if invoice["status"] == "open":
        paying = f"""
<section class="card" aria-labelledby="paying"><h2 id="paying">Pay this invoice</h2>{trouble}
<form method="post" action="/i/{esc(invoice_id)}" class="stack" novalidate>
{card_form.fields(given, wrong=wrong)}
<button class="btn go">Pay {esc(words.money(invoice["amount_remaining"], invoice["currency"]))}</button>
</form></section>"""
    body = f"""
<div class="two"><section class="card"><h1>Invoice {esc(_number(invoice))}</h1>
<p class="row"><span class="tag">{esc(invoice["status"])}</span>
<span>for {esc(invoice["customer_email"] or invoice["customer"])}, {words.day(invoice["created"])}</span></p>
{html.receipt(rows[:-1], rows[-1])}
<p><a href="/i/{esc(invoice_id)}/pdf">Download as PDF</a></p></section>{paying}</div>"""
    return html.page(f"Invoice {_number(invoice)}", body, status=status)


def _rows(invoice: Json) -> list[tuple[str, str]]:
    currency, lines = invoice["currency"], invoice["lines"]["data"]
    rows = [(line["description"] or "Item", words.money(line["amount"], currency)) for line in lines]
    off = sum(discount["amount"] for discount in invoice["total_discount_amounts"] or [])
    if off:
        rows.append(("Discount", words.money(-off, currency)))
    rows.append(("Total", words.money(invoice["total"], currency)))
    rows.append(("Paid", words.money(invoice["amount_paid"], currency)))
    rows.append(("Still to pay", words.money(invoice["amount_remaining"], currency)))
    return rows


def _number(invoice: Json) -> str:
    return str(invoice["number"] or invoice["id"])


def _invoice(door: FrontDoor, invoice_id: str) -> Json | None:
    try:
        return api.get(door.simulator, f"/v1/invoices/{invoice_id}")
    except api.Refused:
        return None


def _unknown() -> Answer:
    return html.message(
        "There is no such invoice", "The link is wrong, or the simulator was reset.", status=404
    )
