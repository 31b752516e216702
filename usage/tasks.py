"""Nudges by name: each looks for what is due and does it; lost, doubled or late, they change nothing."""

from celery import shared_task

from billing import clock
from config import nudge
from usage import meters
from usage.alerts import crossings, returning
from usage.meters import closing, ends, reconciliation, sending, silence
from usage.standing import shrinking

DELIVER_METER_EVENTS = "usage.tasks.deliver_meter_events"


@shared_task
def deliver_meter_events() -> None:
    """Send metered units to Stripe. Whatever is due, for at most three quarters of a minute; one more sender is asked
    for while more is due than one takes at a time."""
    if sending.is_crowded(now=clock.wall()):
        nudge.workers(DELIVER_METER_EVENTS)
    meters.deliver(now=clock.wall())


@shared_task
def close_meter_periods() -> None:
    """See that what was used is at Stripe before its invoice is made, that there was one, and that anything arrives."""
    closing.sweep(now=clock.wall())
    ends.sweep(now=clock.wall())
    silence.look(now=clock.wall())


@shared_task
def reconcile_meters(after: str = "") -> None:
    """Compare Stripe's meters with ours, account by account; what one turn has no time for goes to the next."""
    left_at = reconciliation.reconcile_all(now=clock.wall(), after=after)
    if left_at:
        reconcile_meters.apply_async(kwargs={"after": left_at}, retry=False)


@shared_task
def look_for_crossings() -> None:
    """Warn whoever has reached a threshold of an allowance or a sum of money."""
    crossings.look(now=clock.wall())


@shared_task
def look_for_shrunk_plans() -> None:
    """Flag what is kept above a plan that has become smaller, and tell whoever can do something about it."""
    shrinking.look(now=clock.wall())


@shared_task
def tell_of_returns() -> None:
    """Tell those who had used up an allowance that it is back."""
    returning.tell(now=clock.wall())
