"""The clockwork's own pulse."""

from celery import shared_task
from django.utils import timezone

from config.models import Heartbeat


@shared_task
def note_heartbeat() -> None:
    """Sent by beat, done by a worker: while it is fresh, beat, broker and worker all live."""
    Heartbeat.objects.update_or_create(name=Heartbeat.CLOCKWORK, defaults={"at": timezone.now()})
