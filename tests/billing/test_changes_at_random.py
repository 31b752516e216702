"""A restless customer: any plan, any period, any number of seats, on any day. Each charge is its receipt's."""

import random
from datetime import timedelta

import pytest
from django.core.management import call_command

from billing import clock
from billing.models import Payment, PlanChange, Subscription
from tests.billing.changing import acts_for, due_on, look, press
from tests.billing.shopping import at_stripe, buy, let_pass
from tests.billing.test_billing_pages import text

pytestmark = pytest.mark.django_db(transaction=True)

PRICES = [f"protocol_{plan}_{every}" for plan in ("starter", "professional") for every in ("month", "year")]
STEPS = 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_changed_on_whatever_day_the_charge_is_the_receipt(
    settings, shop, account, alice, as_alice, seed
):
    settings.STRIPE_TEST_CLOCKS = True
    settings.BILLING_CATALOG = "protocol"
    call_command("sync_catalog", verbosity=0)
    chance = random.Random(seed)
    client = acts_for(as_alice, account)
    trial_end = buy(shop, account, alice, chance.choice(PRICES[:2]), chance.randint(5, 19)).trial_end
    if chance.random() < 0.7:
        let_pass(account, trial_end + timedelta(hours=3))
    for _ in range(STEPS):
        let_pass(account, clock.now(account) + timedelta(minutes=chance.randint(1, 60 * 24 * 40)))
        query = (
            {"seats": chance.randint(4, 100)}
            if chance.random() < 0.5
            else {"price": chance.choice(PRICES), "quantity": chance.choice([5, 12, 19, 20, 33, 99])}
        )
        page = look(client, **query)
        assert page.status_code in (200, 409), query
        if page.status_code == 409:
            assert "The plan was not changed" in text(page)
            continue
        before = set(Payment.objects.filter(account=account).values_list("pk", flat=True))
        shown = due_on(page)
        outcome = press(client, page)
        change = PlanChange.objects.latest("pk")
        assert change.state in ("done", "scheduled"), text(outcome)
        made = Payment.objects.filter(account=account).exclude(pk__in=before)
        assert sum(payment.amount_paid for payment in made) == shown == change.shown_amount
        row = Subscription.objects.live().get(account=account)
        (item,) = at_stripe(shop, account, "subscription")[0]["items"]["data"]
        assert row.quantity == item["quantity"]
        if change.state == "done":
            assert (row.price_lookup_key, row.quantity) == (change.to_price, change.to_quantity)
        else:
            assert (row.price_lookup_key, row.quantity) == (change.from_price, change.from_quantity)
            assert row.current_period_end == change.takes_effect_at
    planned = PlanChange.objects.filter(account=account, state="scheduled").first()
    if planned is not None:
        let_pass(account, planned.takes_effect_at + timedelta(hours=3))
        row = Subscription.objects.live().get(account=account)
        assert (row.price_lookup_key, row.quantity) == (planned.to_price, planned.to_quantity)
