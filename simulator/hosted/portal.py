"""What a customer does in the portal: cancel, resume, change the card."""

from typing import TYPE_CHECKING, Any

from simulator import events
from simulator.billing_engine import canceling, updating
from simulator.errors import StripeError, invalid, no_such
from simulator.hosted.outcome import Outcome
from simulator.params import Params
from simulator.resources import customers, payment_methods, setup_intents, subscriptions
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def need(sim: "Simulator", session_id: str) -> Obj:
    """The portal session with this id; raises `StripeError`."""
    with sim.transaction():
        found = sim.store.get("billing_portal.session", session_id)
        if found is None:
            raise no_such("billing_portal.session", session_id, param="session")
        return found


def configuration(sim: "Simulator", session_id: str) -> Obj:
    """What this portal lets the customer do."""
    with sim.transaction():
        found: Obj = (
            sim.store.get("billing_portal.configuration", need(sim, session_id)["configuration"]) or {}
        )
        return found


def cancel(
    sim: "Simulator",
    session_id: str,
    subscription_id: str,
    *,
    reason: str | None = None,
    comment: str | None = None,
) -> Obj:
    """Cancels at the period's end, or at once if the portal is configured so; `reason` is Stripe's
    feedback word.
    """
    with sim.transaction():
        subscription = _own(sim, session_id, subscription_id)
        feature = configuration(sim, session_id)["features"]["subscription_cancel"]
        if not feature["enabled"]:
            raise invalid("This portal does not let customers cancel.")
        details = {key: value for key, value in (("feedback", reason), ("comment", comment)) if value}
        if feature["mode"] == "immediately":
            return canceling.end(sim, subscription, reason="cancellation_requested", details=details)
        values: dict[str, Any] = {"cancel_at_period_end": "true"}
        if details:
            values["cancellation_details"] = details
        return updating.update(sim, subscription, Params(values))


def resume(sim: "Simulator", session_id: str, subscription_id: str) -> Obj:
    """Takes a cancellation at the period's end back."""
    with sim.transaction():
        subscription = _own(sim, session_id, subscription_id)
        return updating.update(sim, subscription, Params({"cancel_at_period_end": "false"}))


def change_card(sim: "Simulator", session_id: str, card: dict[str, Any]) -> Outcome:
    """Saves a new card as the default of the customer and of their subscriptions; the old one stays on
    file.

    `requires_action` names the setup intent whose 3-D Secure page comes first; `checkout.finish_authentication`
    then calls `use_card`.
    """
    with sim.transaction():
        customer = customers.need(sim, need(sim, session_id)["customer"])
        try:
            method = payment_methods.typed(sim, card, customer=customer)
            intent = setup_intents.make(sim, customer["id"])
            intent["_"]["portal"] = session_id
            sim.save(intent)
            if setup_intents.proceed(sim, intent, method) == "requires_action":
                return Outcome("requires_action", intent=intent["id"])
        except StripeError as refusal:
            if refusal.kind != "card_error":
                raise
            return Outcome.declined(refusal)
        return use_card(sim, customer, method)


def use_card(sim: "Simulator", customer: Obj, method: Obj) -> Outcome:
    """Makes a saved card the one that pays: the customer's default, and their subscriptions'."""
    with events.change(sim, customer, "customer.updated"):
        customer["invoice_settings"]["default_payment_method"] = method["id"]
    for subscription in sim.store.find("subscription", "customer", customer["id"]):
        if subscription["default_payment_method"] and subscription["status"] not in (
            "canceled",
            "incomplete_expired",
        ):
            with events.change(sim, subscription, "customer.subscription.updated"):
                subscription["default_payment_method"] = method["id"]
    return Outcome("paid")


def session_behind(sim: "Simulator", intent_id: str) -> Obj | None:
    """The portal session a setup intent belongs to, if a card is being changed there."""
    with sim.transaction():
        intent = sim.store.get("setup_intent", intent_id) or {}
        return sim.store.get("billing_portal.session", (intent.get("_") or {}).get("portal"))


def _own(sim: "Simulator", session_id: str, subscription_id: str) -> Obj:
    session = need(sim, session_id)
    subscription = subscriptions.need(sim, subscription_id)
    if subscription["customer"] != session["customer"]:
        raise no_such("subscription", subscription_id)
    return subscription
