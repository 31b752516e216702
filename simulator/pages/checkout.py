"""Hosted Checkout: what is bought, who pays, with which card, and where to go afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.errors import StripeError
from simulator.hosted import checkout
from simulator.pages import api, card_form, html, three_d_secure, words
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer, Simulator
    from simulator.front_door import FrontDoor

Json = dict[str, Any]
Form = dict[str, str]
DAY = 86_400
EXPAND = ("customer", "line_items.data.price.product")


def show(door: FrontDoor, session_id: str, given: Form) -> Answer:
    """The form; or, once the session is over, that it is."""
    session = _session(door.simulator, session_id)
    if session is None:
        return _unknown()
    return _over(session) or _form(door.simulator, session, given, _after_3d_secure(given))


def submit(door: FrontDoor, session_id: str, given: Form) -> Answer:
    """Pay, or take a promotion code. On success 303 to `success_url`; a refusal is shown beside the form."""
    sim = door.simulator
    session = _session(sim, session_id)
    if session is None:
        return _unknown()
    if over := _over(session):
        return over
    if given.get("act") == "apply":
        return _apply(sim, session, given)
    if given.get("act") == "remove":
        return _remove(sim, session, given)
    email = _known_email(session) or given.get("email", "").strip()
    if "@" not in email:
        trouble = html.problem(
            "Your e-mail address is missing.", "Write it as name@example.com.", field="email"
        )
        return _form(sim, session, given, trouble, wrong="email", status=422)
    try:
        card = _card(sim, session, given)
        outcome = checkout.pay(
            sim, session_id, card=card, email=email, name=given.get("cardholder", "").strip() or None
        )
    except card_form.Incomplete as incomplete:
        trouble = html.problem("The card cannot be read.", str(incomplete), field=incomplete.field)
        return _form(sim, session, given, trouble, wrong=incomplete.field, status=422)
    except StripeError as refused:
        return _form(sim, session, given, html.problem("That did not work.", refused.message), status=402)
    except checkout.NotOpen:  # Another tab was quicker.
        return show(door, session_id, given)
    if outcome.status == "requires_action":
        return html.see_other(f"/3ds/{outcome.intent}")
    if outcome.status == "declined":
        trouble = html.problem(
            "The payment did not go through.", f"{outcome.message} {_advice(outcome.code)}"
        )
        return _form(sim, session, given, trouble, wrong="number", status=402)
    return html.see_other(success_url(session))


def _apply(sim: Simulator, session: Json, given: Form) -> Answer:
    try:
        checkout.apply_promotion_code(sim, session["id"], given.get("promotion_code", "").strip())
    except StripeError as refused:
        trouble = html.problem(
            "That promotion code does not work.",
            f"{refused.message} Check how it is written, or go on without it.",
            field="promotion_code",
        )
        return _form(sim, session, given, trouble, wrong="promotion_code", status=422)
    return html.see_other(f"/c/pay/{session['id']}")


def _remove(sim: Simulator, session: Json, given: Form) -> Answer:
    try:
        checkout.remove_promotion_code(sim, session["id"])
    except StripeError as refused:
        return _form(sim, session, given, html.problem("That did not work.", refused.message), status=422)
    return html.see_other(f"/c/pay/{session['id']}")


def _session(sim: Simulator, session_id: str) -> Json | None:
    try:
        found = api.get(sim, f"/v1/checkout/sessions/{session_id}", expand=EXPAND)
    except api.Refused:
        return None
    kept = sim.store.get("checkout.session", session_id) or {}
    return found | {"trial": (kept.get("_") or {}).get("subscription_data") or {}}


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
    sentence = three_d_secure.SENTENCES.get(given.get("authentication", ""))
    return html.problem("The payment did not go through.", sentence) if sentence else ""


def _advice(code: str | None) -> str:
    return {
        "expired_card": "Use a card that is still valid.",
        "incorrect_cvc": "Check the security code and try again.",
        "incorrect_number": "Check the number and try again.",
    }.get(code or "", "Nothing was charged. Try again, or use another card.")


def _known_email(session: Json) -> str | None:
    customer = session["customer"] if isinstance(session["customer"], dict) else {}
    known: str | None = customer.get("email") or session["customer_email"]
    return known


def _needs_card(session: Json) -> bool:
    return bool(session["amount_total"]) or session["payment_method_collection"] != "if_required"


def _card(sim: Simulator, session: Json, given: Form) -> dict[str, str | int] | None:
    if not _needs_card(session):
        return None
    if given.get("card") == "saved" and checkout.saved_card(sim, session["id"]) is not None:
        return None
    return card_form.read(given).as_card()


def _form(
    sim: Simulator, session: Json, given: Form, trouble: str, *, wrong: str | None = None, status: int = 200
) -> Answer:
    body = f"""
