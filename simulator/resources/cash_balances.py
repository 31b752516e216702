"""Cash balances: money a customer sent by bank transfer, and what has become of it. Nothing is paid from it here."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.errors import invalid
from simulator.resources import customers
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator


@route("POST", "/v1/test_helpers/customers/{id}/fund_cash_balance")
def fund(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/test_helpers/customers/{id}/fund_cash_balance: a bank transfer arrives."""
    customer, params = customers.need(sim, name), request.params
    amount, currency = params.integer("amount") or 0, params.need("currency").lower()
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", param="amount")
    kept = sim.store.get("_cash", name) or {"id": name, "sums": {}}
    kept["sums"][currency] = kept["sums"].get(currency, 0) + amount
    sim.store.put("_cash", kept)
    sender = {"network": "ach", "sender_name": customer["name"]}
    entry = new(
        "customer_cash_balance_transaction",
        id=new_id("ccsbtxn_"),
        created=sim.clock.now(customer),
        currency=currency,
        customer=name,
        ending_balance=kept["sums"][currency],
        funded={
            "bank_transfer": {
                "reference": params.text("reference"),
                "type": "us_bank_transfer",
                "us_bank_transfer": sender,
            }
        },
        net_amount=amount,
        type="funded",
    )
    events.created(sim, entry)
    events.emit(sim, "cash_balance.funds_available", _balance(sim, name))
    return entry


@route("GET", "/v1/customers/{id}/cash_balance")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/customers/{id}/cash_balance."""
    customers.need(sim, name)
    return _balance(sim, name)


@route("GET", "/v1/customers/{id}/cash_balance_transactions")
def index(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/customers/{id}/cash_balance_transactions."""
    customers.need(sim, name)
    kind = "customer_cash_balance_transaction"
    return lists.page(sim, request, kind, where=lambda entry: entry["customer"] == name)


def _balance(sim: "Simulator", customer: str) -> Obj:
    kept = sim.store.get("_cash", customer)
    settings = {"reconciliation_mode": "automatic", "using_merchant_default": True}
    return new("cash_balance", available=kept["sums"] if kept else None, customer=customer, settings=settings)
