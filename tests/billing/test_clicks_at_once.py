"""Several clicks and several people at the same moment, on plans and on seats: one of them comes true, paid once."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Member
from billing import clock
from billing.changes.wishes import CHANGES_A_DAY, TRIES_A_DAY
from billing.models import Payment, PlanChange, Subscription
from tests import factories
from tests.billing.changing import acts_for, change, look, press, token_on
from tests.billing.shopping import DECLINED_LATER, at_stripe, buy, change_card, let_pass
from tests.billing.test_billing_pages import text

pytestmark = pytest.mark.django_db(transaction=True)

TEAM, TEAM_YEAR = "automation_team_month", "automation_team_year"
TOP, TOP_YEAR = "automation_enterprise_month", "automation_enterprise_year"
# A change of the plan, and one of the seats: what the page is asked for, and what is bought before.
KINDS = {
    "plan": ("automation", TEAM, 1, [{"price": TOP}, {"price": TEAM_YEAR}]),
    "seats": ("hybrid", "hybrid_team_month", 4, [{"seats": "6"}, {"seats": "9"}]),
}
LESS = {
    "plan": ("automation", TOP_YEAR, 1, [{"price": TOP}, {"price": TEAM_YEAR}, {"price": TEAM}]),
    "seats": ("hybrid", "hybrid_team_month", 9, [{"seats": "8"}, {"seats": "7"}, {"seats": "6"}]),
}


@pytest.fixture
def shop_of(settings, request):
    def open_with(kind, kinds=KINDS):
        catalog, price, quantity, wishes = kinds[kind]
        settings.BILLING_CATALOG = catalog
        settings.STRIPE_TEST_CLOCKS = True
        shop = request.getfixturevalue("shop")
        account, alice = request.getfixturevalue("account"), request.getfixturevalue("alice")
        client = acts_for(request.getfixturevalue("as_alice"), account)
        bought = buy(shop, account, alice, price, quantity)
        if bought.trial_end:
            let_pass(account, bought.trial_end + timedelta(hours=3))
        return shop, account, client, wishes

    return open_with


def live(account):
    return Subscription.objects.live().get(account=account)


def another_admin(account):
    ann = factories.MemberFactory(account=account, role=Member.Role.ADMIN).user
    browser = Client()
    browser.force_login(ann, backend="django.contrib.auth.backends.ModelBackend")
    return acts_for(browser, account)


def all_at_once(*acts):
    """Each in a thread of its own, let go at the same moment; nobody sees an error page."""
    ready = threading.Barrier(len(acts))
    answers = []

    def run(act):
        try:
            ready.wait(30)
            answers.append(act().status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == len(acts) and all(code < 500 for code in answers), answers
    return answers


def click(client, token):
    browser = Client()
    browser.cookies = client.cookies
    return lambda: browser.post("/billing/change/", {"token": token})


def charged_for_changes(account):
    return Payment.objects.filter(account=account, billing_reason="subscription_update").count()


def schedules_that_run(shop, account):
    return [one for one in at_stripe(shop, account, "subscription_schedule") if one["status"] == "active"]


def agree(shop, account):
    """Our rows, Stripe's subscription and its schedules say the same."""
    [subscription] = at_stripe(shop, account, "subscription")
    planned = list(PlanChange.objects.filter(account=account).planned())
    running = schedules_that_run(shop, account)
    assert [one.stripe_schedule_id for one in planned] == [one["id"] for one in running]
    assert subscription["schedule"] == (running[0]["id"] if running else None)
    assert not PlanChange.objects.filter(account=account, state__in=["started", "waiting"]).exists()
    return True


@pytest.mark.postgres
@pytest.mark.parametrize("kind", list(KINDS))
def test_ten_clicks_at_once_are_one_change_and_one_charge(shop_of, kind):
    shop, account, client, wishes = shop_of(kind)
    token = token_on(look(client, **wishes[0]))

    all_at_once(*[click(client, token)] * 10)

    assert PlanChange.objects.get().state == "done"
    assert charged_for_changes(account) == 1
    assert agree(shop, account)


