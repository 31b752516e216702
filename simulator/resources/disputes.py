"""Disputes: the card 4000 0000 0000 0259 pays and is then disputed as fraudulent, 4000 0000 0000 1976 is
only inquired about (docs.stripe.com/testing#disputes).
"""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import charging, periods
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("dispute", "du_", found_by=("charge", "payment_intent"))

# What the evidence of a test dispute says decides it: docs.stripe.com/testing#evidence.
_ENDS = {
    ("needs_response", "winning_evidence"): "won",
    ("needs_response", "losing_evidence"): "lost",
    ("warning_needs_response", "winning_evidence"): "warning_closed",
    ("warning_needs_response", "losing_evidence"): "warning_closed",
}
_ESCALATES = "escalate_inquiry_evidence"
_OPEN = ("needs_response", "warning_needs_response")
_FEE = 1500


def open_for(sim: "Simulator", charge: Obj, *, is_inquiry: bool = False) -> Obj:
    """The cardholder disputes a charge: the money is gone until the dispute is won. An inquiry only asks."""
    now = sim.clock.now(charge)
    dispute = new(
        "dispute",
        amount=charge["amount"],
        charge=charge["id"],
        created=now,
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        is_charge_refundable=is_inquiry,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason="fraudulent",
        status="warning_needs_response" if is_inquiry else "needs_response",
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
    if not is_inquiry:
        _move(sim, dispute, -dispute["amount"], fee=_FEE)
        events.emit(sim, "charge.dispute.funds_withdrawn", dispute)
    return dispute


def reverse(sim: "Simulator", dispute: Obj) -> Obj:
    """The bank takes a lost dispute back long after: docs.stripe.com/disputes/how-disputes-work."""
    _close(sim, dispute, "won")
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
    """POST /v1/disputes/{id}: evidence `winning_evidence` wins, `losing_evidence` loses, and
    `escalate_inquiry_evidence` makes an inquiry a dispute, as in Stripe's test mode.
    """
    dispute, params = _need(sim, name), request.params
    if dispute["status"] not in _OPEN:
        raise invalid("This dispute is already closed.")
    words = params.inner("evidence").text("uncategorized_text") or ""
    end = _ENDS.get((dispute["status"], words))
    if end is not None:
        _close(sim, dispute, end)
    elif words == _ESCALATES and dispute["status"] == "warning_needs_response":
        _escalate(sim, dispute)
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
    if dispute["status"] not in _OPEN:
        raise invalid("This dispute is already closed.")
    _close(sim, dispute, "lost" if dispute["status"] == "needs_response" else "warning_closed")
    return dispute


def _escalate(sim: "Simulator", dispute: Obj) -> None:
    with events.change(sim, dispute, "charge.dispute.updated"):
        dispute |= {"status": "needs_response", "is_charge_refundable": False}
        _move(sim, dispute, -dispute["amount"], fee=_FEE)
    events.emit(sim, "charge.dispute.funds_withdrawn", dispute)


def _close(sim: "Simulator", dispute: Obj, status: str) -> None:
    dispute["status"] = status
    sim.save(dispute)
    if status == "won":
        _move(sim, dispute, dispute["amount"], fee=-_FEE)
    events.emit(sim, "charge.dispute.closed", dispute)
    if status in ("won", "warning_closed"):
        charge = sim.store.get("charge", dispute["charge"])
        if charge is not None:
            charge["disputed"] = False
            sim.save(charge)
    if status == "won":
        events.emit(sim, "charge.dispute.funds_reinstated", dispute)


def _move(sim: "Simulator", dispute: Obj, amount: int, *, fee: int) -> None:
    """Money and Stripe's fee leave the balance, or come back."""
    entry = charging.transaction(
        sim,
        kind="adjustment",
        source=dispute,
        amount=amount,
        fee=fee,
        description=f"Chargeback {'withdrawal' if amount < 0 else 'reversal'} for {dispute['charge']}",
    )
    dispute["balance_transactions"].append(entry)
    sim.save(dispute)


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("dispute", name)
    if found is None:
        raise no_such("dispute", name)
    return found
