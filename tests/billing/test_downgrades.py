"""Less than before: at the end of what is paid for, listed limit by limit, taken back until it happens."""

from datetime import timedelta

import pytest

from accounts.models import Notification
from billing import clock
from billing.lifecycle import subscriptions
from billing.messages import reminders
from billing.models import Payment, PlanChange, Subscription
from billing.stripe import gateway
from tests.billing.changing import acts_for, change, look, press
from tests.billing.shopping import DECLINED_LATER, VISA, at_stripe, buy, change_card, let_pass
from tests.billing.test_billing_pages import text
from usage.standing import gauges, slots

pytestmark = pytest.mark.django_db(transaction=True)

TEAM, TEAM_YEAR = "automation_team_month", "automation_team_year"
TOP, TOP_YEAR = "automation_enterprise_month", "automation_enterprise_year"
SOON = timedelta(hours=3)


@pytest.fixture
def client(settings, request):
    """Alice in a browser, acting for her organization."""
    settings.BILLING_CATALOG = "automation"
    settings.STRIPE_TEST_CLOCKS = True
    request.getfixturevalue("shop")
    return acts_for(request.getfixturevalue("as_alice"), request.getfixturevalue("account"))


def live(account):
    return Subscription.objects.live().get(account=account)


def test_a_lesser_plan_costs_nothing_today_and_begins_when_the_paid_time_is_over(
    client, shop, account, alice
):
    end = buy(shop, account, alice, TOP).current_period_end
    let_pass(account, clock.now(account) + timedelta(days=9))
    page = look(client, price=TEAM)
    assert "Today $0.00" in text(page) and f"Switch on {end:%-d %B}" in text(page)

    planned = PlanChange.objects.get(pk=press(client, page).context["change"].pk)

    assert (planned.state, planned.takes_effect_at) == ("scheduled", end)
    assert live(account).plan_key == "enterprise"
    let_pass(account, end - timedelta(minutes=1))
    assert live(account).plan_key == "enterprise"
    let_pass(account, end + SOON)
    assert live(account).plan_key == "team"
    planned.refresh_from_db()
    assert planned.state == "done"
    paid = Payment.objects.filter(account=account, status="paid").order_by("created_at")
    assert [payment.amount_paid for payment in paid] == [49900, 9900]


def test_a_card_entered_while_a_lesser_plan_waits_is_the_one_that_pays_for_it(
    client, shop, account, alice, settle
):
    end = buy(shop, account, alice, TOP).current_period_end
    change_card(shop, account, DECLINED_LATER)
    change(client, price=TEAM)

    change_card(shop, account, VISA)
    settle()
    let_pass(account, end + SOON)

    assert (live(account).plan_key, live(account).status) == ("team", "active")
    paid = Payment.objects.filter(account=account, status="paid").order_by("created_at")
    assert [payment.amount_paid for payment in paid] == [49900, 9900]


def test_what_is_lost_and_what_must_be_reduced_is_listed_limit_by_limit(client, shop, account, alice):
    buy(shop, account, alice, TOP)
    gauges.set_to(account=account, feature="projects", value=12, now=clock.now(account))
    for number in range(7):
        slots.take(account=account, feature="concurrent_runs", key=f"run:{number}", now=clock.wall())

    said = text(look(client, price=TEAM))

    assert "Single sign-on yes → becomes no" in said
    assert "Test runs unlimited → becomes 1,000 runs a month" in said
    assert "You have 12 projects. Nothing is deleted: you can read all of it" in said
    assert "once you are 2 projects down. unlimited → becomes 10 projects Over" in said
    # Runs end by themselves.
    assert "20 runs → becomes 5 runs" in said and "You have 7 runs" not in said


def test_billing_says_what_is_planned_and_what_the_next_charge_will_be(client, shop, account, alice):
    end = buy(shop, account, alice, TOP).current_period_end
    change(client, price=TEAM)

    said = text(client.get("/billing/"))

    assert f"From {end:%-d %B %Y} on: Team instead of Enterprise" in said and "Keep Enterprise" in said
    assert f"$99.00 on {end:%-d %B %Y}" in said


