"""What is planned for the period's end is what Stripe will do: after a decline, a crash, or an act elsewhere."""

from datetime import timedelta

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from accounts.models import Notification
from accounts.notifications import outbox
from billing import clock
from billing.lifecycle import subscriptions
from billing.models import Alert, Customer, PlanChange, Subscription
from billing.stripe import gateway
from simulator.hosted import checkout as hosted
from simulator.hosted import invoices as hosted_invoice
from tests.billing.changing import acts_for, change, look, press
from tests.billing.shopping import DECLINED_LATER, VISA, at_stripe, buy, change_card, let_pass
from tests.billing.test_billing_pages import text

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


@pytest.fixture
def planned(client, shop, account, alice):
    """Team by the year, and the month planned for its end."""
    buy(shop, account, alice, TEAM_YEAR)
    return change(client, price=TEAM)


def live(account):
    return Subscription.objects.live().get(account=account)


def scheduled_at_stripe(shop, account):
    return at_stripe(shop, account, "subscription")[0]["schedule"]


def is_as_it_was(client, shop, account, planned):
    """The plan page, the row and Stripe agree, and at the end of the year it happens."""
    planned.refresh_from_db()
    assert planned.state == "scheduled"
    assert planned.stripe_schedule_id == scheduled_at_stripe(shop, account)
    assert "on: Team, monthly instead of Team, yearly" in text(client.get("/billing/"))
    let_pass(account, live(account).current_period_end + SOON)
    assert live(account).price_lookup_key == TEAM
    planned.refresh_from_db()
    assert planned.state == "done"
    return True


def needs_the_bank(account):
    subscription = live(account)
    method = gateway.post(
        "/v1/payment_methods/pm_card_authenticationRequired/attach",
        {"customer": subscription.stripe_customer_id},
        idempotency_key="attach-3ds",
    )
    gateway.post(
        f"/v1/subscriptions/{subscription.stripe_subscription_id}",
        {"default_payment_method": method["id"]},
        idempotency_key="default-3ds",
    )


def test_a_declined_upgrade_leaves_what_was_planned(client, shop, account, planned):
    change_card(shop, account, DECLINED_LATER)

    page = press(client, look(client, price=TOP_YEAR))

    assert "The plan was not changed" in text(page)
    assert "Team, monthly from" in text(page) and "stays planned" in text(page)
    change_card(shop, account, VISA)
    assert is_as_it_was(client, shop, account, planned)


def test_a_card_that_stripe_refuses_for_what_is_planned_is_told_to_staff_and_the_rest_goes_on(
    client, shop, account, planned, stripe_fails
):
    stripe_fails(method="POST", path="/v1/subscription_schedules/*", status=400, times=40)

    change_card(shop, account, DECLINED_LATER)
    subscriptions.sync(account=account, reason="test", wait_seconds=5)

    assert Customer.objects.get(account=account).card_last4 == DECLINED_LATER[-4:]
    assert Alert.objects.get(kind="schedule_card").account == account


def test_what_is_planned_twice_was_told_once(client, shop, account, planned):
    change_card(shop, account, DECLINED_LATER)
    press(client, look(client, price=TOP_YEAR))
    press(client, look(client, price=TOP_YEAR))

    told = list(Notification.objects.filter(account=account).values_list("kind", flat=True))

    assert told.count("downgrade_scheduled") == 1 and "downgrade_undone" not in told


def test_while_the_bank_asks_it_is_set_aside_and_called_off_it_is_planned_again(
    client, shop, account, planned
):
    needs_the_bank(account)
    press(client, look(client, price=TOP_YEAR))
    planned.refresh_from_db()
    asked = PlanChange.objects.get(state="waiting")
    assert planned.state == "set_aside" and scheduled_at_stripe(shop, account) is None

    client.post(f"/billing/change/{asked.pk}/take-back/")

    asked.refresh_from_db()
    assert asked.state == "undone"
    change_card(shop, account, VISA)
    assert is_as_it_was(client, shop, account, planned)


