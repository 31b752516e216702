"""Units bought ahead or given: put in once, drawn in a fixed order, back where they came from, never below zero."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from accounts.models import Account
from billing import credits, entitlements
from billing.models import CreditEntry, CreditGrant
from tests.factories import organization, person

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def price_list(settings: Any) -> None:
    settings.BILLING_CATALOG = str(Path(__file__).parent.parent / "usage" / "catalog.toml")


@pytest.fixture
def account(db: None) -> Account:
    return organization(owner=person())


def gift(account: Account, units: int, *, key: str, **terms: object) -> CreditGrant:
    terms = {"now": NOW, "reason": "A bad week", "feature": "generations", "source": "gift", **terms}
    return credits.give(account=account, units=units, source_key=key, **terms)  # type: ignore[arg-type]


def take(account: Account, units: int, *, record: int, now: datetime = NOW) -> int:
    with transaction.atomic():
        return credits.take(account=account, feature="generations", units=units, now=now, record_id=record)


def books_balance() -> bool:
    return all(
        grant.remaining == grant.entries.aggregate(units=Sum("units"))["units"]
        for grant in CreditGrant.objects.all()
    )


def test_the_same_fact_gives_once(account: Account) -> None:
    first = gift(account, 100, key="apology:1")
    again = gift(account, 100, key="apology:1")
    assert again == first
    assert credits.left(account, "generations", now=NOW) == 100
    assert CreditEntry.objects.count() == 1


def test_a_grant_is_seen_by_the_counters_at_once(account: Account) -> None:
    gift(account, 1, key="a")
    before = entitlements.of(account, now=NOW).stamp
    gift(account, 1, key="b")
    assert entitlements.of(account, now=NOW).stamp != before


def test_credits_are_drawn_by_priority_then_by_what_ends_first_then_by_age(account: Account) -> None:
    forever = gift(account, 10, key="forever")
    later = gift(account, 10, key="later", expires_at=NOW + timedelta(days=60))
    sooner = gift(account, 10, key="sooner", expires_at=NOW + timedelta(days=30))
    first = gift(account, 10, key="first", priority=1)
    younger = gift(account, 10, key="younger", now=NOW + timedelta(days=1))

    for number, grant in enumerate((first, sooner, later, forever, younger)):
        assert take(account, 10, record=number + 1, now=NOW + timedelta(days=2)) == 10
        grant.refresh_from_db()
        assert grant.remaining == 0, grant.source_key
    assert take(account, 1, record=9) == 0
    assert books_balance()


def test_what_is_asked_beyond_the_credits_is_not_drawn(account: Account) -> None:
    gift(account, 7, key="a")
    gift(account, 5, key="b")
    assert take(account, 20, record=1) == 12
    assert credits.left(account, "generations", now=NOW) == 0


def test_credits_that_are_over_are_not_drawn_and_written_off_once(account: Account) -> None:
    ends = NOW + timedelta(days=30)
    gift(account, 10, key="a", expires_at=ends)
    assert take(account, 4, record=1, now=ends - timedelta(seconds=1)) == 4
    assert take(account, 4, record=2, now=ends) == 0
    assert credits.expire(now=ends) == 1
    assert credits.expire(now=ends) == 0
    entry = CreditEntry.objects.get(kind="expire")
    assert entry.units == -6
    assert books_balance()


def test_an_account_on_a_test_clock_loses_credits_in_its_own_time(account: Account) -> None:
    ends = NOW + timedelta(days=30)
    gift(account, 10, key="a", expires_at=ends)
    account.customer.__class__.objects.update(clock_now=NOW)
    assert credits.expire(now=ends + timedelta(days=300)) == 0
    account.customer.__class__.objects.update(clock_now=ends)
    assert credits.expire(now=NOW) == 1


def test_units_of_another_account_or_feature_are_never_drawn(account: Account) -> None:
    other = organization(owner=person())
    gift(other, 10, key="theirs")
    gift(account, 10, key="tokens", feature="tokens")
    assert take(account, 5, record=1) == 0
    assert credits.left(other, "generations", now=NOW) == 10


def test_what_an_act_burned_goes_back_where_it_came_from_last_first(account: Account) -> None:
    first = gift(account, 10, key="a", priority=1)
    second = gift(account, 10, key="b")
    take(account, 15, record=1)
    with transaction.atomic():
        assert credits.put_back(record_id=1, units=7, now=NOW) == 7
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.remaining, second.remaining) == (2, 10)
    with transaction.atomic():
        assert credits.put_back(record_id=1, now=NOW) == 8
        assert credits.put_back(record_id=1, now=NOW) == 0
    assert credits.left(account, "generations", now=NOW) == 20
    assert books_balance()


def test_held_units_are_gone_until_they_are_kept_or_given_back(account: Account) -> None:
    ends = NOW + timedelta(hours=1)
    grant = gift(account, 10, key="a", expires_at=ends)
    with transaction.atomic():
        assert credits.take(account=account, feature="generations", units=8, now=NOW, reservation_id=5) == 8
    assert credits.left(account, "generations", now=NOW) == 2
    # The work ended after the credits did: what was held for it counts all the same.
    with transaction.atomic():
        assert credits.keep(reservation_id=5, units=6, record_id=77, now=ends) == 6
        assert credits.put_back(reservation_id=5, now=ends) == 2
        assert credits.put_back(reservation_id=5, now=ends) == 0
    grant.refresh_from_db()
    assert grant.remaining == 4
    assert credits.left(account, "generations", now=ends) == 0
    with transaction.atomic():
        assert credits.put_back(record_id=77, now=ends) == 6
    assert books_balance()


def test_a_refund_takes_back_what_is_left_and_says_what_was_used(account: Account) -> None:
    grant = gift(account, 100, key="a")
    take(account, 30, record=1)
    assert credits.set_refunded(grant=grant, units=50, now=NOW, reason="Half refunded") == 0
    assert credits.left(account, "generations", now=NOW) == 20
    assert credits.set_refunded(grant=grant, units=50, now=NOW, reason="Half refunded") == 0
    assert credits.set_refunded(grant=grant, units=100, now=NOW, reason="Refunded") == 30
    assert credits.left(account, "generations", now=NOW) == 0
    # The dispute was won.
    assert credits.set_refunded(grant=grant, units=0, now=NOW, reason="Won") == 0
    assert credits.left(account, "generations", now=NOW) == 70
    assert books_balance()


def test_staff_correct_within_what_was_granted_and_say_why(account: Account) -> None:
    staff = person(is_staff=True)
    grant = gift(account, 10, key="a")
    credits.correct(grant=grant, units=-4, by=staff, reason="Given twice", now=NOW)
    for units in (0, -7, 5):
        with pytest.raises(credits.BadCredits, match="can be corrected"):
            credits.correct(grant=grant, units=units, by=staff, reason="Too much", now=NOW)
    with pytest.raises(credits.BadCredits, match="Say why"):
        credits.correct(grant=grant, units=1, by=staff, reason=" ", now=NOW)
    assert credits.left(account, "generations", now=NOW) == 6
    assert books_balance()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"feature": "projects"}, "nothing countable called 'projects'"),
        ({"feature": "nonsense"}, "nothing countable called 'nonsense'"),
        ({"units": 0}, "whole number from 1"),
        ({"units": -5}, "whole number from 1"),
        ({"units": 1.5}, "whole number from 1"),
        ({"reason": "  "}, "Say why"),
        ({"expires_at": NOW}, "must be ahead"),
    ],
)
def test_what_cannot_be_given_says_why_and_gives_nothing(
    account: Account, change: dict[str, object], words: str
) -> None:
    terms = {"units": 5, **change}
    with pytest.raises(credits.BadCredits, match=words):
        gift(account, key="a", **terms)  # type: ignore[arg-type]
    assert not CreditGrant.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_credits_are_not_drawn_outside_the_transaction_that_counts() -> None:
    account = organization(owner=person())
    gift(account, 5, key="a")
    with pytest.raises(credits.NotInATransaction):
        credits.take(account=account, feature="generations", units=1, now=NOW, record_id=1)
    assert credits.left(account, "generations", now=NOW) == 5


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_eight_who_draw_at_once_get_no_more_than_there_is() -> None:
    account = organization(owner=person())
    gift(account, 30, key="a")
    gift(account, 30, key="b")
    together, taken = Barrier(8), []

    def draw(number: int) -> None:
        together.wait(10)
        try:
            for step in range(5):
                taken.append(take(account, 2, record=100 * number + step))
        finally:
            connection.close()

    threads = [Thread(target=draw, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) == 40
    assert sum(taken) == 60
    assert credits.left(account, "generations", now=NOW) == 0
    assert books_balance()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_eight_letters_about_one_payment_give_once() -> None:
    account = organization(owner=person())
    together, given = Barrier(8), []

    def hear() -> None:
        together.wait(10)
        try:
            given.append(gift(account, 10, key="pack:pi_1").pk)
        finally:
            connection.close()

    threads = [Thread(target=hear) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(given) == 8
    assert len(set(given)) == 1
    assert credits.left(account, "generations", now=NOW) == 10
