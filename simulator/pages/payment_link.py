"""A payment link: whoever opens it is led to a checkout of his own, and thanked when it is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.errors import StripeError
from simulator.pages import html
from simulator.resources import payment_links

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor


def show(door: FrontDoor, name: str, given: dict[str, str]) -> Answer:
    """303 to the checkout page of a new session; or that the link leads nowhere any more."""
    email, reference = given.get("prefilled_email") or None, given.get("client_reference_id") or None
    try:
        with door.simulator.transaction() as sim:
            session = payment_links.follow(sim, name, email=email, reference=reference)
    except StripeError as refused:
        if refused.status == 404:
            sentence = "Ask whoever gave you the link for a new one. Nothing was charged."
            return html.message("This link leads nowhere", sentence, status=404)
        return html.message(
            "Nothing can be bought here now", f"{refused.message} Nothing was charged.", status=410
        )
    return html.see_other(f"/c/pay/{session['id']}")


def thanks(door: FrontDoor, name: str, given: dict[str, str]) -> Answer:
    """What is said after paying by a link that does not lead on to the shop."""
    with door.simulator.lock:
        link = door.simulator.store.get("payment_link", name)
        confirmation = ((link or {}).get("after_completion") or {}).get("hosted_confirmation") or {}
    if link is None:
        return html.message("There is no such link", "The simulator may have been reset.", status=404)
    sentence = confirmation.get("custom_message") or "Your payment went through. You can close this window."
    return html.message("Thank you", sentence)
