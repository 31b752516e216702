"""What comes in each month and who has left, as staff read it on the page of operations."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing import revenue
from billing.models import Offer, Subscription
from tests import factories
from tests.billing.test_billing_pages import text

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def bought(price, plan, *, quantity=1, paid_days_ago=90, account=None, **fields):
    """A subscription as a sync would have written it."""
    account = account or factories.organization(owner=factories.person())
    began = NOW - timedelta(days=paid_days_ago)
    common = {"status": "active", "is_live": True, "first_paid_at": began}
    return Subscription.objects.create(
        account=account,
        stripe_subscription_id=f"sub_{Subscription.objects.count()}",
        stripe_customer_id=f"cus_{Subscription.objects.count()}",
        status_since=began,
        plan_key=plan,
        price_lookup_key=price,
        quantity=quantity,
        currency="usd",
        billing_cycle_anchor=began,
        started_at=began,
        synced_at=NOW,
        **{**common, **fields},
    )


@pytest.fixture
def protocol(settings):
    settings.BILLING_CATALOG = "protocol"


def test_months_and_years_add_up_to_what_comes_in_each_month(protocol):
    bought("protocol_pro_month", "pro")  # 9.99
    bought("protocol_pro_year", "pro")  # 89.00 a year: 7.4166…
    bought("protocol_professional_month", "professional", quantity=20)  # 119.80
    bought("protocol_pro_month", "pro", status="past_due")  # 9.99
    bought("protocol_pro_month", "pro", status="trialing", first_paid_at=None)
    bought("protocol_pro_month", "pro", paused_from=NOW)
    bought("protocol_pro_month", "pro", is_live=False, status="canceled", ended_at=NOW)

    assert revenue.monthly() == {"usd": 999 + 742 + 11980 + 999}


def test_an_offer_at_a_listed_price_of_a_quarter_counts_a_third_each_month(protocol):
    listed = {"amount": 3000, "interval_count": 3, "tiers": [], "tiers_mode": None}
    offers = [
        Offer.objects.create(
            account=factories.organization(owner=factories.person()),
            plan_key="pro",
            interval=interval,
            seats=seats,
            amount=amount,
            currency="usd",
            lookup_key="protocol_pro_quarter",
            listed=said,
            open_until=NOW,
            created_at=NOW,
        )
        for interval, seats, amount, said in (
            ("month", 2, None, listed),  # 60.00 a quarter
            ("month", 1, 500, {}),
            ("year", 1, 12_000, {}),
        )
    ]
    for offer in offers:
        bought("", "pro", account=offer.account, offer=offer)

    assert revenue.monthly() == {"usd": 2000 + 500 + 1000}


def test_a_plan_that_ends_on_a_set_day_is_set_to_end(protocol, as_dana):
    bought("protocol_pro_month", "pro", cancel_at=NOW + timedelta(days=200))
    bought("protocol_pro_month", "pro", cancel_at=NOW + timedelta(days=9), cancel_at_period_end=True)
    bought("protocol_pro_month", "pro")

    assert revenue.churn(now=NOW).ending == 2
    listed = as_dana.get("/staff/billing/subscription/?is_live__exact=1&cancel_at__isempty=0")
    assert "2 subscriptions" in text(listed)
    assert "?is_live__exact=1&amp;cancel_at__isempty=0" in as_dana.get("/staff/operations/").content.decode()


def test_who_left_is_counted_by_account_and_not_when_another_plan_goes_on(protocol):
    for _ in range(3):
        bought("protocol_pro_month", "pro")
    over = {"is_live": False, "status": "canceled"}
    bought("protocol_pro_month", "pro", ended_at=NOW - timedelta(days=3), **over)
    bought("protocol_pro_month", "pro", ended_at=NOW - timedelta(days=40), **over)
    went_on = bought("protocol_pro_month", "pro", ended_at=NOW - timedelta(days=3), **over)
    bought("protocol_pro_year", "pro", account=went_on.account, paid_days_ago=3)
    bought("protocol_pro_month", "pro", paid_days_ago=3, cancel_at_period_end=True)

    churn = revenue.churn(now=NOW)

    assert (churn.left, churn.paid_then, churn.percent, churn.ending) == (1, 5, 20.0, 1)


def test_staff_read_it_on_the_page_of_operations(protocol, as_dana):
    bought("protocol_pro_month", "pro")

    page = text(as_dana.get("/staff/operations/"))

    assert "Comes in each month $9.99" in page
    assert "Left within 30 days 0 of 1 (0.0%)" in page
