"""Staff forgive a dispute that was lost: it counts no longer, and a plan that was to end because of it goes on."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import Account
from billing import effects
from billing.lifecycle import subscriptions
from billing.lifecycle.subscriptions import Busy
from billing.models import Customer
from billing.stripe import disputes

__all__ = ["Busy", "forgive"]


def forgive(account: Account, *, by: str, now: datetime) -> list[str]:
    """Let what was lost count no longer, for ever; answers the disputes' ids. A new one counts again.

    Our own cancellation is taken back with it, unless the plan is over or somebody else canceled it meanwhile. `now` is
    wall time. Raises Busy and the gateway's errors; what was forgiven stays so, and the next sync follows it.
    """
    said = disputes.of_customer(Customer.objects.get(account=account))
    lost = [dispute["id"] for dispute in said.found if dispute["status"] == "lost"]
    with transaction.atomic():
        for name in lost:
            effects.once(
                key=disputes.forgiven_key(name),
                kind="dispute_forgiven",
                account=account,
                now=now,
                detail={"by": by},
            )
    if not subscriptions.sync(
        account=account, reason="forgiven", wait_seconds=subscriptions.PATIENCE_SECONDS
    ):
        raise Busy("Another change of this account is in progress.")
    return lost
