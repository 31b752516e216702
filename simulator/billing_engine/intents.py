"""A payment intent before and beside the money: made, sent back for another card, given up."""

from typing import TYPE_CHECKING, Any

from simulator import events, view
from simulator.errors import StripeError
from simulator.errors import card as card_error
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method. "
    "Please choose a different payment method and try again."
)


def make(
    sim: "Simulator",
    *,
    amount: int,
    currency: str,
    customer: str | None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    invoice: str | None = None,
    setup_future_usage: str | None = None,
    receipt_email: str | None = None,
    kinds: list[str] | None = None,
) -> Obj:
    """A new payment intent without a card; `kinds`: the types of payment methods it takes."""
    now = sim.clock.now(customer)
    found = new(
        "payment_intent",
        amount=amount,
        amount_details={"tip": {}},
        automatic_payment_methods=None if invoice else {"allow_redirects": "always", "enabled": True},
        capture_method="automatic_async",
        confirmation_method="automatic",
        created=now,
        currency=currency,
        customer=customer,
        description=description,
        metadata=metadata or {},
        payment_method_options={kind: dict(_OPTIONS[kind]) for kind in kinds or ["card"] if kind in _OPTIONS},
        payment_method_types=kinds or ["card"],
        receipt_email=receipt_email,
        setup_future_usage=setup_future_usage,
        status="requires_payment_method",
    )
    found["client_secret"] = f"{found['id']}_secret_{new_id('', 24)}"
    found["_"] = {"invoice": invoice, "return_url": None}
    sim.save(found)
    events.emit(sim, "payment_intent.created", found)
    return found


def authentication_failed(sim: "Simulator", payment: Obj) -> StripeError:
    """The customer failed or closed the 3-D Secure page: the intent waits for another card."""
    error = card_error(AUTHENTICATION_FAILED, "payment_intent_authentication_failure")
    payment["status"] = "requires_payment_method"
    payment["next_action"] = None
    payment["last_payment_error"] = described(sim, error, payment["payment_method"])
    payment["payment_method"] = None
    sim.save(payment)
    events.emit(sim, "payment_intent.payment_failed", payment)
    return error


def cancel(sim: "Simulator", payment: Obj, reason: str | None) -> None:
    """Ends an intent that has not been paid."""
    payment |= {
        "status": "canceled",
        "amount_capturable": 0,
        "canceled_at": sim.clock.now(payment),
        "cancellation_reason": reason,
        "next_action": None,
    }
    sim.save(payment)
    events.emit(sim, "payment_intent.canceled", payment)


def described(sim: "Simulator", error: StripeError, method: str | None) -> dict[str, Any]:
    """An error as an intent keeps it, with the payment method it was met with."""
    found = sim.store.get("payment_method", method)
    return {
        "type": error.kind,
        "message": error.message,
        "code": error.facts.get("code"),
        "decline_code": error.facts.get("decline_code"),
        "doc_url": f"https://docs.stripe.com/error-codes/{str(error.facts.get('code')).replace('_', '-')}",
        "payment_method": view.snapshot(sim, found) if found else None,
    }


_OPTIONS: dict[str, Obj] = {
    "card": {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
    },
    "sepa_debit": {},
}
