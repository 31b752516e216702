"""Plans given and taken back by staff, with the reason kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from accounts.models import Account, User
from billing import catalog
from billing.lifecycle import customers
from billing.models import Customer, PlanGrant


def give(
    *,
    account: Account,
    plan_key: str,
    kind: str,
    reason: str,
    now: datetime,
    by: User | None = None,
    starts_at: datetime | None = None,
    until: datetime | None = None,
    overrides: dict[str, Any] | None = None,
) -> PlanGrant:
    """Give `account` a plan from `starts_at` (default `now`) to `until` (default: open-ended).

    `overrides` are this deal's own limits by feature key; None is unlimited. Raises catalog.UnknownPlan.
    """
    catalog.current().plan(plan_key)
    customers.row(account)
    with transaction.atomic():
        grant = PlanGrant.objects.create(
            account=account,
            plan_key=plan_key,
            kind=kind,
            reason=reason,
            granted_by=by,
            starts_at=starts_at or now,
            until=until,
            overrides=overrides or {},
            created_at=now,
        )
        rights_changed(account)
    return grant


def revoke(*, grant: PlanGrant, now: datetime) -> None:
    """End a grant at once. The row stays, as the record of what was given."""
    with transaction.atomic():
        PlanGrant.objects.filter(pk=grant.pk, revoked_at__isnull=True).update(revoked_at=now)
        rights_changed(grant.account)


def rights_changed(account: Account) -> None:
    """Make every counter of the account ask again what it may do; call inside the transaction that changes it."""
    Customer.objects.filter(account=account).update(access_version=F("access_version") + 1)
