"""Customer balance transactions: credit given by hand, and every use of it
(docs.stripe.com/api/customer_balance_transactions).
"""

from typing import TYPE_CHECKING

from simulator import lists
from simulator.billing_engine import balance
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import customers
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("customer_balance_transaction", "cbtxn_", found_by=("customer",))

_KIND = "customer_balance_transaction"


@route("POST", "/v1/customers/{id}/balance_transactions")
def create(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/customers/{id}/balance_transactions: a negative amount is credit."""
    customer, params = customers.need(sim, name), request.params
    currency = params.need("currency").lower()
    if customer["currency"] not in (None, currency):
        raise invalid(f"The currency must be the customer's own: {customer['currency']}.", param="currency")
    return balance.move(
        sim,
        customer,
        params.integer("amount") or 0,
        "adjustment",
        currency=currency,
        description=params.text("description"),
        metadata=params.metadata(),
    )


@route("GET", "/v1/customers/{id}/balance_transactions")
def index(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/customers/{id}/balance_transactions, by invoice."""
    customers.need(sim, name)
    invoice = request.params.text("invoice")
    among = sim.store.find(_KIND, "customer", name)
    return lists.page(sim, request, _KIND, among=among, where=lambda one: invoice in (None, one["invoice"]))


@route("GET", "/v1/customers/{id}/balance_transactions/{transaction}")
def retrieve(sim: "Simulator", request: Request, name: str, transaction: str) -> Obj:
    """GET /v1/customers/{id}/balance_transactions/{transaction}."""
    return _need(sim, name, transaction)


@route("POST", "/v1/customers/{id}/balance_transactions/{transaction}")
def update(sim: "Simulator", request: Request, name: str, transaction: str) -> Obj:
    """POST /v1/customers/{id}/balance_transactions/{transaction}: description and metadata."""
    found, params = _need(sim, name, transaction), request.params
    if "description" in params:
        found["description"] = params.text("description")
    found["metadata"] = params.metadata(found["metadata"])
    return sim.save(found)


def _need(sim: "Simulator", customer: str, name: str) -> Obj:
    found = sim.store.get(_KIND, name)
    if found is None or found["customer"] != customers.need(sim, customer)["id"]:
        raise no_such(_KIND, name, param="transaction")
    return found
