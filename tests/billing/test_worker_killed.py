"""Workers are killed in the middle of everything, with SIGKILL; nothing is lost and no money moves twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone

from billing.lifecycle import subscriptions
from billing.models import Alert, Customer, Effect, Subscription, WebhookEvent
from billing.stripe import inbox
from tests import factories
from tests.billing import purchases, shopping
from tests.billing.letters import post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.slow]

# More of them: KILLS=2000 ./run test postgres tests/billing/test_worker_killed.py
KILLS = int(os.environ.get("KILLS", "30"))
PRICE = "hybrid_pro_month"
# Longer than the account's lease and the letter's claim: what a dead holder leaves behind has run out.
A_WHILE = timedelta(seconds=100)


@pytest.fixture(autouse=True)
def _in_everybodys_time(settings):
    settings.STRIPE_TEST_CLOCKS = False
    settings.BILLING_CATALOG = "hybrid"


class Workers:
    """Worker processes, one at a time, each killed without warning."""

    def __init__(self):
        place = connection.settings_dict
        address = (
            f"postgres://{place['USER']}:{place['PASSWORD']}@{place['HOST']}:{place['PORT']}/{place['NAME']}"
        )
        surroundings = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": address,
            "DEMO": "0",
            "LOG_LEVEL": "ERROR",
        }
        self.nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.billing.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=surroundings,
            text=True,
        )
        assert self._said() == "ready"

    def work_and_be_killed_after(self, seconds: float) -> None:
        self.nursery.stdin.write("go\n")
        self.nursery.stdin.flush()
        pid = int(self._said())
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        assert self._said() == "gone"

    def _said(self) -> str:
        return self.nursery.stdout.readline().strip()

    def dismiss(self) -> None:
        self.nursery.stdin.close()
        self.nursery.wait(10)


@pytest.fixture
def workers():
    workers = Workers()
    yield workers
    workers.dismiss()


def a_while_passes() -> None:
    """What the dead held runs out; what was to be tried later is due."""
    Customer.objects.update(lease_expires_at=F("lease_expires_at") - A_WHILE)
    WebhookEvent.objects.update(
        claim_expires_at=F("claim_expires_at") - A_WHILE, next_attempt_at=F("next_attempt_at") - A_WHILE
    )


def test_however_often_workers_are_killed_nothing_is_lost_and_nothing_happens_twice(shop, workers):
    chance = random.Random(os.environ.get("SEED", "1"))
    client, accounts = Client(), []
    interrupted = 0

    for _ in range(KILLS):
        _something_happens(accounts, chance)
        letters = shop.deliveries.take()
        letters += chance.choices(letters, k=3) if letters else []
        chance.shuffle(letters)
        for letter in letters:
            assert post(letter.event, client=client).status_code == 200

        # Mostly in the middle of the first letters; now and then late enough for some to get done.
        workers.work_and_be_killed_after(chance.uniform(0.0, chance.choice([0.1, 0.4, 2.0])))

        interrupted += WebhookEvent.objects.filter(claim_expires_at__isnull=False).exists()
        a_while_passes()

    _the_last_worker_lives(shop, client)
    assert interrupted >= KILLS / 5, "The workers were too quick to be interrupted: this proved nothing."
    assert set(WebhookEvent.objects.values_list("state", flat=True)) <= {"processed", "ignored"}
    for account in accounts:
        _books_say_what_stripe_says(shop, account)


def _something_happens(accounts, chance):
    """A new customer pays in two tabs at once, or an old one leaves and comes back."""
    if not accounts or chance.random() < 0.4:
        account = factories.person().personal_account
        accounts.append(account)
        purchases.buy(account, PRICE)
        purchases.buy(account, PRICE)
        return
    account = chance.choice(accounts)
    client = purchases.at_stripe()
    customer = Customer.objects.get(account=account).stripe_customer_id
    live = client.v1.subscriptions.list({"customer": customer}).data
    if live:
        client.v1.subscriptions.cancel(chance.choice(live).id)
    else:
        purchases.buy(account, PRICE)


def _the_last_worker_lives(shop, client):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        letters = shop.deliveries.take()
        for letter in letters:
            post(letter.event, client=client)
        inbox.drain(now=timezone.now(), limit=1000)
        subscriptions.serve_owed()
        waiting = WebhookEvent.objects.filter(state__in=WebhookEvent.WAITING).exists()
        if not letters and not waiting:
            return
        a_while_passes()
    raise AssertionError("Letters were still waiting after two minutes.")


def _books_say_what_stripe_says(shop, account):
    at_stripe = shopping.at_stripe(shop, account, "subscription")
    ours = dict(Subscription.objects.filter(account=account).values_list("stripe_subscription_id", "status"))
    assert ours == {entry["id"]: entry["status"] for entry in at_stripe}
    assert Subscription.objects.live().filter(account=account).count() <= 1
    customer = Customer.objects.get(account=account)
    assert customer.sync_served == customer.sync_wanted
    assert customer.lease_expires_at is None

    duplicates = Effect.objects.filter(account=account, kind="duplicate_subscription")
    assert not duplicates.filter(done_at__isnull=True).exists()
    paid_twice = {effect.detail["subscription"] for effect in duplicates}
    refunds = Counter(
        _subscription_of(shop, refund["charge"])
        for charge in shopping.at_stripe(shop, account, "charge")
        for refund in shop.store.find("refund", "charge", charge["id"])
    )
    assert refunds == Counter(paid_twice), "Every duplicate is refunded, once, and nothing else is."
    assert Alert.objects.filter(account=account, kind="duplicate_subscription").count() == len(paid_twice)


def _subscription_of(shop, charge_id):
    """Which subscription a charge was for: by the invoice its payment intent paid."""
    intent = shop.store.get("charge", charge_id)["payment_intent"]
    invoices = [
        payment["invoice"]
        for payment in shop.store.all("invoice_payment")
        if payment["payment"].get("payment_intent") == intent
    ]
    invoice = shop.store.get("invoice", invoices[0])
    return invoice["parent"]["subscription_details"]["subscription"]
