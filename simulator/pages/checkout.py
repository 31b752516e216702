"""Hosted Checkout: what is bought, who pays, with which card, and where to go afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.hosted import checkout
from simulator.pages import api, card_form, html, words
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer, Simulator
    from simulator.front_door import FrontDoor

Json = dict[str, Any]
Form = dict[str, str]
EXPAND = ("customer", "line_items.data.price.product")


def show(door: FrontDoor, session_id: str, given: Form) -> Answer:
    """The form; or, once the session is over, that it is."""
    try:
        session = api.get(door.simulator, f"/v1/checkout/sessions/{session_id}", expand=EXPAND)
    except api.Refused:
        return _unknown()
    return _over(session) or _form(door.simulator, session, given, _after_3d_secure(given))


def submit(door: FrontDoor, session_id: str, given: Form) -> Answer:
    """Pay. On success 303 to `success_url`; a refusal is shown beside the form, with what to do."""
    sim = door.simulator
    try:
        session = api.get(sim, f"/v1/checkout/sessions/{session_id}", expand=EXPAND)
    except api.Refused:
        return _unknown()
    if over := _over(session):
        return over
    email = _known_email(session) or given.get("email", "").strip()
    if "@" not in email:
        trouble = html.problem(
            "Your e-mail address is missing.", "Write it as name@example.com.", field="email"
        )
        return _form(sim, session, given, trouble, wrong="email", status=422)
    try:
        card = _card(sim, session, given)
    except card_form.Incomplete as incomplete:
        trouble = html.problem("The card cannot be read.", str(incomplete), field=incomplete.field)
        return _form(sim, session, given, trouble, wrong=incomplete.field, status=422)
    outcome = checkout.pay(
        sim,
        session_id,
        card=card,
        email=email,
        promotion_code=given.get("promotion_code", "").strip() or None,
    )
    if outcome.status == "requires_action":
        return html.see_other(f"/3ds/{outcome.intent}")
    if outcome.status == "declined":
        trouble = html.problem(
            "The payment did not go through.", f"{outcome.message} {_advice(outcome.code)}".strip()
        )
        return _form(sim, session, given, trouble, wrong="number", status=402)
    return html.see_other(success_url(session))


def success_url(session: Json) -> str:
    """Where a paid session leads, with `{CHECKOUT_SESSION_ID}` replaced."""
    return str(session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", session["id"])


def _unknown() -> Answer:
    return html.message(
        "There is no such checkout",
        "The link is wrong, or the simulator was reset. Go back to the shop and begin again.",
        status=404,
    )


def _over(session: Json) -> Answer | None:
    if session["status"] == "complete":
        link = (success_url(session), "Go on")
        return html.message(
            "This checkout is complete", "It has been paid; nothing more is charged.", link=link
        )
    if session["status"] == "expired":
        sentence = "Nothing was charged. Go back to the shop and begin again."
        link_back = (session["cancel_url"], "Go back") if session["cancel_url"] else None
        return html.message("This checkout has expired", sentence, status=410, link=link_back)
    return None


def _after_3d_secure(given: Form) -> str:
    if given.get("authentication") != "failed":
        return ""
    sentence = "Your bank could not confirm that it is you. Try again, or use another card."
    return html.problem("The payment did not go through.", sentence)


def _advice(code: str | None) -> str:
    return {
        "expired_card": "Use a card that is still valid.",
        "incorrect_cvc": "Check the security code and try again.",
        "incorrect_number": "Check the number and try again.",
        "invalid_promotion_code": "Check the code, or go on without it.",
    }.get(code or "", "Nothing was charged. Try again, or use another card.")


def _known_email(session: Json) -> str | None:
    customer = session["customer"] if isinstance(session["customer"], dict) else {}
    return customer.get("email") or session["customer_email"]


def _card(sim: Simulator, session: Json, given: Form) -> dict[str, str | int] | None:
    if not checkout.needs_card(sim, session["id"]):
        return None
    if given.get("card") == "saved" and checkout.saved_card(sim, session["id"]) is not None:
        return None
    return card_form.read(given).as_card()


def _form(
    sim: Simulator, session: Json, given: Form, trouble: str, *, wrong: str | None = None, status: int = 200
) -> Answer:
    code = given.get("promotion_code", "").strip()
    quote = checkout.quote(sim, session["id"], promotion_code=code or None)
    if quote.problem and not trouble:
        trouble = html.problem("That promotion code does not work.", quote.problem, field="promotion_code")
        wrong, code = "promotion_code", ""
    body = f"""