@pytest.mark.postgres
@pytest.mark.parametrize("kind", list(KINDS))
def test_of_two_people_who_press_at_once_one_has_what_they_saw(shop_of, kind):
    shop, account, client, (his, hers) = shop_of(kind)
    ann = another_admin(account)
    tokens = token_on(look(client, **his)), token_on(look(ann, **hers))

    all_at_once(click(client, tokens[0]), click(ann, tokens[1]))

    made = PlanChange.objects.get(state="done")
    assert PlanChange.objects.count() == 1
    assert (live(account).price_lookup_key, live(account).quantity) == (made.to_price, made.to_quantity)
    assert charged_for_changes(account) == 1 and agree(shop, account)


@pytest.mark.postgres
@pytest.mark.parametrize("kind", list(LESS))
def test_ten_clicks_at_once_are_one_plan_for_the_period_s_end(shop_of, kind):
    shop, account, client, wishes = shop_of(kind, LESS)
    token = token_on(look(client, **wishes[0]))

    all_at_once(*[click(client, token)] * 10)

    assert PlanChange.objects.get().state == "scheduled"
    assert len(at_stripe(shop, account, "subscription_schedule")) == 1
    assert agree(shop, account)


@pytest.mark.postgres
@pytest.mark.parametrize("kind", list(LESS))
def test_many_people_at_once_plan_one_thing_and_no_more_than_a_day_allows(shop_of, kind):
    shop, account, client, wishes = shop_of(kind, LESS)
    browsers = [client, *(another_admin(account) for _ in range(3))] * 2
    tokens = [token_on(look(one, **wishes[number % 3])) for number, one in enumerate(browsers)]

    all_at_once(*[click(one, token) for one, token in zip(browsers, tokens, strict=True)])

    assert PlanChange.objects.count() <= CHANGES_A_DAY
    assert PlanChange.objects.filter(state="scheduled").count() == 1
    assert agree(shop, account)


@pytest.mark.postgres
@pytest.mark.parametrize("kind", list(LESS))
def test_taken_back_and_pressed_anew_at_once_page_and_stripe_agree(shop_of, kind):
    shop, account, client, wishes = shop_of(kind, LESS)
    planned = change(client, **wishes[0])
    ann = another_admin(account)
    token = token_on(look(ann, **wishes[1]))
    undo = Client()
    undo.cookies = client.cookies

    all_at_once(lambda: undo.post(f"/billing/change/{planned.pk}/take-back/"), click(ann, token))

    assert agree(shop, account)


@pytest.mark.postgres
@pytest.mark.parametrize("kind", list(KINDS))
def test_canceled_and_changed_at_once_page_and_stripe_agree(shop_of, kind):
    shop, account, client, wishes = shop_of(kind)
    ann = another_admin(account)
    token = token_on(look(ann, **wishes[0]))
    leaving = Client()
    leaving.cookies = client.cookies

    all_at_once(lambda: leaving.post("/billing/cancel/"), click(ann, token))

    [subscription] = at_stripe(shop, account, "subscription")
    assert live(account).is_canceling == subscription["cancel_at_period_end"]
    assert charged_for_changes(account) == PlanChange.objects.filter(state="done").count()
    assert agree(shop, account)


def test_the_sixth_change_of_seats_in_a_day_is_refused_politely(shop_of):
    _, account, client, _ = shop_of("seats")
    for seats in range(5, 5 + CHANGES_A_DAY):
        assert change(client, seats=str(seats)).state == "done"

    refused = look(client, seats="20")

    assert refused.status_code == 409
    assert f"changed {CHANGES_A_DAY} times in the last 24 hours" in text(refused)
    let_pass(account, clock.now(account) + timedelta(hours=25))
    assert look(client, seats="20").status_code == 200


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_card_is_not_tried_all_day_long(shop_of, kind):
    shop, account, client, wishes = shop_of(kind)
    change_card(shop, account, DECLINED_LATER)
    for _ in range(TRIES_A_DAY):
        assert "was declined" in text(press(client, look(client, **wishes[0])))

    refused = look(client, **wishes[0])

    assert refused.status_code == 409
    assert f"tried {TRIES_A_DAY} times in the last 24 hours" in text(refused)
    let_pass(account, clock.now(account) + timedelta(hours=25))
    assert look(client, **wishes[0]).status_code == 200
