"""Who is calling: a browser's session, an account's key, or a service key that names the account it acts for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.db.models import Q
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer

from accounts import api_keys
from accounts.models import Account, ApiKey, User
from billing import catalog, clock, entitlements
from usage.api import keys, rate_limit, scopes
from usage.api.keys import Found
from usage.api.problems import Problem, not_found


@dataclass(frozen=True)
class Caller:
    """`account` is None for a service key only: it acts for the account that each call names."""

    account: Account | None
    user: User | None = None
    key: ApiKey | None = None

    def acts_for(self, account_id: uuid.UUID | None) -> Account:
        """The account of this call. Another's id and an unknown one are answered alike."""
        if self.account is not None:
            if account_id is not None and account_id != self.account.pk:
                not_found("There is no such account.")
            return self.account
        if account_id is None:
            raise Problem(
                400, "account_required", "A service key acts for any account: send the id as `account`."
            )
        return Account.objects.filter(pk=account_id).first() or not_found("There is no such account.")

    def counts_for(self, account_id: uuid.UUID | None) -> Account:
        """The account of a call that counts. With a service key it is taken by its id alone: a counter that is open
        proves that there is such an account, and without one it is looked for (Account.DoesNotExist)."""
        if self.account is not None or account_id is None:
            return self.acts_for(account_id)
        return Account.objects.by_id_alone(account_id)


class BearerKey(HttpBearer):
    """`Authorization: Bearer th_…`, an account key or a service key."""

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        refuse_key_in_address(request)
        now = clock.wall()
        found = keys.find(key_text=token, now=now)
        if found is None:
            return None
        rate_limit.count(request, found.key, now=now)
        scopes.check(request, found.key)
        _note_use(found.key, now=now)
        if found.account is not None:
            _check_plan_includes_keys(found.account, found, now=now)
        return Caller(account=found.account, key=found.key)


class Session(APIKeyCookie):
    """The log-in of the site, for pages of ours that call the API. Writing calls need the CSRF token."""

    param_name = "sessionid"

    def __call__(self, request: HttpRequest) -> Caller | None:
        refuse_key_in_address(request)
        # A request with a key of its own skips the session (usage.middleware): a key that is refused is refused.
        if not hasattr(request, "user") or not request.user.is_authenticated:
            return None
        self._get_key(request)  # the CSRF check of writing calls
        return self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        account = getattr(request, "account", None)
        assert isinstance(request.user, User)
        return Caller(account=account, user=request.user) if account is not None else None


def refuse_key_in_address(request: HttpRequest) -> None:
    """Addresses end up in logs and histories, so a key in one is as good as published."""
    if any(api_keys.looks_like_a_key(value) for values in request.GET.lists() for value in values[1]):
        raise Problem(
            400,
            "key_in_url",
            "This key has been sent in the address, where logs keep it. Revoke it, and send the new one as "
            "`Authorization: Bearer …`.",
        )


def _note_use(key: ApiKey, *, now: datetime) -> None:
    """Once a minute is enough to see whether a key is in use, and keeps a busy key's row quiet."""
    before = now - timedelta(minutes=1)
    if key.last_used_at is None or key.last_used_at < before:
        unnoted = Q(last_used_at__isnull=True) | Q(last_used_at__lt=before)
        ApiKey.objects.filter(unnoted, pk=key.pk).update(last_used_at=now)


def _check_plan_includes_keys(account: Account, found: Found, *, now: datetime) -> None:
    """An account's own keys work while its plan has `api_access`; they are kept for when it has it again."""
    switch = catalog.current().features.get("api_access")
    if switch is None or switch.kind != "switch":
        return
    known = _known_access(account.pk)
    now = found.clock_now or now
    stamp = f"{catalog.current().fingerprint}:{found.access_version}"
    if known.stamp != stamp or not known.learned_at <= now < known.valid_until:
        rights = entitlements.of(account, now=now)
        known.stamp, known.learned_at = rights.stamp, now
        known.valid_until = rights.valid_until or now + timedelta(hours=1)
        known.is_included = rights.includes("api_access")
        known.plan_name = rights.plan.name
    if not known.is_included:
        raise Problem(
            403,
            "feature_not_included",
            f"{known.plan_name} does not include {switch.name}. The key is kept and works again on a plan that does.",
            feature="api_access",
            reason="not_included",
        )


class _Known:
    """What this process last learned of an account; worth nothing once the stamp or the time has passed."""

    def __init__(self) -> None:
        self.stamp = ""
        self.learned_at = self.valid_until = clock.wall()
        self.is_included = False
        self.plan_name = ""


@lru_cache(maxsize=10_000)
def _known_access(account_id: uuid.UUID) -> _Known:
    return _Known()
