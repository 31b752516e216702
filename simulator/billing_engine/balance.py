"""A customer's credit with us: every change of `customer.balance` leaves a transaction
(docs.stripe.com/billing/customer/balance).
"""

from typing import TYPE_CHECKING

from simulator import events
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def move(
    sim: "Simulator",
    customer: Obj,
    amount: int,
    kind: str,
    *,
    currency: str | None = None,
    invoice: str | None = None,
    credit_note: str | None = None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Obj:
    """Adds `amount` minor units to what the customer owes; a negative amount is credit."""
    with events.change(sim, customer, "customer.updated"):
        customer["balance"] += amount
        customer["currency"] = customer["currency"] or currency or "usd"
    return sim.save(
        new(
            "customer_balance_transaction",
            amount=amount,
            created=sim.clock.now(customer),
            credit_note=credit_note,
            currency=currency or customer["currency"],
            customer=customer["id"],
            description=description,
            ending_balance=customer["balance"],
            invoice=invoice,
            metadata=metadata or {},
            type=kind,
        )
    )
