"""The bank's question: is it you who pays? Two buttons, one for each answer a bank can give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.hosted import checkout
from simulator.pages import api, html, words
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor


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
    return html.page("3-D Secure", body, leads_to=checkout.leads_to(door.simulator, intent_id))


def submit(door: FrontDoor, intent_id: str, given: dict[str, str]) -> Answer:
    """The answer; then on to where the payment began."""
    intent = _intent(door, intent_id)
    if intent is None or intent["status"] != "requires_action":
        return show(door, intent_id, given)
    target = checkout.finish_authentication(door.simulator, intent_id, ok=given.get("answer") == "complete")
    return html.see_other(target)


def _intent(door: FrontDoor, intent_id: str) -> dict[str, object] | None:
    kind = "setup_intents" if intent_id.startswith("seti_") else "payment_intents"
    try:
        return api.get(door.simulator, f"/v1/{kind}/{intent_id}")
    except api.Refused:
        return None
