"""What a closed account used and nobody had billed by then is written off: a row says what it was, and staff are told.

The person who closed it was told that nothing more is charged, so no invoice item may follow. Staff's queue does not
stop the closing either: whoever wants to leave would wait for us.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import Account
from billing import alerts, effects, money
from usage.meters import telling, worth
from usage.models import MeterDelivery
from usage.models.meters import OPEN

KIND = "meter_written_off"
WHY = "Written off: the account was closed before anybody had billed it."


def is_due(delivery: MeterDelivery) -> bool:
    """Asked anew: the account may have been closed while the delivery was looked at."""
    return Account.objects.filter(pk=delivery.account_id, closed_at__isnull=False).exists()


def of_account(account: Account, *, now: datetime) -> int:
    """Write off all that waits for a person; answers how many deliveries. Twice is once. `now` is wall time.

    Works inside the transaction that closes the account, and after it for what comes to light later.
    """
    with transaction.atomic():
        open_ones = MeterDelivery.objects.select_for_update().filter(account=account, state__in=OPEN)
        written_off = list(open_ones.order_by("pk"))
        said = [_write_off(delivery, account=account, now=now) for delivery in written_off]
        if said:
            alerts.raise_alert(
                key=f"meter-written-off:{written_off[0].identifier}",
                kind=KIND,
                message=f"The account {account.pk} was closed, and what was still to be decided of its metered units "
                f"is written off: {', '.join(said)}. Nothing is left to do.",
                account=account,
                now=now,
            )
    return len(said)


def _write_off(delivery: MeterDelivery, *, account: Account, now: datetime) -> str:
    price = worth.price_of(delivery)
    amount = worth.amount(delivery, price) if price else None
    MeterDelivery.objects.filter(pk=delivery.pk).update(state=MeterDelivery.State.SETTLED, last_error=WHY)
    effects.once(
        key=f"meter-written-off:{delivery.identifier}",
        kind=KIND,
        account=account,
        now=now,
        detail={
            "units": delivery.units,
            "event_name": delivery.event_name,
            "occurred_at": delivery.occurred_at.isoformat(),
            "was": delivery.state,
            "why": delivery.last_error,
            "amount": amount,
            "currency": price.currency if price else "",
        },
    )
    telling.forget(delivery, now=now)
    sum_of = f" ({money.text(amount, price.currency)})" if price and amount is not None else ""
    return f"{delivery.units:,} {delivery.event_name}{sum_of}"
