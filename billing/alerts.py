"""Something staff must know: one row per fact, however often it is seen, and one mail when it is new."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from accounts.models import Account, Delivery
from billing import effects
from billing.models import Alert, Effect
from config.logs import SECRET

# How the keys of mails about alerts begin.
MAIL_OF_ALERT = "mail:alert:"


def raise_alert(*, key: str, kind: str, message: str, now: datetime, account: Account | None = None) -> Alert:
    """Raise the alert named `key`, or see it once more. Seen again after it was resolved, it is open again.

    With STAFF_ALERT_EMAIL set, a mail leaves through the outbox when the alert is raised and when it reopens.
    Works inside the caller's transaction: no alert for something that did not happen.
    """
    key, message = effects.short_key(key), SECRET.sub("[secret]", message)
    with transaction.atomic():
        alert, is_new = Alert.objects.get_or_create(
            key=key,
            defaults={
                "kind": kind,
                "message": message,
                "account": account,
                "raised_at": now,
                "last_seen_at": now,
            },
        )
        if not is_new:
            # A condition in the UPDATE, so that of two who see it at once only one reopens it.
            is_new = (
                Alert.objects.filter(pk=alert.pk, resolved_at__isnull=False).update(
                    resolved_at=None, raised_at=now
                )
                == 1
            )
            Alert.objects.filter(pk=alert.pk).update(
                times_seen=F("times_seen") + 1, last_seen_at=now, message=message
            )
            alert.refresh_from_db()
        if is_new and settings.STAFF_ALERT_EMAIL:
            effects.owe_mail(
                key=f"{MAIL_OF_ALERT}{key}:{alert.times_seen}",
                to=settings.STAFF_ALERT_EMAIL,
                subject=f"[{settings.SITE_NAME}] {kind.replace('_', ' ')}",
                body=f"{message}\n\nOpen it: {settings.BASE_URL}/staff/billing/alert/{alert.pk}/change/\n",
                account=account,
                now=now,
            )
    return alert


def tell_of_undelivered(*, delivery: Delivery, explanation: str, now: datetime, **_: Any) -> None:
    """A customer was not reached by mail, Slack or webhook, however often it was tried."""
    told = delivery.notification
    raise_alert(
        key=f"undelivered:{delivery.pk}",
        kind="undelivered_notification",
        message=f"{told.kind} of {told.account or told.key} could not be delivered by {delivery.channel} in "
        f"{delivery.attempts} attempts: {explanation}",
        account=told.account,
        now=now,
    )


def tell_of_given_up(*, effect: Effect, explanation: str, now: datetime, **_: Any) -> None:
    """What was owed was not carried out, however often it was tried."""
    if effect.key.startswith(MAIL_OF_ALERT):  # which must not raise an alert mail about itself
        return
    raise_alert(
        key=f"undelivered:{effect.key}",
        kind="undelivered_effect",
        message=f"{effect.key} could not be delivered in {effect.attempts} attempts: {explanation}",
        account=effect.account,
        now=now,
    )
