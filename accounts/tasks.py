"""Nudges by name: each looks for what is due and does it; lost, doubled or late, they change nothing."""

from celery import shared_task
from django.utils import timezone

from accounts.notifications import outbox


@shared_task
def deliver_notifications() -> None:
    """Mail, Slack and webhooks that are owed leave the building."""
    outbox.deliver_due(now=timezone.now())
