"""The receipt of one charge, at the address its `receipt_url` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.pages import api, html, words
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor


def show(door: FrontDoor, charge_id: str, given: dict[str, str]) -> Answer:
    """What was paid, with which card, and what of it came back."""
    try:
        charge = api.get(door.simulator, f"/v1/charges/{charge_id}")
    except api.Refused:
        sentence = "The link is wrong, or the simulator was reset."
        return html.message("There is no such receipt", sentence, status=404)
    currency = charge["currency"]
    rows = [(charge["description"] or "Payment", words.money(charge["amount"], currency))]
    if charge["amount_refunded"]:
        rows.append(("Refunded", words.money(-charge["amount_refunded"], currency)))
    kept = words.money(charge["amount"] - charge["amount_refunded"], currency)
    card = words.card(charge["payment_method_details"])
    body = f"""
<section class="card"><h1>Receipt</h1><p>{esc(words.day(charge["created"]))}, {esc(card)}</p>
{html.receipt(rows, ("Paid", kept))}</section>"""
    return html.page("Receipt", body)
