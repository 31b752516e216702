"""The bank's question: is it you who pays? Two buttons, one for each answer a bank can give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.hosted import checkout, portal
from simulator.pages import api, html, words
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor


SENTENCES = {
    "failed": "Your bank could not confirm that it is you. Try again, or use another card.",
    "declined": "Your bank declined the card. Nothing was charged. Use another card.",
}


def show(door: FrontDoor, intent_id: str, given: dict[str, str]) -> Answer:
    """The question, or that it has been answered."""
    intent = _intent(door, intent_id)
    if intent is None:
        return html.message(
            "There is no such payment", "The link is wrong, or the simulator was reset.", status=404
        )
    if intent["status"] != "requires_action":
        return html.message("Nothing to confirm", "This payment no longer waits for your bank.")
    asked = (
        f"pay {words.money(intent['amount'], intent['currency'])}" if "amount" in intent else "save this card"
    )
    body = f"""
<div class="card"><h1>3-D Secure</h1>
<p>Your bank asks: is it you who wants to {esc(asked)}?</p>
<form method="post" action="/3ds/{esc(intent_id)}" class="row">
<button class="btn go" name="answer" value="complete">Complete</button>
<button class="btn end" name="answer" value="fail">Fail</button>
</form></div>"""
    home, again = _ways(door, intent_id, intent)
    return html.page("3-D Secure", body, leads_to=(home, again))


def submit(door: FrontDoor, intent_id: str, given: dict[str, str]) -> Answer:
    """The answer; then on to where the payment began."""
    intent = _intent(door, intent_id)
    if intent is None or intent["status"] != "requires_action":
        return show(door, intent_id, given)
    home, again = _ways(door, intent_id, intent)
    is_me = given.get("answer") == "complete"
    try:
        outcome = checkout.finish_authentication(door.simulator, intent_id, ok=is_me)
    except checkout.NotOpen as late:
        return html.message("Too late", f"{late} Nothing was charged.", link=(home, "Go on"))
    if outcome.status == "paid":
        return html.see_other(home)
    joint = "&" if "?" in again else "?"
    return html.see_other(f"{again}{joint}authentication={'declined' if is_me else 'failed'}")


def _ways(door: FrontDoor, intent_id: str, intent: dict[str, Any]) -> tuple[str, str]:
    """Where to go when it was paid, and where to try again."""
    session = checkout.session_of(door.simulator, intent_id)
    if session is not None:
        done = str(session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", session["id"])
        return done, f"/c/pay/{session['id']}"
    managed = portal.session_behind(door.simulator, intent_id)
    if managed is not None:
        after = ((managed.get("flow") or {}).get("after_completion") or {}).get("redirect") or {}
        here = f"/p/session/{managed['id']}"
        return str(after.get("return_url") or f"{here}?done=card"), f"{here}?card=1"
    kept = door.simulator.store.get("payment_intent", intent_id) or {}
    if invoice := (kept.get("_") or {}).get("invoice"):
        return f"/i/{invoice}", f"/i/{invoice}"
    back = ((intent["next_action"] or {}).get("redirect_to_url") or {}).get("return_url") or "/"
    return back, back


def _intent(door: FrontDoor, intent_id: str) -> dict[str, Any] | None:
    kind = "setup_intents" if intent_id.startswith("seti_") else "payment_intents"
    try:
        return api.get(door.simulator, f"/v1/{kind}/{intent_id}")
    except api.Refused:
        return None
