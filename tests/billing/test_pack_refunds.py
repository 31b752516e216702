"""Money that goes back takes unused units along, in any order of letters, and staff hear of used ones."""

import random
from datetime import timedelta
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Notification
from billing import clock
from billing.leaving import refunds
from billing.lifecycle import pack_grants, subscriptions
from billing.models import Alert, CreditEntry, CreditGrant, Payment
from billing.stripe import truth
from tests.billing.pack_shopping import CATALOG, acting_for, buy, go_to_the_till, left, pay, refund, use
from tests.billing.purchases import at_stripe, known
from tests.billing.shopping import let_pass
from tests.stack.stripe import Settle
from usage import metering

if TYPE_CHECKING:
    from simulator.core import Simulator


pytestmark = pytest.mark.django_db(transaction=True)
DISPUTED = "4000000000000259"


@pytest.fixture(autouse=True)
def copy_shop(settings: Any) -> None:
    settings.BILLING_CATALOG = CATALOG


@pytest.fixture
def buyer(as_alice: Client, account: Account) -> Client:
    """Alice's browser, acting for her organization."""
    return acting_for(as_alice, account)


def test_a_full_refund_takes_back_what_is_left_and_tells_staff_what_was_used(
    shop: "Simulator", buyer: Client, account: Account, settle: Settle
) -> None:
    grant = buy(shop, buyer)
    use(account, 30)
    refund(grant)
    settle()
    assert left(account) == 0
    alert = Alert.objects.get(kind="credits_used_and_refunded")
    assert "30 are used or held: $1.50 was given for nothing" in alert.message
    # Once: a staff member who has dealt with it is not told again by every look at Stripe.
    Alert.objects.update(resolved_at=timezone.now())
    subscriptions.sync(account=account, reason="test")
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_a_partial_refund_takes_back_its_share(
    shop: "Simulator", buyer: Client, account: Account, settle: Settle
) -> None:
    grant = buy(shop, buyer)
    refund(grant, 1000)
    settle()
    assert left(account) == 300
    refund(grant, 500)
    settle()
    settle()
    assert left(account) == 200
    assert not Alert.objects.filter(kind="credits_used_and_refunded").exists()


def test_a_refund_before_we_heard_of_the_payment_leaves_nothing(
    shop: "Simulator", buyer: Client, account: Account, settle: Settle
) -> None:
    pay(shop, go_to_the_till(buyer))
    intent = at_stripe().v1.payment_intents.list({"customer": known(account)}).data[0]
    at_stripe().v1.refunds.create({"payment_intent": intent.id})
    settle(shuffle=random.Random(7).shuffle)
    assert left(account) == 0
    assert CreditGrant.objects.get().remaining == 0


def test_a_dispute_takes_the_units_and_winning_it_brings_them_back(
    shop: "Simulator", buyer: Client, account: Account, settle: Settle
) -> None:
    session_id = go_to_the_till(buyer)
    pay(shop, session_id, DISPUTED)
    settle()
    assert left(account) == 0
    dispute = at_stripe().v1.disputes.list().data[0]
    at_stripe().v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    settle()
    assert left(account) == 500


def test_a_lost_dispute_keeps_them(
    shop: "Simulator", buyer: Client, account: Account, settle: Settle
) -> None:
    pay(shop, go_to_the_till(buyer), DISPUTED)
    settle()
    dispute = at_stripe().v1.disputes.list().data[0]
    at_stripe().v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "losing_evidence"}})
    settle()
    assert left(account) == 0
    # And an account whose dispute was lost buys nothing more.
    answer = buyer.post("/billing/credits/buy/", {"pack": "copy_pages_500", "number": "1"}, follow=True)
    assert "This account cannot buy at the moment." in answer.content.decode()


@pytest.mark.postgres
def test_units_used_while_a_refund_arrives_are_counted_once_and_none_is_lost(
    shop: "Simulator", buyer: Client, account: Account
) -> None:
    grant = buy(shop, buyer)
    together, served, faults = Barrier(5), [], []

    def work(name: str) -> None:
        together.wait(10)
        try:
            for number in range(25):
                try:
                    metering.consume(
                        account=account,
                        feature="pages",
                        units=2,
                        idempotency_key=f"{name}:{number}",
                        now=timezone.now(),
                    )
                    served.append(2)
                except metering.AllowanceExhausted:
                    continue
        except Exception as error:
            faults.append(error)
        finally:
            connection.close()

    def give_back() -> None:
        together.wait(10)
        try:
            refund(grant)
            for _ in range(5):
                subscriptions.sync(account=account, reason="test", wait_seconds=5)
        except Exception as error:
            faults.append(error)
        finally:
            connection.close()

    threads = [Thread(target=work, args=(f"worker {number}",)) for number in range(4)]
    threads.append(Thread(target=give_back))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    grant.refresh_from_db()
    assert grant.remaining == 0
    burned = -sum(CreditEntry.objects.filter(kind="burn", grant=grant).values_list("units", flat=True))
    taken_back = -sum(CreditEntry.objects.filter(kind="refund").values_list("units", flat=True))
    assert burned + taken_back == 500
    # Ten of the plan and five forgiven come before the pack; of those one may be left over.
    assert sum(served) == 10 + (5 - left(account)) + burned


def test_a_refund_of_a_pack_that_is_not_among_the_newest_charges_is_seen(
    shop: "Simulator", buyer: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth, "NEWEST_CHARGES", 1)
    monkeypatch.setattr(pack_grants, "NEWEST_CHARGES", 1)
    first = buy(shop, buyer)
    let_pass(account, clock.now(account) + timedelta(days=1))
    buy(shop, buyer)
    assert left(account) == 1000
    refund(first)
    subscriptions.sync(account=account, reason="test")
    assert left(account) == 500


def test_a_refund_by_staff_takes_the_units_back_and_the_buyer_is_told(
    shop: "Simulator", buyer: Client, account: Account
) -> None:
    buy(shop, buyer)
    payment = Payment.objects.get(account=account)
    told = Notification.objects.filter(account=account)
    assert "500 pages" in told.get(kind="receipt").text
    refunds.refund(payment=payment, amount=2500, reason="Asked for", nonce="1")
    assert left(account) == 0
    assert told.filter(kind="refunded").count() == 1
