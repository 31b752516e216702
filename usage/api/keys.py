"""The key of a call with all that the call asks of it, read anew each time in one short round trip.

On PostgreSQL it is a prepared statement, elsewhere the ORM; the tests ask the same of both. Nothing is kept between
calls, so a key that is revoked is refused at the very next one.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, connections

from accounts import api_keys
from accounts.models import Account, ApiKey
from billing.models import Customer
from usage.metering import prepared

# One row always comes back, empty when there is no such key.
_FIND = prepared.Statement(
    "usage_find_key",
    "SELECT k.id::text, k.kind, k.name, k.scopes::text, k.last_used_at::text, a.id::text, a.kind, a.name,"
    " a.billing_email, a.timezone, a.person_id::text, a.created_at::text, a.closed_at::text, c.clock_now::text,"
    " c.access_version::text FROM (SELECT) AS nothing"
    " LEFT JOIN accounts_apikey k ON k.digest = $1::varchar AND k.revoked_at IS NULL"
    " AND (k.expires_at IS NULL OR k.expires_at > $2::timestamptz)"
    " LEFT JOIN accounts_account a ON a.id = k.account_id LEFT JOIN billing_customer c ON c.account_id = a.id",
)
_ACCOUNT = ["id", "kind", "name", "billing_email", "timezone", "person_id", "created_at", "closed_at"]


@dataclass(frozen=True, slots=True)
class Found:
    """A key that is in force, its account (None: a service key), and of the account's customer what access hangs on.

    On PostgreSQL the key's row is read as far as a call needs it; the rest is read when somebody asks.
    """

    key: ApiKey
    account: Account | None
    clock_now: datetime | None
    access_version: int


def find(*, key_text: str, now: datetime) -> Found | None:
    """The usable key with this text, or None. A text that is not a key costs no query. Raises django.db.Error."""
    if connections[DEFAULT_DB_ALIAS].vendor != "postgresql":
        return _find_portably(key_text, now)
    if not api_keys.looks_like_a_key(key_text):
        return None
    row = prepared.run(_FIND, (api_keys.digest(key_text), now), is_reading=True)
    key_id, kind, name, scopes, last_used_at, *of_account, clock_now, version = row
    if key_id is None:
        return None
    account = _account(of_account)
    key = ApiKey.from_db(
        DEFAULT_DB_ALIAS,
        ["id", "kind", "account_id", "name", "scopes", "last_used_at"],
        [int(key_id), kind, account and account.pk, name, json.loads(scopes or "[]"), _time(last_used_at)],
    )
    return Found(key, account, _time(clock_now), int(version or 0))


def _find_portably(key_text: str, now: datetime) -> Found | None:
    key = api_keys.find(key_text=key_text, now=now, along=("account__customer",))
    if key is None:
        return None
    customer: Customer | None = getattr(key.account, "customer", None)
    if customer is None:
        return Found(key, key.account, None, 0)
    return Found(key, key.account, customer.clock_now, customer.access_version)


def _account(row: list[str | None]) -> Account | None:
    account_id, kind, name, billing_email, timezone, person, created_at, closed_at = row
    if account_id is None:
        return None
    person_id = int(person) if person else None
    values = [uuid.UUID(account_id), kind, name, billing_email, timezone, person_id]
    return Account.from_db(DEFAULT_DB_ALIAS, _ACCOUNT, [*values, _time(created_at), _time(closed_at)])


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
