"""Keys for machines: shown once, kept as a hash, refused by checksum before the database is asked.

A key reads `th_acct_` or `th_svc_`, then 30 random base62 characters (178 bits), then 6 base62 characters of
CRC-32 over all that went before. The shape follows GitHub's tokens: a prefix that secret scanners find, and a
checksum that tells a typing mistake from a key
(https://github.blog/engineering/behind-githubs-new-authentication-token-formats/).
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from accounts import telling
from accounts.models import Account, ApiKey, Scope, User, every_scope

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIXES = {ApiKey.Kind.ACCOUNT: "th_acct_", ApiKey.Kind.SERVICE: "th_svc_"}
RANDOM_LENGTH = 30
CHECKSUM_LENGTH = 6
SHOWN_LENGTH = 6
# More is a list nobody can keep in view; a key that is not used is revoked.
MOST_KEYS = 50
LONGEST_OVERLAP = timedelta(days=30)


class NameTaken(Exception):
    """Another key of this account that still works has this name, so nobody could tell them apart."""


class TooManyKeys(Exception):
    """The account has as many keys in force as it may have."""


class NotInForce(Exception):
    """The key was revoked, rolled or has expired: there is nothing to roll."""


def issue(
    *,
    kind: str,
    name: str,
    now: datetime,
    account: Account | None = None,
    created_by: User | None = None,
    expires_at: datetime | None = None,
    scopes: Iterable[str] | None = None,
) -> tuple[ApiKey, str]:
    """Make a key. The text is returned here and nowhere else, ever.

    An account key needs its account; a service key must not have one (ValueError). `scopes` None: all of them.
    """
    kind = ApiKey.Kind(kind)
    if (kind == ApiKey.Kind.ACCOUNT) != (account is not None):
        raise ValueError("An account key belongs to an account, and a service key to none.")
    start = PREFIXES[kind] + "".join(secrets.choice(BASE62) for _ in range(RANDOM_LENGTH))
    key_text = start + _checksum(start)
    key = ApiKey.objects.create(
        kind=kind,
        account=account,
        name=name,
        prefix=key_text[: len(PREFIXES[kind]) + SHOWN_LENGTH],
        digest=digest(key_text),
        scopes=every_scope() if scopes is None else [Scope(scope).value for scope in scopes],
        created_by=created_by,
        created_at=now,
        expires_at=expires_at,
    )
    return key, key_text


def issue_for(
    *,
    account: Account,
    name: str,
    scopes: Iterable[str],
    by: User,
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make an account key at a member's wish. Raises NameTaken, so a form sent twice makes one key; TooManyKeys."""
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)
        in_force = ApiKey.objects.usable(now).filter(account=account)
        if in_force.filter(name=name, replaced_by=None).exists():
            raise NameTaken(name)
        if in_force.count() >= MOST_KEYS:
            raise TooManyKeys
        key, key_text = issue(
            kind=ApiKey.Kind.ACCOUNT,
            name=name,
            now=now,
            account=account,
            created_by=by,
            expires_at=expires_at,
            scopes=scopes,
        )
        telling.key_made(key, now=now)
        return key, key_text


def roll(*, key: ApiKey, overlap: timedelta, by: User | None, now: datetime) -> tuple[ApiKey, str]:
    """A new key in the place of `key`, which works for `overlap` longer (at most 30 days) and never again after.

    The new one has its name, scopes and last day. Raises NotInForce, also for a key that was rolled before.
    """
    with transaction.atomic():
        old = ApiKey.objects.select_for_update().get(pk=key.pk)
        if not old.is_usable(now) or old.replaced_by_id is not None:
            raise NotInForce(old.name)
        new, key_text = issue(
            kind=old.kind,
            name=old.name,
            now=now,
            account=old.account,
            created_by=by,
            expires_at=old.expires_at,
            scopes=old.scopes,
        )
        end = now + min(max(overlap, timedelta(0)), LONGEST_OVERLAP)
        old.expires_at = end if old.expires_at is None else min(end, old.expires_at)
        old.replaced_by = new
        old.save(update_fields=["expires_at", "replaced_by"])
        telling.key_rolled(old, new=new, by=by, now=now)
        return new, key_text


def find(*, key_text: str, now: datetime, along: tuple[str, ...] = ("account",)) -> ApiKey | None:
    """The usable key with this text, or None. A text that is not a key costs no query, another one costs one.

    `along` names the relations that come with it ("account__customer").

    The lookup is by SHA-256, so its timing tells nothing about the text of any other key.
    """
    if not looks_like_a_key(key_text):
        return None
    return ApiKey.objects.usable(now).select_related(*along).filter(digest=digest(key_text)).first()


def revoke(*, key: ApiKey, now: datetime, by: User | None = None) -> None:
    """The key is refused from the next request on, and its account hears of it. Revoking twice keeps the first time."""
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now):
            key.revoked_at = now
            telling.key_revoked(key, by=by, now=now)


def digest(key_text: str) -> str:
    """SHA-256 of the whole key, in hexadecimal: what the database keeps."""
    return hashlib.sha256(key_text.encode()).hexdigest()


def looks_like_a_key(key_text: str) -> bool:
    """True when the prefix, the length and the checksum are right."""
    start, checksum = key_text[:-CHECKSUM_LENGTH], key_text[-CHECKSUM_LENGTH:]
    prefix = next((prefix for prefix in PREFIXES.values() if start.startswith(prefix)), None)
    return (
        prefix is not None
        and len(start) == len(prefix) + RANDOM_LENGTH
        and key_text.isascii()
        and _checksum(start) == checksum
    )


def _checksum(start: str) -> str:
    number = zlib.crc32(start.encode())
    text = ""
    for _ in range(CHECKSUM_LENGTH):
        number, rest = divmod(number, 62)
        text = BASE62[rest] + text
    return text
