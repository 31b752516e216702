"""Nudges by name: each looks for what is due and does it; lost, doubled or late, they change nothing."""

from celery import shared_task

from billing import clock
from usage import meter_events


@shared_task
def deliver_meter_events() -> None:
    """Send metered units to Stripe. Whatever is due, for at most three quarters of a minute."""
    meter_events.deliver(now=clock.wall())
