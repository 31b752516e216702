"""Refunds: money back, all or part, never more than was paid."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import charging
from simulator.errors import invalid, missing_param, no_such
from simulator.nouns import noun
from simulator.resources import charges, payment_intents
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("refund", "re_", found_by=("charge", "payment_intent"))


def make(
    sim: "Simulator",
    charge: Obj,
    *,
    amount: int | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Obj:
    """Gives back `amount` minor units of a charge (all that is left by default)."""
    left = charge["amount"] - charge["amount_refunded"]
    if not charge["paid"]:
        raise invalid(f"Charge {charge['id']} has not been paid and cannot be refunded.")
    if charge["disputed"]:
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    wanted = left if amount is None else amount
    if wanted < 1:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if wanted > left:
        raise invalid(
            f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({left})", param="amount"
        )
    refund = new(
        "refund",
        amount=wanted,
        charge=charge["id"],
        created=sim.clock.now(charge),
        currency=charge["currency"],
        customer=charge["customer"],
        destination_details={
            "card": {
                "reference": new_id("", 15),
                "reference_status": "available",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        metadata=metadata or {},
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        reason=reason,
        status="succeeded",
    )
    sim.save(refund)
    entry = charging.transaction(
        sim, kind="refund", source={**refund, "id": refund["id"]}, amount=-wanted, fee=0, description="REFUND"
    )
    refund["balance_transaction"] = entry["id"]
    sim.save(refund)
    before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    charge["amount_refunded"] += wanted
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    sim.save(charge)
    events.emit(sim, "refund.created", refund)
    events.emit(sim, "charge.refunded", charge, before)
    events.emit(sim, "refund.updated", refund, {"balance_transaction": None})
    return refund


@route("POST", "/v1/refunds")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/refunds, of a charge or of a payment intent's charge."""
    params = request.params
    if "payment_intent" in params:
        payment = payment_intents.need(sim, params.need("payment_intent"), param="payment_intent", status=400)
        if payment["status"] != "succeeded":
            raise invalid(
                f"This PaymentIntent ({payment['id']}) does not have a successful charge to refund."
            )
        name = payment["latest_charge"]
    elif "charge" in params:
        name = params.need("charge")
    else:
        raise missing_param("charge")
    charge = charges.need(sim, name, param="charge", status=400)
    return make(
        sim,
        charge,
        amount=params.integer("amount"),
        reason=params.text("reason"),
        metadata=params.metadata(),
    )


@route("GET", "/v1/refunds")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/refunds, by charge or payment intent."""
    params = request.params
    among = None
    for key in ("charge", "payment_intent"):
        if key in params:
            among = sim.store.find("refund", key, params.text(key))
    return lists.page(sim, request, "refund", among=among)


@route("GET", "/v1/refunds/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/refunds/{id}."""
    return _need(sim, name)


@route("POST", "/v1/refunds/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/refunds/{id}: metadata; told twice, as Stripe does for those who know only the older event."""
    refund = _need(sim, name)
    with (
        events.change(sim, refund, "charge.refund.updated"),
        events.change(sim, refund, "refund.updated"),
    ):
        refund["metadata"] = request.params.metadata(refund["metadata"])
    return refund


@route("POST", "/v1/refunds/{id}/cancel")
def cancel(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/refunds/{id}/cancel: only one that waits for the customer, and a card's never does."""
    refund = _need(sim, name)
    if refund["status"] != "requires_action":
        raise invalid(f"Refunds with status {refund['status']} cannot be canceled.")
    refund["status"] = "canceled"
    sim.save(refund)
    events.emit(sim, "refund.updated", refund, {"status": "requires_action"})
    return refund


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("refund", name)
    if found is None:
        raise no_such("refund", name)
    return found