def test_while_the_bank_asks_billing_says_so_with_the_link_and_names_the_charge_that_is_planned(
    client, shop, account, planned
):
    assert "$99.00 on 30 November 2027" in dated(text(client.get("/billing/")), account)
    needs_the_bank(account)
    press(client, look(client, price=TOP_YEAR))
    asked = PlanChange.objects.get(state="waiting")

    page = client.get("/billing/")

    said = dated(text(page), account)
    assert "Failed" not in said
    assert "Waits for you $3,850.00 Confirm" in said
    assert f'<a href="{asked.invoice_url}">Confirm<' in page.content.decode()
    assert "$99.00 on 30 November 2027" in said
    assert "Unless you do, Team, monthly from 30 November 2027 stays planned" in said

    outcome = hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id)
    hosted.finish_authentication(shop, outcome.intent, ok=True)
    client.get(f"/billing/change/{asked.pk}/")
    assert "$4,800.00 on 30 November 2027" in dated(text(client.get("/billing/")), account)


def dated(said, account):
    """As on the day this was written: the tests buy today."""
    ends = live(account).current_period_end
    return said.replace(f"{ends:%-d %B %Y}", "30 November 2027")


def test_never_confirmed_at_the_bank_it_is_planned_again(client, shop, account, planned, settle):
    needs_the_bank(account)
    press(client, look(client, price=TOP_YEAR))

    let_pass(account, clock.now(account) + timedelta(hours=24))
    settle()

    change_card(shop, account, VISA)
    assert is_as_it_was(client, shop, account, planned)


def test_planned_again_after_the_day_it_was_planned_for_the_page_says_the_next_one(
    client, shop, account, alice, settle
):
    buy(shop, account, alice, TOP)
    planned = change(client, price=TEAM)
    missed = planned.takes_effect_at
    let_pass(account, missed - timedelta(hours=12))
    needs_the_bank(account)
    press(client, look(client, price=TOP_YEAR))

    change_card(shop, account, VISA)
    let_pass(account, missed + timedelta(hours=14))
    settle()

    planned.refresh_from_db()
    assert planned.state == "scheduled"
    assert planned.takes_effect_at == live(account).current_period_end > missed


def test_confirmed_at_the_bank_the_upgrade_takes_its_place(client, shop, account, planned):
    needs_the_bank(account)
    press(client, look(client, price=TOP_YEAR))
    asked = PlanChange.objects.get(state="waiting")
    outcome = hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id)
    hosted.finish_authentication(shop, outcome.intent, ok=True)

    client.get(f"/billing/change/{asked.pk}/")

    planned.refresh_from_db()
    assert live(account).price_lookup_key == TOP_YEAR
    assert planned.state == "undone" and scheduled_at_stripe(shop, account) is None


def test_an_upgrade_says_before_and_after_that_it_takes_back_what_was_planned(client, shop, account, planned):
    page = look(client, price=TOP_YEAR)
    said = dated(text(page), account)
    assert "takes the place of what is planned: Team, monthly from 30 November 2027 " in said
    assert "which is taken back once this is paid" in said

    done = press(client, page)

    what = "What was planned, Team, monthly from 30 November 2027, is taken back."
    assert what in dated(text(done), account)
    told = Notification.objects.get(account=account, kind="plan_changed")
    assert what in dated(told.text, account)
    inbox = text(client.get(reverse("accounts:notifications")))
    assert "No longer so" in inbox.partition("becomes Team, monthly on")[2].partition("keeps")[0]
    assert inbox.count("No longer so") == 1


def test_taken_back_by_hand_what_was_announced_is_no_longer_so(client, shop, account, planned):
    client.post(f"/billing/change/{planned.pk}/take-back/")

    assert Notification.objects.get(kind="downgrade_scheduled").overtaken_at
    assert text(client.get(reverse("accounts:notifications"))).count("No longer so") == 1


def test_what_was_taken_back_before_its_mail_has_left_is_not_sent(client, shop, account, planned):
    planned_key = f"downgrade_scheduled:{planned.nonce}"
    assert Notification.objects.get(key__endswith=planned_key).deliveries.get().state == "waiting"

    client.post(f"/billing/change/{planned.pk}/take-back/")
    outbox.deliver_due(now=timezone.now())

    sent = [letter.subject for letter in mail.outbox]
    assert not [subject for subject in sent if "becomes" in subject]
    assert "Team, yearly stays" in sent
    delivery = Notification.objects.get(key__endswith=planned_key).deliveries.get()
    assert delivery.state == "overtaken"
    outbox.again(delivery, now=timezone.now())
    assert outbox.deliver_due(now=timezone.now()) == 0


