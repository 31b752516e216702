"""Disputes: the card 4000 0000 0000 0259 pays and is then disputed as fraudulent
(docs.stripe.com/testing#disputes).
"""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import periods
from simulator.errors import invalid, no_such
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

_WINS = "winning_evidence"


def open_for(sim: "Simulator", charge: Obj) -> Obj:
    """The cardholder disputes a charge: the money is gone until the dispute is won."""
    now = sim.clock.now(charge)
    dispute = new(
        "dispute",
        amount=charge["amount"],
        charge=charge["id"],
        created=now,
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        is_charge_refundable=False,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason="fraudulent",
        status="needs_response",
    )
    dispute["evidence_details"] |= {
        "due_by": now + 14 * periods.DAY,
        "has_evidence": False,
        "past_due": False,
    }
    charge["disputed"] = True
    sim.save(charge)
    sim.save(dispute)
    events.emit(sim, "charge.dispute.created", dispute)
    events.emit(sim, "charge.dispute.funds_withdrawn", dispute)
    return dispute


@route("GET", "/v1/disputes")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/disputes, by charge or payment intent."""
    params = request.params
    among = None
    for key in ("charge", "payment_intent"):
        if key in params:
            among = sim.store.find("dispute", key, params.text(key))
    return lists.page(sim, request, "dispute", among=among)


@route("GET", "/v1/disputes/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/disputes/{id}."""
    return _need(sim, name)


@route("POST", "/v1/disputes/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/disputes/{id}: evidence `winning_evidence` wins, `losing_evidence` loses, as in
    Stripe's test mode.
    """
    dispute, params = _need(sim, name), request.params
    if dispute["status"] != "needs_response":
        raise invalid("This dispute is already closed.")
    words = params.inner("evidence").text("uncategorized_text")
    if words in (_WINS, "losing_evidence"):
        _close(sim, dispute, "won" if words == _WINS else "lost")
    else:
        with events.change(sim, dispute, "charge.dispute.updated"):
            dispute["metadata"] = params.metadata(dispute["metadata"])
            if "evidence" in params:
                dispute["evidence"] |= params.inner("evidence").values
                dispute["evidence_details"]["has_evidence"] = True
    return dispute


@route("POST", "/v1/disputes/{id}/close")
def close(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/disputes/{id}/close: gives in."""
    dispute = _need(sim, name)
    _close(sim, dispute, "lost")
    return dispute


def _close(sim: "Simulator", dispute: Obj, status: str) -> None:
    dispute["status"] = status
    sim.save(dispute)
    events.emit(sim, "charge.dispute.closed", dispute)
    if status == "won":
        charge = sim.store.get("charge", dispute["charge"])
        if charge is not None:
            charge["disputed"] = False
            sim.save(charge)
        events.emit(sim, "charge.dispute.funds_reinstated", dispute)


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("dispute", name)
    if found is None:
        raise no_such("dispute", name)
    return found
