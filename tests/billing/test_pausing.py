"""A pause: nothing is charged and nothing is had, from the end of what is paid for until it goes on by itself."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as house
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Notification
from billing import access, clock, entitlements
from billing.anchors import months_after
from billing.leaving import pausing
from billing.lifecycle import subscriptions
from billing.models import Payment, Subscription
from billing.stripe import gateway
from tests.accounts.conftest import acting_for
from tests.billing.shopping import DECLINED_LATER, at_stripe, buy, change_card, let_pass

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop_with_pauses(simulator, settings, tmp_path):
    """Kaboot, with pauses of up to three months."""
    words = (Path(house.BILLING_CATALOG_DIR) / "kaboot.toml").read_text()
    file = tmp_path / "pausing.toml"
    file.write_text(words.replace("money_back_days = 7", "money_back_days = 7\npause_months = 3", 1))
    settings.BILLING_CATALOG = str(file)
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


@pytest.fixture
def bought(shop_with_pauses, account, alice):
    return buy(shop_with_pauses, account, alice, "kaboot_pro_month")


@pytest.fixture
def alice_at_work(alice, account):
    return acting_for(account, alice)


def text(response):
    words = re.sub(r"<script.*?</script>|<[^>]+>", " ", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", words)


def standing(account):
    return entitlements.of(account, now=clock.now(account))


def paid(account):
    return list(Payment.objects.filter(account=account, status="paid").values_list("amount_paid", flat=True))


def test_i_pause_for_two_months_and_it_goes_on_by_itself(shop_with_pauses, bought, account, alice_at_work):
    end = bought.current_period_end
    asked = text(alice_at_work.get("/billing/pause/"))
    assert "You have paid until" in asked
    assert "3 months" in asked

    page = text(alice_at_work.post("/billing/pause/", {"months": "2"}, follow=True))

    assert "Nothing is charged in between" in page
    assert (standing(account).level, standing(account).reason) == (access.Level.FULL, "pausing")
    let_pass(account, end + timedelta(hours=2))
    assert (standing(account).level, standing(account).reason) == (access.Level.FREE, "on_pause")
    assert "is paused" in text(alice_at_work.get("/billing/"))
    subscription = Subscription.objects.live().get()
    over = subscription.pause_resumes_at
    let_pass(account, over - timedelta(hours=1))
    assert standing(account).level == access.Level.FREE
    assert paid(account) == [500]
    let_pass(account, over + timedelta(hours=4))
    assert (standing(account).level, standing(account).reason) == (access.Level.FULL, "active")
    assert paid(account) == [500, 500]


def test_while_a_pause_is_set_the_page_says_both_days_and_offers_no_change(
    shop_with_pauses, bought, account, alice_at_work
):
    alice_at_work.post("/billing/pause/", {"months": "1"})
    set_to = Subscription.objects.live().get()

    page = text(alice_at_work.get("/billing/"))
    again = text(alice_at_work.post("/billing/pause/", {"months": "3"}, follow=True))

    assert f"Everything works until {set_to.paused_from:%-d %B %Y} ." in page
    assert f"nothing is charged until {set_to.goes_on_at:%-d %B %Y} , when it goes on by itself." in page
    assert "Change plan" not in page
    assert "The pause is set already. Nothing was changed." in again
    assert Subscription.objects.live().get().pause_resumes_at == set_to.pause_resumes_at


def test_a_pause_that_ends_just_after_midnight_has_the_same_last_day_everywhere(
    shop_with_pauses, account, alice, alice_at_work
):
    midnight = (clock.wall() + timedelta(days=2)).replace(hour=0, minute=10, second=0, microsecond=0)
    buy(shop_with_pauses, account, alice, "kaboot_pro_month")
    let_pass(account, midnight)
    gateway.post(
        f"/v1/subscriptions/{Subscription.objects.get().stripe_subscription_id}",
        {"billing_cycle_anchor": "now", "proration_behavior": "none"},
        idempotency_key="a new month, just after midnight",
    )
    subscriptions.sync(account=account, reason="test")

    asked = text(alice_at_work.get("/billing/pause/"))
    promised = re.findall(r"1 month: it goes on by itself on (\d+ \w+ \d{4})", asked)
    last = promised[0]
    told = text(alice_at_work.post("/billing/pause/", {"months": "1"}, follow=True))

    assert f"and goes on by itself on {last}. Nothing is charged" in told
    assert f"nothing is charged until {last} , when it goes on" in told
    assert f"by itself on {last}" in text(alice_at_work.get("/usage/"))
    begins = Subscription.objects.get().paused_from
    let_pass(account, begins + timedelta(hours=2))
    assert f"paused until {last}" in text(alice_at_work.get("/billing/"))
    assert f"by itself on {last}" in text(alice_at_work.get("/usage/"))
    message = Notification.objects.get(kind="paused")
    assert f"{datetime.fromisoformat(message.context['until']):%-d %B %Y}" == last


def test_before_it_begins_a_pause_is_taken_back_for_nothing(shop_with_pauses, bought, account, alice_at_work):
    alice_at_work.post("/billing/pause/", {"months": "1"})

    page = text(alice_at_work.post("/billing/go-on/", follow=True))

    assert "Your plan goes on" in page
    assert paid(account) == [500]
    assert standing(account).reason == "active"
    let_pass(account, bought.current_period_end + timedelta(hours=2))
    assert paid(account) == [500, 500]


def test_going_on_names_what_the_plan_costs_with_its_discount_and_charges_that(
    shop_with_pauses, bought, account, alice_at_work
):
    coupon = gateway.post("/v1/coupons", {"percent_off": 20, "duration": "forever"}, idempotency_key="off")
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"discounts": [{"coupon": coupon["id"]}]},
        idempotency_key="less",
    )
    alice_at_work.post("/billing/pause/", {"months": "3"})
    let_pass(account, bought.current_period_end + timedelta(days=10))
    shown = text(alice_at_work.get("/billing/"))
    assert "Go on now for $4.00" in shown and "when it goes on by itself for $4.00." in shown

    alice_at_work.post("/billing/go-on/")

    assert sorted(paid(account)) == [400, 500]


def test_going_on_sooner_begins_a_month_that_is_paid_that_day(
    shop_with_pauses, bought, account, alice_at_work
):
    alice_at_work.post("/billing/pause/", {"months": "3"})
    let_pass(account, bought.current_period_end + timedelta(days=10))
    assert "Go on now for $5.00" in text(alice_at_work.get("/billing/"))

    alice_at_work.post("/billing/go-on/")

    assert paid(account) == [500, 500]
    assert standing(account).level == access.Level.FULL
    subscription = Subscription.objects.live().get()
    assert abs(subscription.billing_cycle_anchor - clock.now(account)) < timedelta(minutes=1)


def test_a_card_that_is_refused_leaves_the_pause_as_it_is(shop_with_pauses, bought, account, alice_at_work):
    alice_at_work.post("/billing/pause/", {"months": "3"})
    let_pass(account, bought.current_period_end + timedelta(days=10))
    change_card(shop_with_pauses, account, DECLINED_LATER)

    page = text(alice_at_work.post("/billing/go-on/", follow=True))

    assert "The pause stays as it is" in page
    assert standing(account).reason == "on_pause"
    assert paid(account) == [500]


@pytest.mark.parametrize("months", ["", "0", "4", "-1", "²", "1e3", "999999"])
def test_only_a_pause_that_is_offered_is_taken(bought, account, alice_at_work, months):
    assert alice_at_work.post("/billing/pause/", {"months": months}).status_code == 422
    assert Subscription.objects.live().get().pause_collection == ""


def test_a_paused_plan_can_be_canceled(shop_with_pauses, bought, account, alice_at_work):
    alice_at_work.post("/billing/pause/", {"months": "2"})
    let_pass(account, bought.current_period_end + timedelta(days=3))

    alice_at_work.post("/billing/cancel/")
    let_pass(account, Subscription.objects.live().get().current_period_end + timedelta(hours=2))

    assert [sub["status"] for sub in at_stripe(shop_with_pauses, account, "subscription")] == ["canceled"]
    assert paid(account) == [500]


def test_a_yearly_plan_a_canceled_one_and_a_plan_without_pauses_are_not_paused(
    shop_with_pauses, account, alice, alice_at_work
):
    buy(shop_with_pauses, account, alice, "kaboot_pro_year")
    assert pausing.offer_to(account) is None
    assert "cannot be paused" in text(alice_at_work.post("/billing/pause/", {"months": "1"}, follow=True))
    with pytest.raises(pausing.NothingToChange):
        pausing.pause(account=account, months=1)


def test_members_cannot_pause(bought, account, bob):
    at_work = acting_for(account, bob)

    assert at_work.post("/billing/pause/", {"months": "1"}).status_code == 403
    assert at_work.post("/billing/go-on/").status_code == 403


def test_payments_paused_by_staff_at_stripe_cost_no_access(bought, account):
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"pause_collection": {"behavior": "void"}},
        idempotency_key="staff",
    )

    subscriptions.sync(account=account, reason="test")

    assert (standing(account).level, standing(account).reason) == (access.Level.FULL, "collection_paused")


@given(
    anchor=st.datetimes(
        datetime(2024, 1, 1),  # noqa: DTZ001
        datetime(2034, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    passed=st.integers(1, 60),
    months=st.integers(1, 12),
)
def test_a_pause_ends_where_a_period_would_have(anchor, passed, months):
    boundary = months_after(anchor, anchor, passed)

    end = months_after(anchor, boundary, months)

    assert end == months_after(anchor, anchor, passed + months)
    assert end > boundary
    assert end.day <= anchor.day
