"""Time that is moved by hand: a demo account jumps a year, the command tells where it landed."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing import clock
from billing.lifecycle import customers, jumps
from billing.management.commands.fast_forward import later
from billing.models import Customer, Payment, Subscription
from billing.stripe import gateway
from tests.billing.shopping import buy

pytestmark = pytest.mark.django_db(transaction=True)


def fast_forward(*words: str) -> str:
    said = StringIO()
    call_command("fast_forward", *words, stdout=said)
    return said.getvalue()


def test_fourteen_months_pass_with_a_payment_each(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)
    start = clock.now(account)

    said = fast_forward(str(account.pk), "--months", "14")

    assert "active" in said
    assert clock.now(account) == later(start, months=14) + timedelta(hours=2)
    # Fourteen days of trial, then a payment at the start of each of the months that began since.
    assert Payment.objects.filter(status="paid", amount_paid=3800).count() == 14
    assert Subscription.objects.get().current_period_end > clock.now(account)


@pytest.mark.parametrize("name", ["alice@example.com", "Alice", "ALICE@example.com"])
def test_an_account_is_found_by_what_one_knows_of_it(simulator, alice, name):
    assert "for Alice" in fast_forward(name, "--days", "1")
    assert clock.now(alice.personal_account) > clock.wall() + timedelta(hours=23)


def test_an_account_that_never_bought_anything_gets_its_clock_then(simulator, account):
    before = clock.now(account)

    fast_forward("Alice & Co", "--weeks", "1")

    assert timedelta(days=7) <= clock.now(account) - before < timedelta(days=7, minutes=1)
    assert Customer.objects.get().test_clock_id


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nobody@example.com", "--days", "1"], "no account"),
        (["Alice & Co"], "how far"),
        (["Alice & Co", "--days", "-1"], "how far"),
        (["7b0b2f0e-0000-4000-8000-000000000000", "--days", "1"], "no account"),
    ],
)
def test_what_cannot_be_done_is_said(simulator, account, words, why):
    with pytest.raises(CommandError, match=why):
        fast_forward(*words)


def test_a_name_that_several_have_is_not_guessed(simulator, alice, charlie):
    for person in (alice, charlie):
        person.personal_account.name = "Twin"
        person.personal_account.save()

    with pytest.raises(CommandError, match="several"):
        fast_forward("Twin", "--days", "1")


def test_an_account_in_real_time_stays_there(simulator, account, settings):
    settings.STRIPE_TEST_CLOCKS = False

    with pytest.raises(CommandError, match="real time"):
        fast_forward("Alice & Co", "--days", "1")


def test_time_does_not_go_back(simulator, account):
    fast_forward("Alice & Co", "--days", "3")

    with pytest.raises(jumps.BackwardsInTime):
        jumps.advance(account=account, to=clock.now(account) - timedelta(days=1))


def test_real_customers_get_no_clock(simulator, account, settings):
    from billing.lifecycle import lease

    settings.STRIPE_TEST_CLOCKS = False
    with lease.hold(account=account, purpose="test") as held:
        made = customers.ensure(account=account, held=held)

    assert made.test_clock_id == ""
    assert gateway.get(f"/v1/customers/{made.stripe_customer_id}")["test_clock"] is None


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ((2026, 1, 31), 1, (2026, 2, 28)),
        ((2028, 1, 31), 1, (2028, 2, 29)),
        ((2026, 11, 15), 2, (2027, 1, 15)),
        ((2026, 12, 31), 12, (2027, 12, 31)),
        ((2026, 5, 31), 0, (2026, 5, 31)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last(start, months, end):
    assert later(datetime(*start, 12, tzinfo=UTC), months=months) == datetime(*end, 12, tzinfo=UTC)
