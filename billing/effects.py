"""What is done once because a row says so: the row is named by the fact, and the name is unique.

`once` writes the row in the transaction that acts upon the fact. Kinds with a carrier (mail, an
introduction to Stripe) are the outbox: their rows stay owed until `deliver_owed` has carried them out.
Who carries a kind other than mail says so when the house is put together (`billing/apps.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import F, Q

from accounts.models import Account
from billing import clock
from billing.backoff import delay
from billing.models import Effect
from billing.signals import effect_given_up
from config import nudge
from config.logs import SECRET
from config.mailbox import ABOUT

log = structlog.get_logger(__name__)

# A carrier that has not come back by then is taken for dead, and another may try.
CARRY_SECONDS = 120
MOST_ATTEMPTS = 15
Carrier = Callable[[Effect], None]
# In a mail's detail: its words go once it has left, as the person it is for has gone.
FORGET = "forget"


class NotInATransaction(Exception):
    """The row must be committed together with what it stands for, or not at all."""


def once(
    *, key: str, kind: str, account: Account | None, now: datetime, detail: dict[str, Any] | None = None
) -> Effect | None:
    """Record that the fact `key` is being acted upon; None when it has been already.

    Call it inside the transaction that acts. Of two transactions that record the same fact at once, the
    second waits for the first to commit and then gets None. `detail` is JSON.

    Raises:
        NotInATransaction: called outside `transaction.atomic`.
    """
    if not connection.in_atomic_block:
        raise NotInATransaction(f"Record {key!r} inside the transaction that acts upon it.")
    is_owed = kind in _CARRIERS
    effect, created = Effect.objects.get_or_create(
        key=short_key(key),
        defaults={
            "kind": kind,
            "account": account,
            "detail": detail or {},
            "created_at": now,
            "done_at": None if is_owed else now,
            # Post leaves in everybody's time, even when the account lives on a test clock a year ahead.
            "next_attempt_at": clock.wall() if is_owed else None,
        },
    )
    if not created:
        return None
    if is_owed:
        transaction.on_commit(lambda: nudge.workers(nudge.DELIVER_EFFECTS))
    return effect


def owe_mail(
    *,
    key: str,
    to: str,
    subject: str,
    body: str,
    now: datetime,
    account: Account | None = None,
    is_forgotten_once_sent: bool = False,
) -> Effect | None:
    """Owe one plain-text mail, once per `key`. Line breaks in the subject, which would be headers, go."""
    detail: dict[str, Any] = {"to": to, "subject": " ".join(subject.split()), "body": body}
    if is_forgotten_once_sent:
        detail[FORGET] = True
    return once(key=key, kind="mail", account=account, now=now, detail=detail)


def deliver_owed(*, now: datetime, limit: int = 100) -> int:
    """Carry out what is owed and due; answers how many were delivered. `now` is wall time.

    Each is claimed first by moving its next attempt beyond the time a carrier may take, so that two workers
    do not carry the same one. A carrier killed between the sending and the row's update sends again: no
    outbox can do better, and the mail carries the same Message-ID both times.
    """
    delivered = 0
    for effect in _claim(now=now, limit=limit):
        try:
            _CARRIERS[effect.kind](effect)
        except Exception as error:  # whatever the carrier raises is this effect's own trouble
            _try_later(effect, error, now=now)
        else:
            Effect.objects.filter(pk=effect.pk).update(
                done_at=now, next_attempt_at=None, last_error="", **_forgotten(effect)
            )
            delivered += 1
    return delivered


def carry(kind: str, *, by: Carrier) -> None:
    """Let everything of this kind be carried out `by` the one given."""
    _CARRIERS[kind] = by


def kinds_carried() -> list[str]:
    """The kinds this outbox delivers; what is owed of any other kind is done by the account's next sync."""
    return list(_CARRIERS)


def short_key(key: str) -> str:
    """`key` as it fits the column; a longer one keeps its beginning and ends with a digest of the whole."""
    if len(key) <= 200:
        return key
    return f"{key[:130]}:{hashlib.sha256(key.encode()).hexdigest()}"


def _claim(*, now: datetime, limit: int) -> list[Effect]:
    with transaction.atomic():
        owed = Effect.objects.filter(done_at__isnull=True, next_attempt_at__lte=now, kind__in=_CARRIERS)
        claimed = list(
            owed.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
            .order_by("next_attempt_at")
            .all()[:limit]
        )
        Effect.objects.filter(pk__in=[effect.pk for effect in claimed]).update(
            attempts=F("attempts") + 1, next_attempt_at=now + timedelta(seconds=CARRY_SECONDS)
        )
    for effect in claimed:
        effect.attempts += 1
    return claimed


def _forgotten(effect: Effect) -> dict[str, Any]:
    """The words of a mail go with the account it is about, or the person: the last ones, once they have left."""
    if effect.kind != "mail":
        return {}
    # Asked anew: account or person may have gone while the mail was on its way.
    is_forgotten = Q(account__closed_at__isnull=False) | Q(**{f"detail__{FORGET}": True})
    return {"detail": {}} if Effect.objects.filter(is_forgotten, pk=effect.pk).exists() else {}


def _try_later(effect: Effect, error: Exception, *, now: datetime) -> None:
    explanation = SECRET.sub("[secret]", f"{type(error).__name__}: {error}")[:500]
    given_up = effect.attempts >= MOST_ATTEMPTS
    Effect.objects.filter(pk=effect.pk).update(
        last_error=explanation, next_attempt_at=None if given_up else now + delay(effect.attempts)
    )
    log.warning("effect_not_delivered", key=effect.key, attempts=effect.attempts, error=explanation)
    if given_up:
        effect_given_up.send(Effect, effect=effect, explanation=explanation, now=now)


def _send_mail(effect: Effect) -> None:
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    digest = hashlib.sha256(effect.key.encode()).hexdigest()[:32]
    EmailMessage(
        subject=effect.detail["subject"],
        body=effect.detail["body"],
        to=[effect.detail["to"]],
        headers={"Message-ID": f"<{digest}@{host}>"}
        | ({ABOUT: str(effect.account_id)} if effect.account_id else {}),
    ).send()


_CARRIERS: dict[str, Carrier] = {"mail": _send_mail}
