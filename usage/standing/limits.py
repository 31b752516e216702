"""A standing limit and what is held against it: asked of entitlements anew by whoever holds the feature's row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from django.db import Error, transaction

from accounts.models import Account, User
from billing import catalog, clock, entitlements, money, seats
from billing.catalog import Feature
from billing.entitlements import Entitlements
from billing.gates import ON_HOLD
from usage.metering import windows
from usage.metering.consuming import check_role
from usage.metering.refusals import CheckFailed, FeatureNotIncluded, Refused, UnknownFeature
from usage.models import Gauge, Slot


class LimitReached(Refused):
    """There is no room for so many more.

    Reasons: `limit_reached`; `over_limit`, when more is held than the plan gives: nothing is deleted, what is there
    can be read and let go, and nothing is added until it fits or the plan is larger.
    """


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a feature is held, units (bytes for storage). `limit` None is unlimited; zero is zero.

    `over_since`: when it was first seen that more is held than the plan gives; None: it is not more. `running`: how
    many of `used` are runs, which end by themselves.
    """

    feature: str
    used: int
    limit: int | None
    over_since: datetime | None = None
    running: int = 0

    @property
    def kept(self) -> int:
        """What stays until somebody takes it away."""
        return self.used - self.running

    @property
    def is_over(self) -> bool:
        return self.limit is not None and self.used > self.limit

    @property
    def is_read_only(self) -> bool:
        """Nothing may be added or changed until what is held fits again; nothing is taken away either."""
        return self.is_over

    @property
    def remaining(self) -> int | None:
        return None if self.limit is None else max(self.limit - self.used, 0)


def state(account: Account, feature: str, now: datetime) -> Standing:
    """What is held of `feature`, and the limit in force. `now` is everybody's time (test clocks are honoured).

    Being above the limit is noted with the time it was first seen. Raises UnknownFeature; CheckFailed.
    """
    with or_check_failed():
        known = known_limit(feature)
        rights = entitlements.of(account, now=clock.at(account, now=now))
        if feature == seats.MEMBERS:
            return _members(account, rights, now=now)
        gauge = Gauge.objects.filter(account=account, feature=feature).first()
        if gauge is None:
            return Standing(feature, 0, rights.limit(feature))
        return Held(gauge, known, rights, now).standing()


@contextmanager
def locked(*, account: Account, feature: str, now: datetime, user: User | None = None) -> Iterator[Held]:
    """Hold the feature's row, and with it everybody else who wants more of it, for the length of the block.

    Raises UnknownFeature; FeatureNotIncluded (reason `role`) for guests; CheckFailed when the database or the price
    list cannot be read: nothing has been changed then.
    """
    with or_check_failed():
        known = known_limit(feature)
        if feature == seats.MEMBERS:
            raise UnknownFeature(
                "Members are counted by who is in the account. Invite and remove people there."
            )
        if user is not None:
            check_role(account, user, feature)
        with transaction.atomic():
            row = Gauge.objects.select_for_update().filter(account=account, feature=feature)
            gauge = row.first()
            if gauge is None:
                Gauge.objects.get_or_create(account=account, feature=feature, defaults={"changed_at": now})
                gauge = row.get()
            # After the lock, so that the limit is the one in force when it is our turn.
            rights = entitlements.of(account, now=clock.at(account, now=now))
            yield Held(gauge, known, rights, now)