def test_a_mail_that_fails_while_it_is_taken_back_is_not_tried_again(
    client, shop, account, planned, monkeypatch
):
    def fails(letter):
        client.post(f"/billing/change/{planned.pk}/take-back/")
        raise OSError("the mail server is away")

    monkeypatch.setattr(mail.EmailMultiAlternatives, "send", fails)
    outbox.deliver_due(now=timezone.now())

    told = Notification.objects.get(key__endswith=f"downgrade_scheduled:{planned.nonce}")
    assert told.deliveries.get().state == "overtaken"


def test_when_stripe_goes_away_before_the_payment_it_is_planned_again(
    client, shop, account, planned, stripe_fails
):
    page = look(client, price=TOP_YEAR)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=0, when="before", times=20)

    press(client, page)
    stripe_fails.call_off()
    gateway.line.forget()
    subscriptions.serve_owed()

    assert is_as_it_was(client, shop, account, planned)


def test_killed_between_letting_go_and_paying_the_sweeper_plans_it_again(
    client, shop, account, planned, monkeypatch
):
    from billing.changes import upgrade

    def killed(*_, **__):
        raise SystemExit("the process was killed here")

    page = look(client, price=TOP_YEAR)
    with monkeypatch.context() as crash:
        crash.setattr(upgrade, "pay_and_change", killed)
        crash.setattr(subscriptions, "_serve_latecomers", lambda account: None)
        with pytest.raises(SystemExit):
            press(client, page)
    planned.refresh_from_db()
    assert planned.state == "set_aside" and scheduled_at_stripe(shop, account) is None

    subscriptions.serve_owed()

    assert is_as_it_was(client, shop, account, planned)


def test_who_cancels_after_a_declined_upgrade_leaves_nothing_planned(client, shop, account, planned):
    change_card(shop, account, DECLINED_LATER)
    press(client, look(client, price=TOP_YEAR))

    client.post("/billing/cancel/")

    planned.refresh_from_db()
    assert planned.state == "undone" and live(account).is_canceling
    assert not Alert.objects.filter(kind="change_not_planned_again").exists()


# --- What a crash, or somebody else, has planned ------------------------------------------------------------


def test_a_lost_answer_to_the_plan_is_found_shown_and_taken_back(client, shop, account, alice, stripe_fails):
    buy(shop, account, alice, TEAM_YEAR)
    page = look(client, price=TEAM)
    stripe_fails(method="POST", path="/v1/subscription_schedules/*", status=0, when="after", times=20)

    press(client, page)
    stripe_fails.call_off()
    gateway.line.forget()
    subscriptions.serve_owed()

    change = PlanChange.objects.get()
    assert (change.state, change.stripe_schedule_id) == ("scheduled", scheduled_at_stripe(shop, account))
    assert "on: Team, monthly instead of Team, yearly" in text(client.get("/billing/"))
    assert Notification.objects.filter(kind="downgrade_scheduled").count() == 1

    said = text(client.post(f"/billing/change/{change.pk}/take-back/", follow=True))

    assert "The change is taken back" in said
    assert scheduled_at_stripe(shop, account) is None
    let_pass(account, live(account).current_period_end + SOON)
    assert live(account).price_lookup_key == TEAM_YEAR


def test_half_a_plan_that_a_crash_left_stands_in_nobody_s_way(client, shop, account, alice, stripe_fails):
    buy(shop, account, alice, TEAM_YEAR)
    page = look(client, price=TEAM)
    stripe_fails(method="POST", path="/v1/subscription_schedules/*", status=0, when="before", times=20)
    press(client, page)
    stripe_fails.call_off()
    gateway.line.forget()
    assert scheduled_at_stripe(shop, account)

    client.post("/billing/cancel/")
    assert live(account).is_canceling
    client.post("/billing/resume/")

    assert not live(account).is_canceling
    assert change(client, price=TEAM).state == "scheduled"


@pytest.fixture
def by_hand(client, shop, account, alice):
    """Support plans the month for the end of the year, in the Dashboard."""
    subscription = buy(shop, account, alice, TEAM_YEAR)
    made = gateway.post(
        "/v1/subscription_schedules",
        {"from_subscription": subscription.stripe_subscription_id},
        idempotency_key="hand",
    )

    def plan(price_id, quantity=1):
        running = made["phases"][0]
        gateway.post(
            f"/v1/subscription_schedules/{made['id']}",
            {
                "phases": [
                    {
                        "items": [{"price": running["items"][0]["price"], "quantity": 1}],
                        "start_date": running["start_date"],
                        "end_date": running["end_date"],
                    },
                    {"items": [{"price": price_id, "quantity": quantity}]},
                ]
            },
            idempotency_key=f"phases by hand {price_id} {quantity}",
        )
        subscriptions.sync(account=account, reason="test", wait_seconds=5)
        return made["id"]

    return plan


