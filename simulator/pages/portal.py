"""The customer portal: the plan, ending it, taking that back, the card, the invoices, the way home."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.billing_engine import money
from simulator.errors import StripeError
from simulator.hosted import portal
from simulator.pages import api, card_form, html, three_d_secure, words
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer, Simulator
    from simulator.front_door import FrontDoor

Json = dict[str, Any]
Form = dict[str, str]

# The words of `cancellation_details.feedback` (docs.stripe.com/api/subscriptions/object), as people say them.
REASONS = (
    ("too_expensive", "It costs too much"),
    ("missing_features", "Something is missing"),
    ("switched_service", "I use something else now"),
    ("unused", "I do not use it enough"),
    ("too_complex", "It is too complicated"),
    ("low_quality", "It does not work well enough"),
    ("customer_service", "The help was not good enough"),
    ("other", "Something else"),
)
DONE = {
    "canceled": "Your subscription ends with the period you have paid for.",
    "ended": "Your subscription has ended.",
    "resumed": "Your subscription goes on.",
    "card": "Your card was changed.",
}


def show(door: FrontDoor, session_id: str, given: Form) -> Answer:
    """The portal; `?cancel=sub_…` and `?card=1` open those steps."""
    sentence = three_d_secure.SENTENCES.get(given.get("authentication", ""))
    trouble = (
        html.problem("The card was not saved.", f"{sentence} The card you had stays.") if sentence else ""
    )
    return _page(door.simulator, session_id, given, trouble)


def submit(door: FrontDoor, session_id: str, given: Form) -> Answer:
    """Cancel, resume, or change the card; then the portal again, or where the flow leads."""
    sim = door.simulator
    try:
        session = portal.need(sim, session_id)
    except StripeError:
        return _unknown()
    act, subscription = given.get("act"), given.get("subscription", "")
    try:
        if act == "cancel":
            portal.cancel(sim, session_id, subscription, reason=given.get("reason") or None)
            return _done(session, session_id, "canceled")
        if act == "resume":
            portal.resume(sim, session_id, subscription)
            return _done(session, session_id, "resumed")
        if act == "card":
            outcome = portal.change_card(sim, session_id, card_form.read(given).as_card())
            if outcome.status == "declined":
                sentence = f"{outcome.message} The card you had stays. Use another one."
                trouble = html.problem("The card was not saved.", sentence)
                return _page(sim, session_id, given | {"card": "1"}, trouble, wrong="number", status=402)
            if outcome.status == "requires_action":
                return html.see_other(f"/3ds/{outcome.intent}")
            return _done(session, session_id, "card")
    except card_form.Incomplete as incomplete:
        trouble = html.problem("The card cannot be read.", str(incomplete), field=incomplete.field)
        return _page(sim, session_id, given | {"card": "1"}, trouble, wrong=incomplete.field, status=422)
    except StripeError as refused:
        trouble = html.problem("That did not work.", refused.message)
        return _page(sim, session_id, given | {"done": " "}, trouble, status=402)
    return html.message("There is no such button", "Go back to the portal.", status=404)


def _done(session: Json, session_id: str, what: str) -> Answer:
    after = ((session.get("flow") or {}).get("after_completion") or {}).get("redirect") or {}
    return html.see_other(after.get("return_url") or f"/p/session/{session_id}?done={what}")


def _page(
    sim: Simulator, session_id: str, given: Form, trouble: str, *, wrong: str | None = None, status: int = 200
) -> Answer:
    try:
        session = portal.need(sim, session_id)
    except StripeError:
        return _unknown()
    step = _step(session, given)
    if step == "cancel":
        body = _cancel_step(sim, session, given)
    elif step == "card":
        body = _card_step(session, given, wrong)
    else:
        body = _overview(sim, session)
    done = f'<p class="note" role="status">{DONE[given["done"]]}</p>' if given.get("done") in DONE else ""
    after = ((session.get("flow") or {}).get("after_completion") or {}).get("redirect") or {}
    leads_to = (session["return_url"], after.get("return_url"))
    home = (
        f'<p><a href="{esc(session["return_url"])}">Return to the shop</a></p>'
        if session["return_url"]
        else ""
    )
    return html.page("Your subscription", trouble + done + body + home, status=status, leads_to=leads_to)


def _step(session: Json, given: Form) -> str:
    if given.get("cancel"):
        return "cancel"
    if given.get("card"):
        return "card"
    flow = (session.get("flow") or {}).get("type")
    if given.get("done"):
        return ""
    if flow == "subscription_cancel":
        given["cancel"] = session["flow"]["subscription_cancel"]["subscription"]
        return "cancel"
    return "card" if flow == "payment_method_update" else ""


def _overview(sim: Simulator, session: Json) -> str:
    customer = api.get(sim, f"/v1/customers/{session['customer']}", expand=(DEFAULT_CARD,))
    found = api.get(sim, "/v1/subscriptions", customer=session["customer"], status="all")["data"]
    ids = [it["id"] for it in found if it["status"] not in ("canceled", "incomplete_expired")]
    live = [api.get(sim, f"/v1/subscriptions/{name}", expand=SHOWN) for name in ids]
    cards = (
        "".join(_subscription(sim, session, it) for it in live)
        or '<p class="card">You have no subscription.</p>'
    )
    method = customer["invoice_settings"]["default_payment_method"] or next(
        (it["default_payment_method"] for it in live if it["default_payment_method"]), None
    )
    return f"""<h1>Your subscription</h1>{cards}
