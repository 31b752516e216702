"""An offer takes the place of a running plan: all of it or nothing of it, whatever Stripe refuses or loses midway."""

from datetime import timedelta

import pytest

from billing import clock
from billing.deals import replacing
from billing.lifecycle import subscriptions
from billing.models import Alert, Effect, Offer, Payment, PlanChange, Subscription
from billing.stripe import gateway
from tests.billing.changing import acts_for, change
from tests.billing.shopping import at_stripe, buy, let_pass
from tests.billing.test_deals import OFFERS, YES, offer_to, page_of, said

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running(shop, account, alice, settings):
    """Five seats of Team, paid by card."""
    settings.STRIPE_TEST_CLOCKS = True
    trial = buy(shop, account, alice, "hybrid_team_month", 5)
    let_pass(account, trial.trial_end + timedelta(hours=2))
    return Subscription.objects.live().get(account=account)


@pytest.fixture
def office(as_alice, account):
    """Alice's browser, acting for her organization."""
    return acts_for(as_alice, account)


def as_stripe_has_it(shop, account):
    [subscription] = at_stripe(shop, account, "subscription")
    keys = ("id", "status", "collection_method", "cancel_at_period_end", "cancel_at")
    items = [(item["price"], item["quantity"]) for item in subscription["items"]["data"]]
    return {**{key: subscription[key] for key in keys}, "items": items}


def bills(shop, account):
    return len(at_stripe(shop, account, "invoice"))


def is_replaced(shop, account, running, offer):
    """One plan, the offered one, billed once; no card is asked."""
    offer.refresh_from_db()
    assert offer.state == "accepted"
    live = Subscription.objects.live().get(account=account)
    assert (live.stripe_subscription_id, live.plan_key) == (running.stripe_subscription_id, "enterprise")
    assert as_stripe_has_it(shop, account)["collection_method"] == "send_invoice"
    sent = [one for one in at_stripe(shop, account, "invoice") if one["collection_method"] == "send_invoice"]
    assert len(sent) == 1
    assert Effect.objects.get(kind=replacing.KIND).done_at is not None
    return True


def answered_again(stripe_fails):
    stripe_fails.call_off()
    gateway.line.forget()


def test_refused_midway_the_plan_is_as_it_was_and_nothing_is_billed(
    shop, account, client, running, stripe_fails
):
    before, billed = as_stripe_has_it(shop, account), bills(shop, account)
    offer = offer_to(account)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=400, skip=1, times=1)

    answer = client.post(page_of(offer), YES)

    assert "Stripe did not accept it" in said(answer) and "your plan is as it was" in said(answer)
    assert as_stripe_has_it(shop, account) == before and bills(shop, account) == billed
    offer.refresh_from_db()
    assert offer.state == "open"
    assert Subscription.objects.live().get().collection_method == "charge_automatically"
    let_pass(account, running.current_period_end + timedelta(hours=2))
    assert Payment.objects.filter(account=account).latest("created_at").status == "paid"


def test_refused_midway_a_plan_that_was_set_to_end_still_ends(shop, account, client, running, stripe_fails):
    subscriptions.cancel(account=account)
    before = as_stripe_has_it(shop, account)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=400, skip=1, times=1)

    client.post(page_of(offer_to(account)), YES)

    assert as_stripe_has_it(shop, account) == before
    assert Subscription.objects.live().get().is_canceling


def test_refused_midway_what_was_planned_is_still_planned(
    shop,
    account,
    client,
    running,
    office,
    stripe_fails,
):
    planned = change(office, seats="3")
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=400, skip=1, times=1)

    client.post(page_of(offer_to(account)), YES)

    planned.refresh_from_db()
    assert planned.state == "scheduled"
    assert at_stripe(shop, account, "subscription")[0]["schedule"] == planned.stripe_schedule_id
    let_pass(account, running.current_period_end + timedelta(hours=2))
    assert Subscription.objects.live().get().quantity == 3


def test_when_what_was_planned_cannot_be_let_go_of_all_is_as_it_was_and_syncs_go_on(
    shop, account, client, running, office, stripe_fails
):
    planned = change(office, seats="3")
    before, offer = as_stripe_has_it(shop, account), offer_to(account)
    stripe_fails(method="POST", path="/v1/subscription_schedules/*", status=400, times=40)

    assert "your plan is as it was" in said(client.post(page_of(offer), YES))
    assert subscriptions.sync(account=account, reason="test", wait_seconds=5)

    planned.refresh_from_db()
    assert planned.state == "scheduled"
    assert as_stripe_has_it(shop, account) == before