def price_id(lookup_key):
    return gateway.get("/v1/prices", {"lookup_keys": [lookup_key]})["data"][0]["id"]


def test_what_was_planned_in_the_dashboard_is_on_the_page_and_taken_back_there(
    by_hand, client, shop, account
):
    name = by_hand(price_id(TEAM))

    change = PlanChange.objects.get()
    assert (change.state, change.stripe_schedule_id, change.started_by) == ("scheduled", name, None)
    assert change.takes_effect_at == live(account).current_period_end
    assert "on: Team, monthly instead of Team, yearly" in text(client.get("/billing/"))

    client.post(f"/billing/change/{change.pk}/take-back/")

    assert scheduled_at_stripe(shop, account) is None


def test_planned_otherwise_in_the_dashboard_the_page_says_the_newer_one(by_hand, client, shop, account):
    by_hand(price_id(TEAM))
    by_hand(price_id(TOP))

    assert list(PlanChange.objects.order_by("pk").values_list("to_price", "state")) == [
        (TEAM, "undone"),
        (TOP, "scheduled"),
    ]
    assert "on: Enterprise instead of Team" in text(client.get("/billing/"))
    let_pass(account, live(account).current_period_end + SOON)
    assert PlanChange.objects.get(to_price=TOP).state == "done"


def test_planned_for_a_price_nobody_knows_staff_are_told(by_hand, client, account):
    product = gateway.post("/v1/products", {"name": "Something else"}, idempotency_key="else")
    other = gateway.post(
        "/v1/prices",
        {
            "product": product["id"],
            "currency": "usd",
            "unit_amount": 100,
            "recurring": {"interval": "month"},
        },
        idempotency_key="else price",
    )

    by_hand(other["id"])

    assert not PlanChange.objects.exists()
    assert Alert.objects.get(kind="unknown_schedule").account == account


def ends_by_schedule(subscription, **last):
    """Support lets the plan end with what is planned, in the Dashboard."""
    made = gateway.post(
        "/v1/subscription_schedules",
        {"from_subscription": subscription.stripe_subscription_id},
        idempotency_key="ending",
    )
    running = made["phases"][0]
    phase = {"items": [{"price": running["items"][0]["price"], "quantity": 1}]}
    phase |= {"start_date": running["start_date"], **(last or {"end_date": running["end_date"]})}
    gateway.post(
        f"/v1/subscription_schedules/{made['id']}",
        {"phases": [phase], "end_behavior": "cancel"},
        idempotency_key="ending phases",
    )


def test_a_schedule_of_the_dashboard_that_ends_the_plan_is_shown_as_an_ending(
    client, shop, account, alice, settle
):
    bought = buy(shop, account, alice, TEAM)
    ends_by_schedule(bought)

    settle()

    said = text(client.get("/billing/"))
    last = f"{bought.current_period_end:%-d %B %Y}"
    assert f"Ends {last}" in said
    assert f"Everything works until {last} . Nothing more is charged." in said
    assert "$99.00 on" not in said
    assert Notification.objects.filter(account=account, kind="canceled").exists()
    let_pass(account, bought.current_period_end + SOON)
    settle()
    assert not Subscription.objects.live().filter(account=account).exists()


def test_what_ends_by_a_schedule_can_be_kept(client, shop, account, alice, settle):
    ends_by_schedule(buy(shop, account, alice, TEAM))
    settle()

    client.post("/billing/resume/")

    assert not live(account).is_canceling and scheduled_at_stripe(shop, account) is None
    assert "$99.00 on" in text(client.get("/billing/"))


def test_an_end_beyond_the_running_period_says_that_it_renews_until_then(
    client, shop, account, alice, settle
):
    bought = buy(shop, account, alice, TEAM)
    ends_by_schedule(bought, duration={"interval": "month", "interval_count": 3})

    settle()

    said = text(client.get("/billing/"))
    assert f"Until then it renews as before, next on {bought.current_period_end:%-d %B %Y}" in said
    assert "Nothing more is charged" not in said
