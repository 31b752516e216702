"""Sources on customers: the card objects of before payment methods, made from a token."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.errors import no_such
from simulator.resources import customers, payment_methods
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator


@route("POST", "/v1/customers/{id}/sources")
def create(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/customers/{id}/sources: `source=tok_visa`, a card object of the customer's."""
    customer, params = customers.need(sim, name), request.params
    method = payment_methods.need(sim, params.need("source"), param="source", status=400)
    shown = method["card"]
    card = new(
        "card",
        id=new_id("card_"),
        brand=str(shown["brand"]).capitalize(),
        country=shown["country"],
        customer=customer["id"],
        exp_month=shown["exp_month"],
        exp_year=shown["exp_year"],
        fingerprint=shown["fingerprint"],
        funding=shown["funding"],
        last4=shown["last4"],
        metadata=params.metadata(),
    )
    return events.created(sim, card, "customer.source.created")


@route("POST", "/v1/customers/{id}/sources/{card}")
def update(sim: "Simulator", request: Request, name: str, card: str) -> Obj:
    """POST /v1/customers/{id}/sources/{card}: name, expiry, metadata."""
    customers.need(sim, name)
    found, params = sim.store.get("card", card), request.params
    if found is None or found["customer"] != name:
        raise no_such("source", card)
    with events.change(sim, found, "customer.source.updated"):
        if "name" in params:
            found["name"] = params.text("name")
        for key in ("exp_month", "exp_year"):
            if key in params:
                found[key] = params.integer(key)
        found["metadata"] = params.metadata(found["metadata"])
    return found
