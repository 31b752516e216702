"""What disputes do to an account: the gravest is noted on the customer's row, and access decides from there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from accounts.models import Account
from billing import effects
from billing.lifecycle import disputed, lease
from billing.lifecycle.lease import Held
from billing.messages import disputes as messages
from billing.models import Customer, Effect
from billing.stripe import gateway
from billing.stripe.truth import Truth

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
        found = _disputes(_charges(customer_id))
        state = _gravest_state(found)
        with held.committing() as customer:
            _write(state, customer=customer, now=customer.clock_now or now)
            disputed.note(account, disputes=found)


def look_again(said: Truth, *, held: Held, now: datetime) -> list[dict[str, Any]] | None:
    """As `follow`, in a sync and under its lease: what a lost letter would have told is found too. Answers the
    disputes, to be noted on the payments once those are written; None when there was nothing to ask for.

    Costs a call for each disputed charge, and none for who was never disputed. `now` is the account's time. Raises
    LeaseLost and the gateway's errors.
    """
    if not any(charge["disputed"] for charge in said.charges):
        # Of a customer who was deleted, or has more charges than were asked for, this says nothing.
        is_all = not said.is_deleted and len(said.charges) < NEWEST_CHARGES
        if not held.customer.dispute_state or not is_all:
            return None
    found = _disputes(said.charges)
    state = _gravest_state(found)
    with held.saving() as customer:
        _write(state, customer=customer, now=now)
    return found


def forgive(account: Account, *, by: str, now: datetime) -> list[str]:
    """Let what was lost count no longer, for ever; answers the disputes' ids. A new one counts again.

    `now` is wall time. Raises LeaseTaken, LeaseLost and the gateway's errors.
    """
    customer = Customer.objects.get(account=account)
    assert customer.stripe_customer_id
    found = _disputes(_charges(customer.stripe_customer_id))
    lost = [dispute["id"] for dispute in found if dispute["status"] == "lost"]
    with transaction.atomic():
        for name in lost:
            effects.once(key=_key(name), kind="dispute_forgiven", account=account, now=now, detail={"by": by})
    follow(account, customer.stripe_customer_id, now=now)
    return lost


def _write(state: str, *, customer: Customer, now: datetime) -> None:
    if customer.dispute_state == state:
        return
    Customer.objects.filter(pk=customer.pk).update(
        dispute_state=state, access_version=F("access_version") + 1
    )
    messages.tell(customer.account, state=state, version=customer.access_version + 1, now=now)


def _gravest_state(found: list[dict[str, Any]]) -> str:
    forgiven = set(
        Effect.objects.filter(key__in=[_key(dispute["id"]) for dispute in found]).values_list(
            "key", flat=True
        )
    )
    states = {
        disputed.STATES.get(dispute["status"], "") for dispute in found if _key(dispute["id"]) not in forgiven
    }
    return next((state for state in ("lost", "open") if state in states), "")


def _charges(customer_id: str) -> Iterable[dict[str, Any]]:
    return gateway.pages("/v1/charges", {"customer": customer_id}, at_most=NEWEST_CHARGES)


def _disputes(charges: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        dispute
        for charge in charges
        if charge["disputed"]
        for dispute in gateway.get("/v1/disputes", {"charge": charge["id"]})["data"]
    ]


def _key(dispute_id: str) -> str:
    return f"dispute_forgiven:{dispute_id}"