<div class="two">
<section class="card" aria-labelledby="order"><h1 id="order">{esc(_title(session))}</h1>
{_summary(session, quote)}
{_promotion(session, given, wrong) if session["allow_promotion_codes"] else ""}
</section>
<section class="card" aria-labelledby="paying">
<h2 id="paying">{esc("Payment" if quote.due else "Your details")}</h2>
{trouble}
<form method="post" action="/c/pay/{esc(session["id"])}" class="stack" novalidate>
{f'<input type="hidden" name="promotion_code" value="{esc(code)}">' if code else ""}
{_email(session, given, wrong)}
{_paying_with(sim, session, given, wrong)}
<button class="btn go">{esc(_button(session, quote))}</button>
</form>
{_back(session)}
</section>
</div>"""
    leads_to = (session["success_url"], session["cancel_url"])
    return html.page(_title(session), body, status=status, leads_to=leads_to)


def _title(session: Json) -> str:
    names = [item["description"] for item in session.get("line_items", {}).get("data", [])]
    said = " + ".join(name for name in names if name) or "Your order"
    if session["mode"] == "setup":
        return "Save a card"
    return f"Subscribe to {said}" if session["mode"] == "subscription" else f"Pay for {said}"


def _summary(session: Json, quote: checkout.Quote) -> str:
    currency = session["currency"]
    rows = []
    for item in session.get("line_items", {}).get("data", []):
        times = f" × {item['quantity']}" if (item["quantity"] or 1) > 1 else ""
        rows.append((f"{item['description']}{times}", words.price(item["price"])))
    if quote.discount:
        rows.append((f"Discount ({quote.discount_name})", words.money(-quote.discount, currency)))
    trial = f'<p class="note">{esc(_trial(quote))}</p>' if quote.trial_days else ""
    due = ("Due today", words.money(quote.due, currency)) if session["mode"] != "setup" else None
    return html.receipt(rows, due) + trial


def _trial(quote: checkout.Quote) -> str:
    first = words.day(quote.trial_end)
    return f"{quote.trial_days} days free. The first charge is on {first}, unless you cancel before."


def _promotion(session: Json, given: Form, wrong: str | None) -> str:
    blame = ' aria-invalid="true"' if wrong == "promotion_code" else ""
    return f"""
<form method="get" action="/c/pay/{esc(session["id"])}"><label for="promotion_code">Promotion code</label>
<div class="row"><input class="in" id="promotion_code" name="promotion_code" autocomplete="off"
 value="{esc(given.get("promotion_code"))}"{blame}><button class="btn">Apply</button></div></form>"""


def _email(session: Json, given: Form, wrong: str | None) -> str:
    if known := _known_email(session):
        return f'<p><span class="soft">E-mail</span><br>{esc(known)}</p>'
    blame = ' aria-invalid="true"' if wrong == "email" else ""
    return (
        '<div><label for="email">E-mail</label><input class="in" id="email" name="email" type="email" '
        f'required autocomplete="email" value="{esc(given.get("email"))}"{blame}></div>'
    )


def _paying_with(sim: Simulator, session: Json, given: Form, wrong: str | None) -> str:
    if not checkout.needs_card(sim, session["id"]):
        return '<p class="soft">No card is needed now.</p>'
    saved = checkout.saved_card(sim, session["id"])
    if saved is None:
        return card_form.fields(given, wrong=wrong)
    is_new = given.get("card") == "new"
    checked = ("", " checked") if is_new else (" checked", "")
    return (
        '<fieldset class="stack"><legend>Pay with</legend>'
        f'<label class="tick"><input type="radio" name="card" value="saved"{checked[0]}> '
        f"{esc(words.card(saved))}</label>"
        f'<label class="tick"><input type="radio" name="card" value="new"{checked[1]}> Another card</label>'
        f"</fieldset>{card_form.fields(given, wrong=wrong, required=False)}"
    )


def _button(session: Json, quote: checkout.Quote) -> str:
    if session["mode"] == "setup":
        return "Save card"
    if quote.trial_days:
        return "Start trial"
    if not quote.due:
        return "Subscribe" if session["mode"] == "subscription" else "Complete order"
    return f"Pay {words.money(quote.due, session['currency'])}"


def _back(session: Json) -> str:
    url = session["cancel_url"]
    return f'<p><a href="{esc(url)}">Go back without paying</a></p>' if url else ""