<section class="card"><h2>Card</h2><p>{esc(words.card(method))}</p>
<p><a class="btn" href="?card=1">Change card</a></p></section>
{_invoices(sim, session)}"""


DEFAULT_CARD = "invoice_settings.default_payment_method"
SHOWN = ("items.data.price.product", "default_payment_method")


def _subscription(sim: Simulator, session: Json, found: Json) -> str:
    rows = [
        words.line(item["price"]["product"]["name"], item["price"], item.get("quantity"), _cost(sim, item))
        for item in found["items"]["data"]
    ]
    ends = min((it["current_period_end"] for it in found["items"]["data"]), default=None)
    is_ending = bool(found["cancel_at_period_end"] or found["cancel_at"])
    when = words.day(found["cancel_at"] or ends)
    if is_ending:
        said = f"Ends on {when} and is not renewed."
        lever = html.button(
            f"/p/session/{session['id']}",
            "Keep my subscription",
            look="go",
            act="resume",
            subscription=found["id"],
        )
    else:
        may = portal.configuration(sim, session["id"])["features"]["subscription_cancel"]["enabled"]
        said = f"The trial ends on {when}." if found["status"] == "trialing" else f"Renews on {when}."
        link = f'<p><a class="btn end" href="?cancel={esc(found["id"])}">Cancel subscription</a></p>'
        lever = link if may else ""
    return (
        '<section class="card"><p class="row">'
        f'<span class="tag">{esc(found["status"].replace("_", " "))}</span>'
        f"<span>{esc(said)}</span></p>{html.receipt(rows)}{lever}</section>"
    )


def _cost(sim: Simulator, item: Json) -> int:
    return money.cost(sim.store.get("price", item["price"]["id"]) or item["price"], item.get("quantity") or 0)


def _cancel_step(sim: Simulator, session: Json, given: Form) -> str:
    try:
        found = api.get(sim, f"/v1/subscriptions/{given['cancel']}")
    except api.Refused:
        found = {"customer": None}
    if found["customer"] != session["customer"]:
        return html.problem("There is no such subscription.", "Go back and choose one from the list.")
    ends = min((it["current_period_end"] for it in found["items"]["data"]), default=None)
    options = "".join(f'<option value="{value}">{said}</option>' for value, said in REASONS)
    return f"""<section class="card"><h1>Cancel subscription?</h1>
<p>It stays as it is until {esc(words.day(ends))} and is not renewed after that.</p>
<form method="post" action="/p/session/{esc(session["id"])}" class="stack">
<input type="hidden" name="act" value="cancel">
<input type="hidden" name="subscription" value="{esc(found["id"])}">
<div><label for="reason">Why? (if you like to say)</label>
<select class="in" id="reason" name="reason">
<option value="">I would rather not say</option>{options}</select></div>
<div class="row"><button class="btn end">Cancel subscription</button>
<a class="btn" href="/p/session/{esc(session["id"])}?done=">Keep it</a></div></form></section>"""


def _card_step(session: Json, given: Form, wrong: str | None) -> str:
    return f"""<section class="card"><h1>Change card</h1>
<form method="post" action="/p/session/{esc(session["id"])}" class="stack" novalidate>
<input type="hidden" name="act" value="card">{card_form.fields(given, wrong=wrong)}
<div class="row"><button class="btn go">Save card</button></div></form></section>"""


def _invoices(sim: Simulator, session: Json) -> str:
    found = api.get(sim, "/v1/invoices", customer=session["customer"], limit="24")["data"]
    rows = [
        [
            f'<a href="/i/{esc(it["id"])}">{esc(it["number"] or it["id"])}</a>',
            words.day(it["created"]),
            esc(words.money(it["total"], it["currency"])),
            esc(it["status"]),
        ]
        for it in found
    ]
    return html.table("Invoices", ["Number", "Date", "Total", "Status"], rows)


def _unknown() -> Answer:
    sentence = "Such links are good for a short while. Go back to the shop and open the portal again."
    return html.message("This link has expired", sentence, status=404)
