"""Charges and balance transactions: what moved."""

from typing import TYPE_CHECKING, Any

from simulator import lists, search, view
from simulator.errors import no_such
from simulator.nouns import noun
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("balance_transaction", "txn_")
noun("charge", "ch_", found_by=("customer", "payment_intent"))


def need(sim: "Simulator", name: str | None, *, param: str = "id", status: int = 404) -> Obj:
    """The charge with this id, or Stripe's refusal."""
    found = sim.store.get("charge", name)
    if found is None:
        raise no_such("charge", str(name), param=param, status=status)
    return found


@route("GET", "/v1/charges")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/charges, by customer or payment intent."""
    params = request.params
    among = None
    for key in ("payment_intent", "customer"):
        if key in params:
            among = sim.store.find("charge", key, params.text(key))
            break
    return lists.page(sim, request, "charge", among=among)


@route("GET", "/v1/charges/search")
def find(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/charges/search: by metadata and the fields docs.stripe.com/search names."""
    fields = ("amount", "created", "currency", "customer", "disputed", "refunded", "status")
    return search.page(sim, request, "charge", fields)


@route("GET", "/v1/charges/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/charges/{id}."""
    return need(sim, name)


@route("POST", "/v1/charges/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/charges/{id}: description, metadata."""
    charge, params = need(sim, name), request.params
    if "description" in params:
        charge["description"] = params.text("description")
    charge["metadata"] = params.metadata(charge["metadata"])
    return sim.save(charge)


@route("GET", "/v1/balance_transactions")
def transactions(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/balance_transactions."""
    kind, source = request.params.text("type"), request.params.text("source")
    return lists.page(
        sim,
        request,
        "balance_transaction",
        where=lambda one: kind in (None, one["type"]) and source in (None, one["source"]),
    )


@route("GET", "/v1/balance_transactions/{id}")
def transaction(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/balance_transactions/{id}."""
    found = sim.store.get("balance_transaction", name)
    if found is None:
        raise no_such("balance_transaction", name)
    return found


@view.grows("charge", "refunds")
def _grow_refunds(sim: "Simulator", charge: Obj) -> Any:
    refunds = list(reversed(sim.store.find("refund", "charge", charge["id"])))
    return lists.of(refunds, f"/v1/charges/{charge['id']}/refunds")
