"""Telling something once: the row, an entry in each person's list, and an outbox row for each way out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Account, Delivery, Destination, InboxEntry, Member, Notification, User
from accounts.notifications import kinds, preferences, writing
from accounts.notifications.kinds import Kind
from config import nudge

To = Literal["billing", "everyone"] | User
ROLES = {
    Notification.Audience.BILLING: [Member.Role.OWNER, Member.Role.ADMIN],
    Notification.Audience.EVERYONE: [Member.Role.OWNER, Member.Role.ADMIN, Member.Role.MEMBER],
}


class NotInATransaction(Exception):
    """What is told must be committed together with what made it true, or not at all."""


def notify(
    *,
    account: Account | None,
    kind: str,
    key: str,
    now: datetime,
    context: dict[str, Any],
    to: To = "billing",
    by_mail: bool = True,
) -> Notification | None:
    """Tell it once per `key` within the account (or the person); None when it has been told before.

    key      names the fact: "receipt:in_123", "quota:generations:2026-11-01:80"
    now      the account's time
    context  plain JSON: times as ISO 8601, money as minor units with a currency. The words are made of it, and it
             is the data of webhooks
    to       "billing": owners and admins, and mail goes to the account's billing address if it has one;
             "everyone": all but guests; or one person. `account` may be None only for a person
    by_mail  False: this one is not worth a letter to anybody

    Call it in the transaction that makes it true. People see it in the site when that commits; mail, Slack and
    webhooks leave from the outbox after it.

    Raises NotInATransaction, kinds.UnknownKind; ValueError when there is nobody it could concern.
    """
    if not connection.in_atomic_block:
        raise NotInATransaction(f"Tell {key!r} inside the transaction that makes it true.")
    if account is None and not isinstance(to, User):
        raise ValueError("Without an account there must be a person to tell.")
    known = kinds.find(kind)
    name = _name(account, key, to)
    if Notification.objects.filter(key=name).exists():
        return None
    words = writing.words(known, context=context, account=account)
    # Of two who tell the same at once, the second waits for the first to commit.
    notification, is_new = Notification.objects.get_or_create(
        key=name,
        defaults={
            "account": account,
            "kind": kind,
            "to": Notification.Audience.PERSON if isinstance(to, User) else to,
            "subject": words.subject,
            "text": words.text,
            "context": context,
            "created_at": now,
        },
    )
    if not is_new:
        return None
    people = _people(notification, to)
    InboxEntry.objects.bulk_create([InboxEntry(notification=notification, user=user) for user in people])
    due = timezone.now()  # post leaves in everybody's time, whatever the account's is
    letters = _mails(notification, known, people, due) if by_mail else []
    Delivery.objects.bulk_create([*letters, *_elsewhere(notification, known, due)])
    transaction.on_commit(lambda: nudge.workers(nudge.DELIVER_NOTIFICATIONS))
    return notification


def overtake(*, account: Account, key: str, now: datetime) -> None:
    """What was told under `key` to the account is no longer so: the list in the site says it, and it is new to nobody.

    For what was to come and was taken back, in the transaction that takes it back. Mail that has left has left: what
    is told instead follows it. What has not left by mail or to Slack is not sent; servers are told everything.
    `now` is the account's time.
    """
    told = Notification.objects.filter(key=_name(account, key, "billing"), overtaken_at=None)
    InboxEntry.objects.filter(notification__in=told, read_at=None).update(read_at=timezone.now())
    owed = Delivery.objects.filter(notification__in=told, state=Delivery.State.WAITING)
    owed.exclude(channel=Delivery.Channel.WEBHOOK).update(state=Delivery.State.OVERTAKEN)
    told.update(overtaken_at=now)


def _name(account: Account | None, key: str, to: To) -> str:
    whose = f"account {account.pk.hex}" if account is not None else f"person {to.pk}"  # type: ignore[union-attr]
    name = f"{whose}: {key}"
    return name if len(name) <= 240 else f"{name[:170]}:{hashlib.sha256(name.encode()).hexdigest()}"


def _people(notification: Notification, to: To) -> list[User]:
    if isinstance(to, User):
        return [to]
    members = Member.objects.filter(account=notification.account, role__in=ROLES[Notification.Audience(to)])
    return [member.user for member in members.select_related("user").order_by("joined_at", "pk")]


def _mails(notification: Notification, kind: Kind, people: Iterable[User], due: datetime) -> list[Delivery]:
    account = notification.account
    at_billing = account is not None and kind.category == "billing" and notification.to == "billing"
    if account is not None and at_billing and account.billing_email:
        return [_mail(notification, account.billing_email, None, due)]
    willing = preferences.willing(kind, [user for user in people if user.is_active and user.email])
    # One letter per mailbox, however its address is written.
    by_address = {user.email.lower(): user for user in willing}
    return [_mail(notification, user.email, user, due) for user in by_address.values()]


def _mail(notification: Notification, address: str, user: User | None, due: datetime) -> Delivery:
    return Delivery(
        notification=notification,
        channel=Delivery.Channel.MAIL,
        address=address,
        user=user,
        next_attempt_at=due,
    )


def _elsewhere(notification: Notification, kind: Kind, due: datetime) -> list[Delivery]:
    """To the account's Slack and servers; what concerns one person alone stays with them."""
    if notification.account is None or notification.to == Notification.Audience.PERSON:
        return []
    wanted = [
        destination
        for destination in Destination.objects.filter(account=notification.account, disabled_at=None)
        if kind.category in destination.categories
    ]
    return [
        Delivery(
            notification=notification,
            channel=destination.channel,
            destination=destination,
            next_attempt_at=due,
        )
        for destination in wanted
    ]
