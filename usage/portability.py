"""Everything that is kept about an account, as an archive written while it is read: JSON, and one JSON line a row."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson
from django.db.models import Model, Q, QuerySet

from accounts.models import Account, ApiKey, Delivery, Invitation, Member, Notification
from billing.leaving import erasing
from billing.models import (
    CreditGrant,
    Departure,
    Effect,
    Enquiry,
    Offer,
    Payment,
    PlanGrant,
    Subscription,
    Withdrawal,
)
from usage.models import AlertWish, Gauge, GaugeClaim, Reservation, Slot, UsageDay, UsageRecord

# Rows read at a time.
HELPING = 2000
# What is a key or a door, or speaks of others than the account.
LEFT_OUT = frozenset(
    [
        "created_by",
        "digest",
        "granted_by",
        "handled_by",
        "invited_by",
        "last_error",
        "made_by",
        "nonce",
        "set_by",
        "token_digest",
    ]
)


def archive(*, account: Account, now: datetime) -> Iterator[bytes]:
    """A zip file in pieces, however long the ledger is (https://gdpr-info.eu/art-20-gdpr/)."""
    written = _Written()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        about = {"account": _row(account), "exported_at": now, "files": sorted(_LISTS)}
        file.writestr("account.json", orjson.dumps(about, default=str, option=orjson.OPT_INDENT_2))
        yield written.taken()
        for name, rows in sorted(_LISTS.items()):
            with file.open(f"{name}.jsonl", "w") as entry:
                for line in _lines(rows(account)):
                    entry.write(line)
                    if written.size > 64_000:
                        yield written.taken()
            yield written.taken()
    yield written.taken()


class _Written:
    """What the archive has written and nobody has taken yet."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0

    def write(self, given: bytes, /) -> int:
        piece = bytes(given)  # zipfile reuses what it gives
        self.pieces.append(piece)
        self.size += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What is left is still to be taken."""

    def taken(self) -> bytes:
        joined = b"".join(self.pieces)
        self.pieces, self.size = [], 0
        return joined


def _lines(rows: QuerySet[Any]) -> Iterable[bytes]:
    for row in rows.order_by("pk").iterator(chunk_size=HELPING):
        yield orjson.dumps(_row(row), default=str) + b"\n"


def _row(row: Model) -> dict[str, Any]:
    return {
        field.name: field.value_from_object(row)
        for field in row._meta.concrete_fields
        if field.name not in LEFT_OUT
    }


def _said_by(account: Account) -> Q:
    return erasing.by(account, erasing.proven_addresses(account))


_LISTS: dict[str, Callable[[Account], QuerySet[Any]]] = {
    "members": lambda account: Member.objects.filter(account=account),
    "invitations": lambda account: Invitation.objects.filter(account=account),
    "api_keys": lambda account: ApiKey.objects.filter(account=account),
    "subscriptions": lambda account: Subscription.objects.filter(account=account),
    "payments": lambda account: Payment.objects.filter(account=account),
    "grants": lambda account: PlanGrant.objects.filter(account=account),
    "credits": lambda account: CreditGrant.objects.filter(account=account),
    # What was written to us, also without a log-in, from an address that is proven to be the person's.
    "enquiries": lambda account: Enquiry.objects.filter(_said_by(account)),
    "offers": lambda account: Offer.objects.filter(account=account),
    "withdrawals": lambda account: Withdrawal.objects.filter(_said_by(account)),
    "departures": lambda account: Departure.objects.filter(account=account),
    # What was told to one person alone is that person's.
    "notifications": lambda account: Notification.objects.filter(account=account).exclude(to="person"),
    "notification_mails": lambda account: Delivery.objects.filter(
        notification__account=account, channel=Delivery.Channel.MAIL
    ).exclude(notification__to="person"),
    # Letters to staff about the account are not its own.
    "mails": lambda account: Effect.objects.filter(account=account, kind="mail").exclude(
        key__startswith="mail:alert:"
    ),
    "alert_thresholds": lambda account: AlertWish.objects.filter(account=account),
    "usage": lambda account: UsageRecord.objects.filter(account=account),
    "reservations": lambda account: Reservation.objects.filter(account=account),
    "kept": lambda account: Gauge.objects.filter(account=account),
    "kept_by_name": lambda account: GaugeClaim.objects.filter(account=account),
    "runs": lambda account: Slot.objects.filter(account=account),
    "usage_by_day": lambda account: UsageDay.objects.filter(account=account),
}
