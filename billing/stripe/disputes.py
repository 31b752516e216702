"""What disputes do to an account: the gravest is noted on the customer's row, and access decides from there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F

from accounts.models import Account
from billing.lifecycle import lease
from billing.messages import disputes as messages
from billing.models import Customer
from billing.stripe import gateway

# Inquiries (`warning_…`) take no money, and a prevented dispute never was one:
# https://docs.stripe.com/api/disputes/object#dispute_object-status
STATES = {"needs_response": "open", "under_review": "open", "lost": "lost"}
NEWEST_CHARGES = 100


def find(dispute_id: str) -> tuple[dict[str, Any], str]:
    """The dispute, and the customer whose payment it is about ("" for a payment of nobody).

    A dispute does not name its customer, so its charge is asked for. Raises gateway.NotFound.
    """
    dispute = gateway.get(f"/v1/disputes/{dispute_id}", {"expand": ["charge"]})
    return dispute, dispute["charge"].get("customer") or ""


def follow(account: Account, customer_id: str, *, now: datetime) -> None:
    """Write the gravest state of the customer's disputes on the account's row, and tell its owners when it changed.

    `now` is wall time. Raises LeaseTaken, LeaseLost.

    All are asked for anew, so it does not matter which letter came last; and one that was won, or a mere
    inquiry, does not make another that was lost undone.
    """
    with lease.hold(account=account, purpose="dispute") as held:
        state = _gravest_state(customer_id)
        with held.committing() as customer:
            if customer.dispute_state != state:
                Customer.objects.filter(pk=customer.pk).update(
                    dispute_state=state, access_version=F("access_version") + 1
                )
                messages.tell(
                    account,
                    state=state,
                    version=customer.access_version + 1,
                    now=customer.clock_now or now,
                )


def _gravest_state(customer_id: str) -> str:
    charges = gateway.pages("/v1/charges", {"customer": customer_id}, at_most=NEWEST_CHARGES)
    states = {
        STATES.get(dispute["status"], "")
        for charge in charges
        if charge["disputed"]
        for dispute in gateway.get("/v1/disputes", {"charge": charge["id"]})["data"]
    }
    return next((state for state in ("lost", "open") if state in states), "")
