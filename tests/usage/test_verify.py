"""Counters and roll-ups are what the ledger adds up to, and where they are not, that is found and put right."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from accounts.models import Account, User
from tests.usage.conftest import NOON, assert_books_agree, subscribe
from usage import budgets
from usage.metering import verifying
from usage.models import MemberCounter, Repair, UsageCounter, UsageDay, UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)


def verify(**options: Any) -> str:
    said = StringIO()
    call_command("verify_usage", stdout=said, **options)
    return said.getvalue()


@pytest.fixture
def used(account: Account, generate: Any, bob: User, alice: User) -> Account:
    """Some of everything: two windows, two days, carried units, members, paid units."""
    subscribe(account, "pro", anchor=NOON - timedelta(days=10))
    budgets.set_member_budget(account=account, user=bob, feature="generations", units=50, now=NOON, by=alice)
    generate(3, user=bob)
    generate(4, now=NOON + timedelta(days=1))
    generate(2, feature="queries", user=alice)
    subscribe(account, "pro", anchor=NOON + timedelta(days=1))
    generate(5, user=bob, now=NOON + timedelta(days=2))
    subscribe(account, "payg", anchor=NOON + timedelta(days=1))
    generate(6, feature="tokens", now=NOON + timedelta(days=2))
    return account


def test_books_that_agree_are_left_alone(used: Account) -> None:
    assert verifying.differences(used) == []
    assert "0 numbers repaired" in verify(repair=True, reason="nightly")
    assert not Repair.objects.exists()


def test_every_number_that_is_off_is_named_and_repaired_with_the_reason(used: Account) -> None:
    counter = UsageCounter.objects.filter(account=used, feature="tokens").get()
    UsageCounter.objects.filter(pk=counter.pk).update(used=F("used") + 3, billed=F("billed") - 1)
    UsageDay.objects.filter(account=used, feature="generations", day="2026-11-21").update(units=40)
    UsageDay.objects.filter(account=used, feature="queries").delete()
    MemberCounter.objects.filter(account=used).update(used=1)

    said = StringIO()
    with pytest.raises(CommandError, match="numbers are not what the ledger adds up to"):
        call_command("verify_usage", account=used.pk, stdout=said)
    assert (
        f"{used.pk} tokens, used of the window from 2026-11-21 12:00: 9, the ledger has 6" in said.getvalue()
    )
    assert not Repair.objects.exists()

    verify(account=used.pk, repair=True, reason="a disk was full")

    assert verifying.differences(used) == []
    assert_books_agree(used)
    found = {
        (repair.what, repair.feature, repair.before, repair.after, repair.reason)
        for repair in Repair.objects.all()
    }
    assert {
        ("used", "tokens", 9, 6, "a disk was full"),
        ("billed", "tokens", 5, 6, "a disk was full"),
        ("units", "generations", 40, 4, "a disk was full"),
        ("units", "queries", 0, 2, "a disk was full"),
    } <= found


def test_a_repair_says_why(used: Account) -> None:
    with pytest.raises(CommandError, match="Say why"):
        verify(repair=True, reason=" ")
    with pytest.raises(ValueError, match="reason"):
        verifying.repair(used, reason="", now=NOON)


def test_an_act_that_went_missing_from_the_counter_is_counted_again(used: Account, generate: Any) -> None:
    UsageCounter.objects.filter(account=used, feature="tokens").update(used=0, billed=0)

    verifying.repair(used, reason="restored from a backup", now=NOON)

    assert generate(1, feature="tokens", now=NOON + timedelta(days=2)).used == 7


def test_what_somebody_used_who_is_gone_stays_in_the_sum(used: Account) -> None:
    someone = UsageRecord.objects.filter(account=used, user__isnull=False).first()
    assert someone is not None
    # As deleting a person leaves the ledger.
    gone = someone.user_id
    UsageRecord.objects.filter(user_id=gone).update(user=None)
    MemberCounter.objects.filter(user_id=gone).delete()
    UsageDay.objects.filter(user_id=gone).update(user_id=987654321)

    assert verifying.differences(used) == []


def test_only_the_account_that_was_named_is_looked_at(used: Account, alice: User) -> None:
    UsageCounter.objects.filter(account=used).update(used=100)

    assert "1 accounts looked at" in verify(account=alice.personal_account.pk)
    with pytest.raises(CommandError, match="There is no account"):
        verify(account="00000000-0000-4000-8000-000000000000")