def test_until_then_it_is_taken_back_with_one_button(client, shop, account, alice):
    end = buy(shop, account, alice, TOP).current_period_end
    planned = change(client, price=TEAM)
    assert at_stripe(shop, account, "subscription")[0]["schedule"]

    said = text(client.post(f"/billing/change/{planned.pk}/take-back/", follow=True))

    assert "The change is taken back. Enterprise goes on" in said
    assert at_stripe(shop, account, "subscription")[0]["schedule"] is None
    let_pass(account, end + SOON)
    assert live(account).plan_key == "enterprise"
    planned.refresh_from_db()
    assert planned.state == "undone"


def test_taken_back_twice_it_says_that_there_is_nothing_left(client, shop, account, alice):
    buy(shop, account, alice, TOP)
    planned = change(client, price=TEAM)
    client.post(f"/billing/change/{planned.pk}/take-back/")

    said = text(client.post(f"/billing/change/{planned.pk}/take-back/", follow=True))

    assert "no change to take back any more" in said


def test_another_plan_for_the_period_s_end_takes_the_first_one_s_place(client, shop, account, alice):
    end = buy(shop, account, alice, TOP_YEAR).current_period_end
    first = change(client, price=TEAM)
    second = change(client, price=TEAM_YEAR)
    first.refresh_from_db()
    assert (first.state, second.state) == ("undone", "scheduled")

    let_pass(account, end + SOON)

    assert live(account).price_lookup_key == TEAM_YEAR


def test_an_upgrade_takes_back_what_was_planned(client, shop, account, alice):
    buy(shop, account, alice, TEAM_YEAR)
    planned = change(client, price=TEAM)

    assert change(client, price=TOP).state == "done"

    planned.refresh_from_db()
    assert planned.state == "undone"
    assert at_stripe(shop, account, "subscription")[0]["schedule"] is None
    let_pass(account, live(account).current_period_end + SOON)
    assert live(account).price_lookup_key == TOP


def test_canceling_takes_back_what_was_planned(client, shop, account, alice):
    end = buy(shop, account, alice, TOP).current_period_end
    planned = change(client, price=TEAM)

    client.post("/billing/cancel/")

    planned.refresh_from_db()
    assert planned.state == "undone" and live(account).is_canceling
    let_pass(account, end + SOON)
    assert not Subscription.objects.live().filter(account=account).exists()


def test_a_schedule_let_go_at_stripe_itself_is_seen(client, shop, account, alice):
    buy(shop, account, alice, TOP)
    planned = change(client, price=TEAM)
    gateway.post(
        f"/v1/subscription_schedules/{planned.stripe_schedule_id}/release", idempotency_key="by hand"
    )

    subscriptions.sync(account=account, reason="test", wait_seconds=5)

    planned.refresh_from_db()
    assert planned.state == "undone"


def test_from_the_year_to_the_month_waits_for_the_year_s_end(client, shop, account, alice):
    end = buy(shop, account, alice, TEAM_YEAR).current_period_end

    planned = change(client, price=TEAM)

    assert (planned.state, planned.takes_effect_at) == ("scheduled", end)
    let_pass(account, end + SOON)
    after = live(account)
    assert after.price_lookup_key == TEAM
    assert after.current_period_end - end < timedelta(days=32)
    assert Payment.objects.filter(account=account).latest("created_at").amount_paid == 9900


def test_a_year_that_becomes_months_is_not_announced_as_renewing(client, shop, account, alice):
    end = buy(shop, account, alice, TEAM_YEAR).current_period_end
    change(client, price=TEAM)

    let_pass(account, end - timedelta(days=29))
    assert not Notification.objects.filter(account=account, kind="yearly_renewal").exists()
    let_pass(account, end - timedelta(days=2))

    told = Notification.objects.get(account=account, kind="upcoming_charge")
    assert told.subject.startswith("$99.00 for Team will be charged on ")


def test_a_year_that_becomes_another_plans_is_announced_as_that(client, shop, account, alice):
    end = buy(shop, account, alice, TOP_YEAR).current_period_end
    change(client, price=TEAM_YEAR)

    let_pass(account, end - timedelta(days=29))

    told = Notification.objects.get(account=account, kind="yearly_renewal")
    assert told.subject == f"Enterprise becomes Team on {end:%-d %B %Y}"
    assert f"becomes Team, paid by the year, on {end:%-d %B %Y} for $950.00, charged to" in told.text


def renewals(account):
    """What was told of the renewal ahead: subject, and whether it is still so."""
    told = Notification.objects.filter(account=account, kind__in=("yearly_renewal", "upcoming_charge"))
    return [(one.subject, one.overtaken_at is None) for one in told.order_by("pk")]