def test_after_a_refusal_the_next_press_goes_through(shop, account, client, running, office, stripe_fails):
    planned = change(office, seats="3")
    offer = offer_to(account)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=400, skip=1, times=1)
    client.post(page_of(offer), YES)

    assert client.post(page_of(offer), YES).status_code == 302

    assert is_replaced(shop, account, running, offer)
    planned.refresh_from_db()
    assert planned.state == "undone"
    assert at_stripe(shop, account, "subscription")[0]["schedule"] is None


@pytest.mark.parametrize(("when", "skip"), [("before", 0), ("after", 0), ("before", 1), ("after", 1)])
def test_lost_midway_it_is_carried_through_by_itself(
    shop, account, client, running, stripe_fails, when, skip
):
    offer = offer_to(account)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=0, when=when, skip=skip, times=40)
    assert "Stripe did not answer" in said(client.post(page_of(offer), YES))
    answered_again(stripe_fails)

    subscriptions.serve_owed()

    assert is_replaced(shop, account, running, offer)
    assert client.post(page_of(offer), YES).status_code == 302
    assert is_replaced(shop, account, running, offer)


def test_lost_midway_and_pressed_again_it_is_once(shop, account, client, running, stripe_fails):
    offer = offer_to(account)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=0, when="after", skip=1, times=40)
    client.post(page_of(offer), YES)
    answered_again(stripe_fails)

    assert client.post(page_of(offer), YES).status_code == 302

    assert is_replaced(shop, account, running, offer)


def test_an_offer_of_the_same_seats_at_the_same_price_takes_the_place_of_what_was_planned(
    shop, account, client, running, office
):
    planned = change(office, seats="3")
    offer = offer_to(
        account, plan_key="team", interval="month", seats=5, amount=None, overrides={}, periods=None
    )

    assert client.post(page_of(offer), YES).status_code == 302

    planned.refresh_from_db()
    assert planned.state == "undone"
    assert at_stripe(shop, account, "subscription")[0]["schedule"] is None


def test_killed_midway_the_sweeper_carries_it_through(shop, account, client, running, monkeypatch):
    def killed(*_, **__):
        raise SystemExit("the process was killed here")

    offer = offer_to(account)
    with monkeypatch.context() as crash:
        crash.setattr(replacing, "_wanted", killed)
        crash.setattr(subscriptions, "_serve_latecomers", lambda account: None)
        with pytest.raises(SystemExit):
            client.post(page_of(offer), YES)
    assert as_stripe_has_it(shop, account)["collection_method"] == "send_invoice"

    subscriptions.serve_owed()

    assert is_replaced(shop, account, running, offer)


def test_taken_back_by_staff_before_it_was_carried_through_it_is_undone(
    shop, account, client, running, stripe_fails, as_dana
):
    before, offer = as_stripe_has_it(shop, account), offer_to(account)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=0, when="before", skip=1, times=40)
    client.post(page_of(offer), YES)
    answered_again(stripe_fails)
    as_dana.post(OFFERS, {"action": "take_back", "_selected_action": [str(offer.pk)]})

    subscriptions.serve_owed()

    assert Offer.objects.get().state == "withdrawn"
    assert as_stripe_has_it(shop, account) == before


def test_refused_when_it_is_carried_through_staff_are_told(shop, account, client, running, stripe_fails):
    before, offer = as_stripe_has_it(shop, account), offer_to(account)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=0, when="before", skip=1, times=40)
    client.post(page_of(offer), YES)
    answered_again(stripe_fails)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=400, skip=1, times=1)

    subscriptions.serve_owed()

    assert as_stripe_has_it(shop, account) == before
    assert Alert.objects.get(kind="offer_refused").account == account
    offer.refresh_from_db()
    assert offer.state == "open"


def test_the_plan_ended_before_it_was_carried_through_the_next_press_begins_it(
    shop, account, client, running, stripe_fails
):
    offer = offer_to(account)
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=0, when="before", skip=1, times=40)
    client.post(page_of(offer), YES)
    answered_again(stripe_fails)
    gateway.delete(f"/v1/subscriptions/{running.stripe_subscription_id}")
    subscriptions.serve_owed()
    told = Alert.objects.get(kind="offer_refused").message
    assert "had ended before it could" in told and "begins a plan of its own" in told
    assert "Stripe refused" not in told and "as it was" not in told

    assert client.post(page_of(offer), YES).status_code == 302

    live = Subscription.objects.live().get(account=account)
    assert live.offer == offer and live.stripe_subscription_id != running.stripe_subscription_id
    assert not PlanChange.objects.exists() and clock.now(account)
