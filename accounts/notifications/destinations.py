"""Where an organization is told besides mail: added, changed, switched off when nothing gets through for days."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from accounts import sealing
from accounts.models import Account, Delivery, Destination, Member, Notification
from accounts.notifications import kinds, outgoing, writing
from accounts.notifications.kinds import CATEGORIES
from config import nudge

MOST_DESTINATIONS = 10
OLD_SECRET_LASTS = timedelta(hours=24)
SWITCHED_OFF_AFTER = timedelta(days=5)
SLACK_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
PURPOSE = "tallyhouse.destinations"


class NotAllowed(Exception):
    """Only owners and admins say where an organization's messages go."""


class PersonalAccount(Exception):
    """A personal account has its mail; Slack and webhooks are for organizations."""


class TooMany(Exception):
    """The account has as many destinations as it may have."""


class NothingChosen(Exception):
    """A destination to which nothing is sent is none."""


class NotSlack(Exception):
    """Slack's addresses begin with https://hooks.slack.com/."""


class NotAWebhook(Exception):
    """Slack does not sign and has no secret to roll."""


def add(
    *, account: Account, channel: str, url: str, categories: Iterable[str], by: Member, now: datetime
) -> tuple[Destination, str]:
    """A new destination, and the secret its messages are signed with ("" for Slack). The secret is shown once.

    Raises NotAllowed, PersonalAccount, TooMany, NothingChosen, NotSlack, outgoing.NotAllowed and
    outgoing.NotReached (the address is no place we would call). `now` is wall time.
    """
    _check_may(account, by)
    chosen = _known(categories)
    url = url.strip()
    outgoing.check(url)
    if (
        channel == Destination.Channel.SLACK
        and urlsplit(url).hostname not in SLACK_HOSTS
        and not settings.OUTGOING_TO_PRIVATE_ADDRESSES
    ):
        raise NotSlack("Slack's addresses begin with https://hooks.slack.com/. Copy it from your Slack app.")
    secret = _new_secret() if channel == Destination.Channel.WEBHOOK else ""
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)
        if Destination.objects.filter(account=account).count() >= MOST_DESTINATIONS:
            raise TooMany(f"An account has at most {MOST_DESTINATIONS} destinations. Remove one first.")
        destination = Destination.objects.create(
            account=account,
            channel=Destination.Channel(channel),
            sealed_url=sealing.seal(url, purpose=PURPOSE),
            shown_url=_shown(url),
            categories=chosen,
            sealed_secret=sealing.seal(secret, purpose=PURPOSE) if secret else "",
            created_by=by.user,
            created_at=now,
        )
    return destination, secret


def choose(*, destination: Destination, categories: Iterable[str], by: Member) -> None:
    """What is sent there from now on. Raises NotAllowed, NothingChosen."""
    _check_may(destination.account, by)
    Destination.objects.filter(pk=destination.pk).update(categories=_known(categories))


def roll_secret(*, destination: Destination, by: Member, now: datetime) -> str:
    """A new secret, shown once; for 24 hours messages are signed with both. Raises NotAllowed, NotAWebhook."""
    _check_may(destination.account, by)
    if destination.channel != Destination.Channel.WEBHOOK:
        raise NotAWebhook
    secret = _new_secret()
    with transaction.atomic():
        held = Destination.objects.select_for_update().get(pk=destination.pk)
        held.sealed_old_secret = held.sealed_secret
        held.old_secret_until = now + OLD_SECRET_LASTS
        held.sealed_secret = sealing.seal(secret, purpose=PURPOSE)
        held.save(update_fields=["sealed_old_secret", "old_secret_until", "sealed_secret"])
    return secret


def send_test(*, destination: Destination, by: Member, now: datetime) -> None:
    """Owe it one message that says nothing else, so that its receiver can be tried. Raises NotAllowed.

    In nobody's list: whoever asked sees in the log what became of it. `now` is wall time.
    """
    _check_may(destination.account, by)
    context = {"by": by.user.name or by.user.email}
    words = writing.words(kinds.find("test"), context=context, account=destination.account)
    with transaction.atomic():
        told = Notification.objects.create(
            account=destination.account,
            kind="test",
            to=Notification.Audience.BILLING,
            key=f"test:{uuid.uuid4().hex}",
            subject=words.subject,
            text=words.text,
            context=context,
            created_at=now,
        )
        Delivery.objects.create(
            notification=told, channel=destination.channel, destination=destination, next_attempt_at=now
        )
        transaction.on_commit(lambda: nudge.workers(nudge.DELIVER_NOTIFICATIONS))


