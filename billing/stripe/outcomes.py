"""What became of a letter, written on its row: processed, ignored, put off, to be tried again, given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction

from billing import alerts
from billing.backoff import delay
from billing.models import WebhookEvent
from config import nudge
from config.logs import SECRET

log = structlog.get_logger(__name__)

# With delays doubling from 10 seconds to 6 hours this is about a day of trying.
MOST_ATTEMPTS = 15


@dataclass(frozen=True)
class Processed:
    """Done: our rows say what Stripe said after the letter had come."""


@dataclass(frozen=True)
class Ignored:
    """Nothing to do, for this reason in one word (WebhookEvent.ignored_reason)."""

    reason: str


@dataclass(frozen=True)
class PutOff:
    """Somebody else is at this customer right now. Looked at again soon; no attempt is counted."""

    seconds: float = 2.0


@dataclass(frozen=True)
class Failed:
    """It did not work this time."""

    explanation: str


Outcome = Processed | Ignored | PutOff | Failed


def record(letters: Sequence[WebhookEvent], outcome: Outcome, *, now: datetime) -> None:
    """Write the outcome on the rows in one transaction and give the claims back.

    A row whose claim has meanwhile passed to another reader is left to that reader.
    """
    with transaction.atomic():
        for letter in letters:
            changes = _changes(letter, outcome, now=now)
            still_ours = WebhookEvent.objects.filter(
                pk=letter.pk, claim_token=letter.claim_token, state__in=WebhookEvent.WAITING
            ).update(**changes, claim_expires_at=None)
            if not still_ours:
                log.warning("letter_claim_lost", letter=letter.stripe_event_id)
            elif changes.get("state") == WebhookEvent.State.DEAD:
                _tell_of_the_dead(letter, str(changes["last_error"]), now=now)
    log.info(
        "letters_read",
        outcome=type(outcome).__name__.lower(),
        letters=[letter.stripe_event_id for letter in letters],
        types=sorted({letter.type for letter in letters}),
    )
    if isinstance(outcome, PutOff):
        nudge.workers(nudge.READ_LETTERS, after_seconds=outcome.seconds)


def _changes(letter: WebhookEvent, outcome: Outcome, *, now: datetime) -> dict[str, Any]:
    match outcome:
        case Processed():
            return {"state": WebhookEvent.State.PROCESSED, "processed_at": now, "last_error": ""}
        case Ignored(reason):
            return {"state": WebhookEvent.State.IGNORED, "ignored_reason": reason, "processed_at": now}
        case PutOff(seconds):
            return {"attempts": letter.attempts - 1, "next_attempt_at": now + timedelta(seconds=seconds)}
        case Failed(explanation):
            given_up = letter.attempts >= MOST_ATTEMPTS
            return {
                "state": WebhookEvent.State.DEAD if given_up else WebhookEvent.State.FAILED,
                "next_attempt_at": now + delay(letter.attempts),
                "last_error": SECRET.sub("[secret]", explanation)[:1000],
            }


def _tell_of_the_dead(letter: WebhookEvent, explanation: str, *, now: datetime) -> None:
    alerts.raise_alert(
        key=f"dead_letter:{letter.stripe_event_id}",
        kind="dead_letter",
        message=f"Stripe's event {letter.stripe_event_id} ({letter.type}) could not be processed in "
        f"{letter.attempts} attempts. Last error: {explanation} Once the cause is gone, replay it in the "
        f"admin or with `manage.py replay_webhooks --id {letter.stripe_event_id}`.",
        now=now,
    )