def test_a_change_taken_back_after_the_notice_is_announced_as_what_renews_now(
    client, shop, account, alice, settle
):
    end = buy(shop, account, alice, TOP_YEAR).current_period_end
    planned = change(client, price=TEAM_YEAR)
    let_pass(account, end - timedelta(days=29))

    client.post(f"/billing/change/{planned.pk}/take-back/")
    settle()
    reminders.sweep(now=clock.wall())

    day = f"{end:%-d %B %Y}"
    assert renewals(account) == [
        (f"Enterprise becomes Team on {day}", False),
        (f"Enterprise renews on {day}", True),
    ]
    words = Notification.objects.filter(account=account, kind="yearly_renewal").latest("pk").text
    let_pass(account, end + SOON)
    charged = Payment.objects.filter(account=account).latest("created_at").amount_paid
    assert f"${charged / 100:,.2f}" in words


def test_a_change_planned_after_the_notice_is_announced_instead_and_taken_back_the_first_holds_again(
    client, shop, account, alice, settle
):
    end = buy(shop, account, alice, TOP_YEAR).current_period_end
    let_pass(account, end - timedelta(days=29))
    day = f"{end:%-d %B %Y}"
    assert renewals(account) == [(f"Enterprise renews on {day}", True)]

    planned = change(client, price=TEAM_YEAR)
    settle()
    reminders.sweep(now=clock.wall())
    assert renewals(account)[1:] == [(f"Enterprise becomes Team on {day}", True)]
    client.post(f"/billing/change/{planned.pk}/take-back/")
    settle()
    for _ in range(2):
        reminders.sweep(now=clock.wall())

    assert renewals(account) == [
        (f"Enterprise renews on {day}", False),
        (f"Enterprise becomes Team on {day}", False),
        (f"Enterprise renews on {day}", True),
    ]


def test_a_change_at_once_after_the_notice_is_announced_with_its_own_sum(
    client, shop, account, alice, settle
):
    end = buy(shop, account, alice, TEAM).current_period_end
    let_pass(account, end - timedelta(days=2))
    day = f"{end:%-d %B %Y}"
    assert renewals(account) == [(f"$99.00 for Team will be charged on {day}", True)]

    change(client, price=TOP)
    settle()
    reminders.sweep(now=clock.wall())

    (_, first), (subject, second) = renewals(account)
    assert (first, second) == (False, True)
    let_pass(account, end + SOON)
    charged = Payment.objects.filter(account=account).latest("created_at").amount_paid
    assert subject == f"${charged / 100:,.2f} for Enterprise will be charged on {day}"


def test_a_discount_outlives_the_change(client, shop, account, alice):
    subscription = buy(shop, account, alice, TOP)
    coupon = gateway.post("/v1/coupons", {"percent_off": 50, "duration": "forever"}, idempotency_key="half")
    gateway.post(
        f"/v1/subscriptions/{subscription.stripe_subscription_id}",
        {"discounts": [{"coupon": coupon["id"]}]},
        idempotency_key="give half",
    )
    subscriptions.sync(account=account, reason="test", wait_seconds=5)

    change(client, price=TEAM)
    let_pass(account, subscription.current_period_end + SOON)

    assert Payment.objects.filter(account=account).latest("created_at").amount_paid == 4950


def test_what_is_planned_is_told_and_so_is_its_end(client, shop, account, alice):
    buy(shop, account, alice, TOP)
    planned = change(client, price=TEAM)
    client.post(f"/billing/change/{planned.pk}/take-back/")

    told = list(Notification.objects.filter(account=account).values_list("kind", flat=True))

    assert told.count("downgrade_scheduled") == told.count("downgrade_undone") == 1
    assert "plan_changed" not in told


def test_a_crash_between_the_two_words_to_stripe_leaves_the_plan_and_says_so(
    client, shop, account, alice, stripe_fails
):
    end = buy(shop, account, alice, TOP).current_period_end
    page = look(client, price=TEAM)
    stripe_fails(method="POST", path="/v1/subscription_schedules/*", status=500, times=20)

    press(client, page)
    stripe_fails.call_off()
    subscriptions.sync(account=account, reason="test", wait_seconds=5)
    assert PlanChange.objects.get().state == "failed" and live(account).plan_key == "enterprise"

    assert change(client, price=TEAM).state == "scheduled"
    let_pass(account, end + SOON)
    assert live(account).plan_key == "team"