def turn_off(*, destination: Destination, by: Member, now: datetime) -> None:
    """Nothing goes there until it is on again; what is owed waits. Raises NotAllowed."""
    _check_may(destination.account, by)
    name = by.user.name or by.user.email
    Destination.objects.filter(pk=destination.pk, disabled_at=None).update(
        disabled_at=now, disabled_reason=f"Switched off by {name}."[:200]
    )


def turn_on(*, destination: Destination, by: Member) -> None:
    """What waited leaves now. Raises NotAllowed."""
    _check_may(destination.account, by)
    Destination.objects.filter(pk=destination.pk).update(
        disabled_at=None, disabled_reason="", failing_since=None
    )


def remove(*, destination: Destination, by: Member) -> None:
    """With its log and all that is owed to it. Raises NotAllowed."""
    _check_may(destination.account, by)
    Destination.objects.filter(pk=destination.pk).delete()


def url_of(destination: Destination) -> str:
    return sealing.unseal(destination.sealed_url, purpose=PURPOSE)


def secrets_of(destination: Destination, *, now: datetime) -> list[str]:
    """Those that sign at `now`: the present one, and for a day after a roll the one before."""
    sealed = [destination.sealed_secret]
    if destination.old_secret_until is not None and now < destination.old_secret_until:
        sealed.append(destination.sealed_old_secret)
    return [sealing.unseal(text, purpose=PURPOSE) for text in sealed if text]


def note_success(destination: Destination) -> None:
    Destination.objects.filter(pk=destination.pk, failing_since__isnull=False).update(failing_since=None)


def note_failure(destination: Destination, error: Exception, *, retry_at: datetime, now: datetime) -> None:
    """Let the rest of what is owed there wait as well, and after days without one success switch it off."""
    Delivery.objects.filter(
        destination=destination, state=Delivery.State.WAITING, next_attempt_at__lt=retry_at
    ).update(next_attempt_at=retry_at)
    Destination.objects.filter(pk=destination.pk, failing_since__isnull=True).update(failing_since=now)
    since = Destination.objects.filter(pk=destination.pk).values_list("failing_since", flat=True).first()
    if getattr(error, "status_code", None) == 410:
        # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#responses
        _switch_off(destination, "It answered 410: this address is not in use any more.", now=now)
    elif since is not None and now - since >= SWITCHED_OFF_AFTER:
        days = SWITCHED_OFF_AFTER.days
        _switch_off(destination, f"Nothing got through for {days} days.", now=now)


def _switch_off(destination: Destination, reason: str, *, now: datetime) -> None:
    from accounts.notifications.notifying import notify  # whose outbox calls here

    with transaction.atomic():
        switched = Destination.objects.filter(pk=destination.pk, disabled_at=None).update(
            disabled_at=now, disabled_reason=reason
        )
        if switched:
            notify(
                account=destination.account,
                kind="destination_disabled",
                key=f"destination_disabled:{destination.pk}:{now.isoformat()}",
                now=now,
                context={
                    "channel": destination.get_channel_display(),
                    "url": destination.shown_url,
                    "reason": reason,
                },
            )


def _check_may(account: Account, by: Member) -> None:
    current = account.members.filter(pk=by.pk).first()
    if current is None or not current.may_bill:
        raise NotAllowed
    if account.kind == Account.Kind.PERSONAL:
        raise PersonalAccount


def _known(categories: Iterable[str]) -> list[str]:
    wanted = set(categories)
    chosen: list[str] = [name for name in CATEGORIES if name in wanted]
    if not chosen:
        raise NothingChosen("Choose at least one thing to be told of.")
    return chosen


def _new_secret() -> str:
    """24 random bytes, in the form Standard Webhooks asks for."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def _shown(url: str) -> str:
    """Enough to tell addresses apart: Slack's path and a query are secrets themselves."""
    parts = urlsplit(url)
    path = parts.path if len(parts.path) <= 12 else parts.path[:10] + "…"
    return f"{parts.scheme}://{parts.netloc}{path}"[:200]
