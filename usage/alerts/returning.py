"""“Your allowance is back”: once, to those who had used it up, when the next window has begun."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from accounts.notifications import notify
from billing import catalog, clock, entitlements, money
from usage import metering
from usage.alerts.telling import is_daily
from usage.models import Crossing
from usage.periods import Period

log = structlog.get_logger(__name__)

RUN_SECONDS = 45
# Who was not told by then knows it.
STALE = timedelta(days=7)


def tell(*, now: datetime, limit: int = 2000) -> int:
    """Tell whoever has it back at `now` (wall time; who lives on a test clock is judged by that).

    Answers how many allowances were looked at before RUN_SECONDS were over.
    """
    started = time.monotonic()
    looked_at = 0
    for crossing in _over(now)[:limit]:
        if time.monotonic() - started > RUN_SECONDS:
            break
        try:
            _tell(crossing, now=clock.at(crossing.account, now=now))
        except Exception:  # one account's trouble must not keep the others waiting
            log.exception("return_not_told", account=str(crossing.account_id), feature=crossing.feature)
        looked_at += 1
    return looked_at


def _over(now: datetime) -> list[Crossing]:
    """By chance, so that what cannot be told does not always come first."""
    used_up = Crossing.objects.filter(kind=Crossing.Kind.QUOTA, threshold=100, back_at__isnull=True)
    over = used_up.annotate(at=Coalesce("account__customer__clock_now", Value(now))).filter(
        period_end__lte=F("at")
    )
    return list(over.select_related("account").order_by("?"))


def _tell(crossing: Crossing, *, now: datetime) -> None:
    with transaction.atomic():
        # Whoever marks it tells it.
        marked = Crossing.objects.filter(pk=crossing.pk, back_at__isnull=True).update(back_at=now)
        if marked and now - crossing.period_end < STALE:
            _tell_of_window(crossing, now=now)


def _tell_of_window(crossing: Crossing, *, now: datetime) -> None:
    rights = entitlements.of(crossing.account, now=now)
    try:
        balance = metering.balance(crossing.account, crossing.feature, now=now, rights=rights)
    except (metering.FeatureNotIncluded, metering.UnknownFeature):
        return  # the plan that gave it is gone
    is_another = balance.period_start >= crossing.period_end
    if not is_another or balance.included == 0 or (balance.remaining is not None and balance.remaining <= 0):
        return
    feature = catalog.current().feature(crossing.feature)
    notify(
        account=crossing.account,
        kind="allowance_back",
        key=f"allowance_back:{feature.key}:{balance.period_start.isoformat()}",
        now=now,
        context={
            "feature": feature.name,
            "feature_key": feature.key,
            "unit": feature.unit_many,
            "limit": balance.included,
            "limit_text": money.quantity(balance.included, feature),
            "until": balance.period_end.isoformat(),
        },
        to="everyone",
        # Nobody wants a letter each morning; the list in the site has it.
        by_mail=not is_daily(Period(balance.period_start, balance.period_end)),
    )