<div class="two">
<section class="card" aria-labelledby="order"><h1 id="order">{esc(_title(session))}</h1>
{_summary(sim, session)}
{_promotion(session, given, wrong) if session["allow_promotion_codes"] else ""}
</section>
<section class="card" aria-labelledby="paying">
<h2 id="paying">{esc("Payment" if session["amount_total"] else "Your details")}</h2>
{trouble}
<form method="post" action="/c/pay/{esc(session["id"])}" class="stack" novalidate>
{_email(session, given, wrong)}
{_paying_with(sim, session, given, wrong)}
<button class="btn go">{esc(_button(session))}</button>
</form>
{_back(session)}
</section>
</div>"""
    leads_to = (session["success_url"], session["cancel_url"])
    return html.page(_title(session), body, status=status, leads_to=leads_to)


def _title(session: Json) -> str:
    names = [item["description"] for item in _items(session)]
    said = " + ".join(name for name in names if name) or "Your order"
    if session["mode"] == "setup":
        return "Save a card"
    return f"Subscribe to {said}" if session["mode"] == "subscription" else f"Pay for {said}"


def _summary(sim: Simulator, session: Json) -> str:
    currency = session["currency"]
    rows = [
        words.line(item["description"], item["price"], item["quantity"], item["amount_subtotal"])
        for item in _items(session)
    ]
    if off := (session["total_details"] or {}).get("amount_discount"):
        rows.append(("Discount", words.money(-off, currency)))
    if tax := (session["total_details"] or {}).get("amount_tax"):
        rows.append(("Tax", words.money(tax, currency)))
    due = (
        ("Due today", words.money(session["amount_total"], currency)) if session["mode"] != "setup" else None
    )
    return html.receipt(rows, due) + _trial(sim, session)


def _items(session: Json) -> list[Json]:
    found: list[Json] = session.get("line_items", {}).get("data", [])
    return found


def _first_charge(session: Json) -> str:
    """`, $39.95,` where it is known: no use, discount or tax will change it."""
    items = _items(session)
    if (
        session["discounts"]
        or session["automatic_tax"]["enabled"]
        or any(i["quantity"] is None for i in items)
    ):
        return ""
    if any(item["amount_tax"] for item in items):
        return ""
    due = sum(item["amount_subtotal"] for item in items if item["price"]["recurring"])
    return f", {words.money(due, session['currency'])},"


def _trial(sim: Simulator, session: Json) -> str:
    days, ends = session["trial"].get("trial_days"), session["trial"].get("trial_end")
    if not days and not ends:
        return ""
    first = words.day(ends or sim.clock.now(session) + days * DAY)
    free = f"{days} days free" if days else f"Free until {first}"
    return (
        f'<p class="note">{esc(free)}. The first charge{esc(_first_charge(session))} is on {esc(first)}, unless you '
        "cancel before.</p>"
    )


def _promotion(session: Json, given: Form, wrong: str | None) -> str:
    blame = ' aria-invalid="true" aria-describedby="trouble"' if wrong == "promotion_code" else ""
    applied = ""
    if session["discounts"]:
        lever = html.button(f"/c/pay/{session['id']}", "Remove code", look="small", act="remove")
        applied = f'<div class="row"><p role="status">Your promotion code is applied.</p>{lever}</div>'
    return f"""{applied}
<form method="post" action="/c/pay/{esc(session["id"])}"><input type="hidden" name="act" value="apply">
<label for="promotion_code">Promotion code</label>
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
    if not _needs_card(session):
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


def _button(session: Json) -> str:
    if session["mode"] == "setup":
        return "Save card"
    if session["trial"].get("trial_days") or session["trial"].get("trial_end"):
        return "Start trial"
    if not session["amount_total"]:
        return "Subscribe" if session["mode"] == "subscription" else "Complete order"
    return f"Pay {words.money(session['amount_total'], session['currency'])}"


def _back(session: Json) -> str:
    url = session["cancel_url"]
    return f'<p><a href="{esc(url)}">Go back without paying</a></p>' if url else ""
