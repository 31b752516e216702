"""Nobody pays for what was used under a plan whose money went back, unless another plan ran beside it."""

from datetime import datetime, timedelta

import pytest

from accounts.models import Account
from billing.lifecycle import duplicates
from billing.models import Effect, Subscription
from tests.usage.conftest import NOON, subscribe
from usage.meters import periods

pytestmark = pytest.mark.django_db


def over(account: Account, *, began: datetime, ended: datetime, gave_back: bool = False) -> Subscription:
    found = subscribe(account, "payg", anchor=began, ended_at=ended)
    Subscription.objects.filter(pk=found.pk).update(is_live=False, status="canceled")
    if gave_back:
        key = duplicates.key_of(found.stripe_subscription_id)
        Effect.objects.create(key=key, kind="duplicate", account=account, created_at=ended)
    return found


def test_what_was_used_under_a_plan_given_back_is_paid_by_nobody(account: Account) -> None:
    over(account, began=NOON - timedelta(days=10), ended=NOON - timedelta(days=9), gave_back=True)

    assert periods.is_waived(account.pk, NOON - timedelta(days=9, hours=12))


def test_a_plan_bought_twice_and_given_back_waives_nothing_of_the_other(account: Account) -> None:
    over(account, began=NOON - timedelta(days=30), ended=NOON - timedelta(hours=3))
    over(account, began=NOON - timedelta(days=10), ended=NOON - timedelta(days=9), gave_back=True)

    assert not periods.is_waived(account.pk, NOON - timedelta(days=9, hours=12))
    assert not periods.is_waived(account.pk, NOON - timedelta(days=20))