class Held:
    """What one account holds of one feature, and what it may hold."""

    def __init__(self, gauge: Gauge, feature: Feature, rights: Entitlements, now: datetime) -> None:
        self.gauge, self._feature, self._rights, self._now = gauge, feature, rights, now
        self.limit = rights.limit(feature.key)

    @property
    def used(self) -> int:
        """Things and live runs together: one limit, however the product counts against it."""
        return self.gauge.value + self._runs

    @cached_property
    def _runs(self) -> int:
        runs = Slot.objects.live(self._now).filter(account=self.gauge.account_id, feature=self.gauge.feature)
        return runs.count()

    def set(self, value: int) -> None:
        Gauge.objects.filter(pk=self.gauge.pk).update(value=value, changed_at=self._now)
        self.gauge.value = value

    def standing(self) -> Standing:
        """As it is now; being over, or no longer, is noted with the time."""
        standing = Standing(
            self.gauge.feature, self.used, self.limit, self.gauge.over_since, running=self._runs
        )
        if standing.is_over == (standing.over_since is not None):
            return standing
        since = self._rights.now if standing.is_over else None
        Gauge.objects.filter(pk=self.gauge.pk, over_since=self.gauge.over_since).update(over_since=since)
        self.gauge.over_since = since
        return replace(standing, over_since=since)

    def refusal(self, units: int, *, is_run: bool = False) -> Refused | None:
        """Why `units` more may not be held, or one more run; None when they may. To be raised with the row let go."""
        if self.limit is None:
            return None
        used, limit = self.used, self.limit
        if used + units <= limit:
            return None
        name, plan = self._feature.name, self._rights.plan.name
        way_out = " or choose a larger plan" if is_more_sold(self._feature.key, limit) else ""
        if is_run and self._runs and limit:
            return self._refused(
                f"{self._said(used)} {'is' if used == 1 else 'are'} going on, and {plan} gives {self._said(limit)} at "
                f"the same time. Wait for one to finish{way_out}.",
                reason="over_limit" if used > limit else "limit_reached",
                waiting_helps=True,
            )
        if used > limit:
            return self._refused(
                f"{self._said(used)} are kept and {plan} gives {self._said(limit)}: "
                f"{self._said(used - limit)} too many, so nothing can be added. "
                f"Nothing is deleted: remove some{way_out}.",
                reason="over_limit",
            )
        if limit == 0:
            return self._refused(
                f"This account is on hold. {ON_HOLD}"
                if self._rights.is_blocked
                else f"{plan} does not include {name}.{' Choose a plan that does.' if way_out else ''}",
                kind=FeatureNotIncluded,
                reason=self._rights.reason if self._rights.is_blocked else "not_included",
            )
        return self._refused(
            f"{self._said(units)} asked for, {self._said(limit - used)} left of {self._said(limit)}. "
            f"Remove some{way_out}.",
            reason="limit_reached",
        )

    def _refused(
        self, message: str, *, reason: str, kind: type[Refused] = LimitReached, waiting_helps: bool = False
    ) -> Refused:
        limit = self.limit or 0
        is_sold = is_more_sold(self._feature.key, limit)
        return kind(
            message,
            feature=self.gauge.feature,
            reason=reason,
            used=self.used,
            limit=limit,
            comes_back_at=None,
            upgrade_url="" if self._rights.is_blocked else windows.upgrade_url(),
            is_more_sold=is_sold,
            helps=(*(("upgrade",) if is_sold else ()), *(("wait",) if waiting_helps else ())),
        )

    def _said(self, units: int) -> str:
        return money.quantity(units, self._feature)


def is_more_sold(feature: str, limit: int) -> bool:
    """Whether a plan of the price list gives more of `feature` than `limit`."""
    offers = [plan.limits.get(feature, 0) for plan in catalog.current().for_sale()]
    return any(offer is None or offer > limit for offer in offers)


@contextmanager
def or_check_failed() -> Iterator[None]:
    """What cannot be read or written is refused: CheckFailed."""
    try:
        yield
    except (Error, catalog.CatalogError) as error:
        raise CheckFailed(
            "The limit could not be checked just now, so nothing was changed. Try again with the same key."
        ) from error


def known_limit(feature: str) -> Feature:
    """The standing limit of this name. Raises UnknownFeature."""
    known = catalog.current().features.get(feature)
    if known is None or known.kind != "limit":
        raise UnknownFeature(f"The price list has no standing limit called {feature!r}.")
    return known


def _members(account: Account, rights: Entitlements, *, now: datetime) -> Standing:
    """People are counted where they join; here their number is only told."""
    sold = seats.sold(account, now=now)
    return Standing(
        seats.MEMBERS, seats.taken(account, now=now), rights.limit(seats.MEMBERS) if sold is None else sold
    )
