"""One change of an account's billing at a time, on SQLite and on PostgreSQL, whoever dies or is late."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from billing.lifecycle import customers, lease
from billing.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


def let_it_run_out(account):
    Customer.objects.filter(pk=account.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_while_one_change_is_made_another_is_told_so(account):
    first = lease.hold(account=account, purpose="first")
    second = lease.hold(account=account, purpose="second")
    with first, pytest.raises(lease.LeaseTaken), second:
        pytest.fail("there can be one")

    with lease.hold(account=account, purpose="third") as held:
        assert held.customer.lease_purpose == "third"


def test_two_accounts_do_not_wait_for_each_other(account, charlie):
    with (
        lease.hold(account=account, purpose="one"),
        lease.hold(account=charlie.personal_account, purpose="two"),
    ):
        assert Customer.objects.filter(lease_expires_at__isnull=False).count() == 2


def test_a_change_that_is_waited_for_is_made_as_soon_as_the_other_is_done(account):
    first = lease.hold(account=account, purpose="first")
    held = first.__enter__()
    timer = threading.Timer(0.2, lambda: (held.give_back(), connection.close()))
    timer.start()

    with lease.hold(account=account, purpose="second", wait_seconds=10) as second:
        assert second.token == held.token + 1

    timer.join()


def test_what_is_written_and_the_end_of_the_lease_are_one_commit(account):
    with lease.hold(account=account, purpose="sync") as held:
        with held.committing() as customer:
            Customer.objects.filter(pk=customer.pk).update(currency="usd")

        row = Customer.objects.get(pk=account.pk)
        assert (row.currency, row.lease_expires_at) == ("usd", None)
        with pytest.raises(lease.LeaseLost), held.committing():
            pytest.fail("a lease that was given back may not write")


def test_a_failed_write_leaves_nothing_and_gives_the_lease_back(account):
    at_work = lease.hold(account=account, purpose="sync")
    with pytest.raises(ZeroDivisionError), at_work as held, held.committing() as customer:
        Customer.objects.filter(pk=customer.pk).update(currency="usd")
        raise ZeroDivisionError

    row = Customer.objects.get(pk=account.pk)
    assert (row.currency, row.lease_expires_at) == ("", None)


def test_a_holder_whose_time_ran_out_writes_nothing(account):
    with lease.hold(account=account, purpose="slow") as held:
        let_it_run_out(account)

        with pytest.raises(lease.LeaseLost), held.saving() as customer:
            Customer.objects.filter(pk=customer.pk).update(currency="usd")

    assert Customer.objects.get(pk=account.pk).currency == ""


def test_a_late_holder_neither_writes_nor_frees_what_another_holds_by_now(account):
    with lease.hold(account=account, purpose="slow") as slow:
        let_it_run_out(account)
        with lease.hold(account=account, purpose="quick") as quick:
            with pytest.raises(lease.LeaseLost):
                slow.renew()
            with pytest.raises(lease.LeaseLost), slow.committing():
                pytest.fail("fenced off by the token")
            slow.give_back()

            with quick.committing() as customer:
                Customer.objects.filter(pk=customer.pk).update(currency="eur")

    assert Customer.objects.get(pk=account.pk).currency == "eur"


def test_renewing_gives_a_full_term_again(account):
    with lease.hold(account=account, purpose="long") as held:
        Customer.objects.filter(pk=account.pk).update(lease_expires_at=timezone.now() + timedelta(seconds=5))

        held.renew()

        assert held.customer.lease_expires_at > timezone.now() + timedelta(seconds=60)


@pytest.mark.parametrize("round", range(5))
def test_of_eight_who_reach_for_it_at_once_one_gets_it(account, round):
    customers.row(account)
    ready, tried, got = threading.Barrier(8), threading.Barrier(8), []

    def reach() -> None:
        try:
            ready.wait(10)
            with lease.hold(account=account, purpose="race") as held:
                got.append(held.token)
                tried.wait(10)
        except lease.LeaseTaken:
            got.append(None)
            tried.wait(10)
        finally:
            connection.close()

    threads = [threading.Thread(target=reach) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(map(str, got)) == ["1", *["None"] * 7]
