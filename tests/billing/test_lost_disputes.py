"""A dispute that was lost ends the plan with what is paid, whenever and however it is found; forgiven, it goes on."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as house
from django.core.management import call_command

from accounts.models import Notification
from billing import access, clock, effects, entitlements
from billing.leaving import forgiving, pausing
from billing.lifecycle import checkout, subscriptions
from billing.models import Alert, CheckoutIntent, Customer, Effect, Payment, PlanChange, Subscription
from billing.stripe import gateway
from simulator.hosted.outcome import NotOpen
from simulator.resources import disputes as bank
from tests import factories
from tests.accounts.conftest import acting_for
from tests.billing import purchases
from tests.billing.changing import change, token_on
from tests.billing.shopping import (
    DECLINED_LATER,
    VISA,
    at_stripe,
    buy,
    change_card,
    go_to_the_till,
    let_pass,
    pay,
)

pytestmark = pytest.mark.django_db(transaction=True)

HOURS = timedelta(hours=2)  # a renewal is invoiced at once and charged an hour later


@pytest.fixture
def kaboot(simulator, settings, tmp_path):
    """Five dollars a month, with pauses."""
    words = (Path(house.BILLING_CATALOG_DIR) / "kaboot.toml").read_text()
    file = tmp_path / "kaboot.toml"
    file.write_text(words.replace("money_back_days = 7", "money_back_days = 7\npause_months = 3", 1))
    settings.BILLING_CATALOG = str(file)
    settings.STAFF_ALERT_EMAIL = "staff@example.com"
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


@pytest.fixture
def bought(kaboot, account, alice):
    return buy(kaboot, account, alice, "kaboot_pro_month")


@pytest.fixture
def as_alice(account, alice):
    return acting_for(account, alice)


def text(response):
    words = re.sub(r"<script.*?</script>|<[^>]+>", " ", response.content.decode(), flags=re.S)
    return re.sub(r"\s+([.,;]?)", lambda found: found[1] or " ", words)


def dispute(shop, account):
    """The bank asks for the newest payment back."""
    charge = [one for one in at_stripe(shop, account, "charge") if one["paid"]][-1]
    with shop.transaction():
        return bank.open_for(shop, charge)


def lose(shop, account):
    """It is disputed, and given up."""
    found = dispute(shop, account)
    purchases.at_stripe().v1.disputes.close(found["id"])
    return found


def loses(shop, account, settle):
    found = lose(shop, account)
    settle()
    assert Customer.objects.get(account=account).dispute_state == "lost"
    return found


def as_stripe_has_it(bought):
    return gateway.get(f"/v1/subscriptions/{bought.stripe_subscription_id}")


def forgive(account):
    return forgiving.forgive(account, by="dana", now=clock.wall())


def let_pass_to_its_end(account):
    return let_pass(account, Subscription.objects.live().get(account=account).current_period_end + HOURS)


def told(account, kind):
    return list(Notification.objects.filter(account=account, kind=kind))


def paid_at_stripe(shop, account):
    return [one["amount"] for one in at_stripe(shop, account, "charge") if one["paid"]]


def sync(account):
    assert subscriptions.sync(account=account, reason="test")


def in_order(settle, account):
    settle()


def backwards_and_twice(settle, account):
    settle(shuffle=lambda letters: letters.__setitem__(slice(None), [*letters, *letters][::-1]))


def nothing_but_the_last(settle, account):
    settle(shuffle=lambda letters: letters.__setitem__(slice(None), letters[-1:]))


def found_by_the_daily_comparison(settle, account):
    call_command("reconcile_billing", verbosity=0)


@pytest.mark.parametrize(
    "arrive", [in_order, backwards_and_twice, nothing_but_the_last, found_by_the_daily_comparison]
)
def test_my_plan_ends_with_what_i_paid_and_i_am_never_charged_again(
    kaboot, bought, account, as_alice, settle, arrive
):
    settle()
    end = bought.current_period_end
    found = lose(kaboot, account)

    arrive(settle, account)
    settle()
    sync(account)

    assert as_stripe_has_it(bought)["cancel_at_period_end"]
    page = text(as_alice.get("/billing/"))
    assert f"Pro ends on {end:%-d %B %Y}. Nothing more is charged." in page
    assert "It ends because a disputed payment was lost." in page
    assert "Keep my plan" not in page
    [mail] = told(account, "dispute_lost")
    assert f"Pro ends on {end:%-d %B %Y}; nothing more is charged." in mail.text
    assert told(account, "canceled") == []
    [alert] = Alert.objects.filter(kind="dispute", key=f"dispute:{found['id']}:lost")
    assert alert.account == account
    assert f"Pro ends on {end:%-d %B %Y}; nothing more is charged." in alert.message
    assert Effect.objects.filter(key__startswith=f"mail:alert:{alert.key}").count() == 1

    let_pass(account, end + timedelta(days=70))
    settle()

    assert as_stripe_has_it(bought)["status"] == "canceled"
    assert paid_at_stripe(kaboot, account) == [500]
    assert "Pro ended on" in text(as_alice.get("/billing/"))
    assert "because a disputed payment was lost" in text(as_alice.get("/billing/"))
    [over] = told(account, "ended")
    assert "The account is on hold" in over.text
    assert len(told(account, "dispute_lost")) == 1


def test_an_open_dispute_that_no_letter_told_of_is_told_to_staff(kaboot, bought, account):
    found = dispute(kaboot, account)

    call_command("reconcile_billing", verbosity=0)
    call_command("reconcile_billing", verbosity=0)

    alert = Alert.objects.get(kind="dispute")
    assert alert.key == f"dispute:{found['id']}:needs_response"
    assert "Answer it" in alert.message
    assert alert.times_seen == 1


def test_a_late_letter_does_not_open_again_what_staff_resolved(kaboot, bought, account, settle):
    loses(kaboot, account, settle)
    Alert.objects.update(resolved_at=clock.wall())

    call_command("reconcile_billing", verbosity=0)
    settle()

    assert not Alert.objects.filter(resolved_at=None).exists()


def test_an_alert_about_a_dispute_is_resolved_when_that_is_no_longer_where_it_stands(
    kaboot, bought, account, settle
):
    def open_alerts():
        return [one.key.rpartition(":")[2] for one in Alert.objects.filter(kind="dispute", resolved_at=None)]

    found = dispute(kaboot, account)
    settle()
    assert open_alerts() == ["needs_response"]
    purchases.at_stripe().v1.disputes.close(found["id"])
    settle()
    assert open_alerts() == ["lost"]

    forgive(account)
    settle()

    assert open_alerts() == []
    sync(account)
    assert open_alerts() == []


@pytest.fixture
def paid_twice(kaboot, account, bought, settle):
    """Two months are paid, and the older payment is disputed and lost."""
    let_pass(account, bought.current_period_end + HOURS)
    settle()
    first = next(one for one in at_stripe(kaboot, account, "charge") if one["paid"])
    with kaboot.transaction():
        found = bank.open_for(kaboot, first)
    purchases.at_stripe().v1.disputes.close(found["id"])
    settle()
    assert Customer.objects.get(account=account).dispute_state == "lost"


def test_a_second_dispute_is_told_though_the_account_is_on_hold_already(
    kaboot, paid_twice, account, as_alice, settle
):
    before = len(told(account, "dispute_opened"))

    dispute(kaboot, account)
    settle()
    sync(account)

    more = told(account, "dispute_opened")[before:]
    assert [one.text.splitlines()[0] for one in more] == [
        "A bank has asked for a payment of $5.00 by Alice & Co back. If that was a mistake, ask the bank to withdraw "
        "it; that is the quickest way for everybody. The account is on hold for another dispute, and stays so "
        "meanwhile."
    ]


def test_forgiven_while_another_dispute_is_undecided_the_end_of_the_hold_is_told(
    kaboot, paid_twice, account, settle
):
    dispute(kaboot, account)
    settle()

    forgive(account)
    settle()

    [mail] = told(account, "dispute_won")
    assert mail.subject == "Alice & Co is no longer on hold"
    assert "Pro goes on" in mail.text and "Another payment is still disputed" in mail.text


def test_a_dispute_that_was_won_leaves_staff_nothing_to_do(kaboot, bought, account, settle):
    found = loses(kaboot, account, settle)
    with kaboot.transaction():
        bank.reverse(kaboot, kaboot.store.get("dispute", found["id"]))
    settle()

    assert "It was won" in Alert.objects.get(key__endswith=":won").message
    assert not Alert.objects.filter(kind="dispute", resolved_at=None).exists()


def test_forgiven_what_was_to_be_ended_by_hand_is_not_to_be_ended_any_more(
    kaboot, bought, account, settle, stripe_fails
):
    lose(kaboot, account)
    stripe_fails(
        method="POST", path=f"/v1/subscriptions/{bought.stripe_subscription_id}", status=400, times=100
    )
    settle()
    assert Alert.objects.filter(kind="end_by_hand", resolved_at=None).exists()
    stripe_fails.call_off()

    forgive(account)

    assert not Alert.objects.filter(kind="end_by_hand", resolved_at=None).exists()


def test_forgiven_before_its_last_day_the_plan_goes_on_as_before(kaboot, bought, account, as_alice, settle):
    loses(kaboot, account, settle)

    forgive(account)
    settle()

    assert not as_stripe_has_it(bought)["cancel_at_period_end"]
    assert entitlements.of(account, now=clock.now(account)).level == access.Level.FULL
    page = text(as_alice.get("/billing/"))
    assert "$5.00 on" in page
    assert "dispute" not in page
    [mail] = told(account, "dispute_won")
    assert f"Pro goes on, and the next charge is on {bought.current_period_end:%-d %B %Y}." in mail.text
    assert told(account, "resumed") == []
    let_pass(account, bought.current_period_end + HOURS)
    assert paid_at_stripe(kaboot, account) == [500, 500]


def test_the_bank_that_changes_its_mind_later_gives_the_plan_back(kaboot, bought, account, settle):
    found = loses(kaboot, account, settle)

    with kaboot.transaction():
        bank.reverse(kaboot, kaboot.store.get("dispute", found["id"]))
    settle()

    assert Customer.objects.get(account=account).dispute_state == ""
    assert not as_stripe_has_it(bought)["cancel_at_period_end"]


def test_forgiven_after_its_last_day_i_may_choose_a_plan_again(kaboot, bought, account, as_alice, settle):
    loses(kaboot, account, settle)
    let_pass(account, bought.current_period_end + HOURS)
    settle()

    forgive(account)

    assert as_stripe_has_it(bought)["status"] == "canceled"
    assert "Choose a plan" in text(as_alice.get("/billing/"))
    [mail] = told(account, "dispute_won")
    assert "goes on" not in mail.text


def test_who_canceled_before_the_dispute_has_canceled(kaboot, bought, account, as_alice, settle):
    as_alice.post("/billing/cancel/")
    loses(kaboot, account, settle)
    assert "It ends because a disputed payment was lost." not in text(as_alice.get("/billing/"))

    forgive(account)
    settle()

    assert as_stripe_has_it(bought)["cancel_at_period_end"]
    [mail] = told(account, "dispute_won")
    assert "still ends on" in mail.text


def test_who_cancels_on_our_page_while_on_hold_has_canceled(kaboot, bought, account, as_alice, settle):
    loses(kaboot, account, settle)
    assert "Cancel plan" in text(as_alice.get("/billing/"))
    assert "it also ends then if the dispute is settled before" in text(as_alice.get("/billing/cancel/"))

    as_alice.post("/billing/cancel/")
    settle()
    assert "cancel it if you do not want that" not in text(as_alice.get("/billing/"))
    forgive(account)
    settle()

    assert as_stripe_has_it(bought)["cancel_at_period_end"]
    assert len(told(account, "dispute_lost")) == 1
    assert "Your plan ends on" in text(as_alice.get("/billing/"))


def test_who_cancels_at_stripe_while_on_hold_has_canceled(kaboot, bought, account, settle):
    loses(kaboot, account, settle)
    let_pass(account, clock.now(account) + timedelta(days=3))
    path = f"/v1/subscriptions/{bought.stripe_subscription_id}"
    gateway.post(path, {"cancel_at_period_end": False}, idempotency_key="no")
    gateway.post(path, {"cancel_at_period_end": True}, idempotency_key="yes")
    settle()

    forgive(account)
    settle()

    assert as_stripe_has_it(bought)["cancel_at_period_end"]


def test_on_hold_the_plan_cannot_be_kept_here_and_kept_at_stripe_it_ends_again(
    kaboot, bought, account, as_alice, settle
):
    loses(kaboot, account, settle)

    assert "its plan cannot go on" in text(as_alice.post("/billing/resume/", follow=True))
    assert "Resume Pro" not in text(as_alice.get("/pricing/"))
    assert as_stripe_has_it(bought)["cancel_at_period_end"]
    path = f"/v1/subscriptions/{bought.stripe_subscription_id}"
    gateway.post(path, {"cancel_at_period_end": False}, idempotency_key="portal")
    settle()

    assert as_stripe_has_it(bought)["cancel_at_period_end"]
    assert len(told(account, "dispute_lost")) == 2
    assert Alert.objects.get(key__endswith=":lost").times_seen == 2
    forgive(account)
    assert not as_stripe_has_it(bought)["cancel_at_period_end"]


def test_what_is_overdue_is_not_tried_again_and_the_plan_is_over(kaboot, bought, account, as_alice, settle):
    change_card(kaboot, account, DECLINED_LATER)
    let_pass(account, bought.current_period_end + HOURS)
    settle()
    assert Subscription.objects.live().get().status == "past_due"

    loses(kaboot, account, settle)
    change_card(kaboot, account, VISA)
    let_pass(account, bought.current_period_end + timedelta(days=60))
    settle()

    assert as_stripe_has_it(bought)["status"] == "canceled"
    assert paid_at_stripe(kaboot, account) == [500]
    assert "Pro has ended" in told(account, "dispute_lost")[0].text
    assert told(account, "ended") == []
    assert "Pro ended on" in text(as_alice.get("/billing/"))
    assert "Pro has ended" in Alert.objects.get(key__endswith=":lost").message


def test_a_renewal_that_is_still_a_draft_is_not_charged(kaboot, bought, account, settle):
    let_pass(account, bought.current_period_end + timedelta(minutes=10))
    settle()
    [draft] = [one for one in at_stripe(kaboot, account, "invoice") if one["status"] == "draft"]

    loses(kaboot, account, settle)
    let_pass(account, bought.current_period_end + timedelta(days=60))
    settle()

    assert as_stripe_has_it(bought)["status"] == "canceled"
    assert not gateway.get(f"/v1/invoices/{draft['id']}")["auto_advance"]
    assert paid_at_stripe(kaboot, account) == [500]


def test_a_trial_ends_without_a_charge(kaboot, account, settle):
    customer = purchases.known(account)
    client = purchases.at_stripe()
    method = client.v1.payment_methods.attach("pm_card_createDispute", {"customer": customer})
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    made = client.v1.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": purchases.price_id("kaboot_pro_month")}],
            "trial_period_days": 10,
        }
    )
    settle()
    client.v1.payment_intents.create(
        {
            "amount": 700,
            "currency": "usd",
            "customer": customer,
            "payment_method": method.id,
            "payment_method_types": ["card"],
            "confirm": True,
        }
    )
    settle()
    client.v1.disputes.close(client.v1.disputes.list().data[0].id)
    settle()

    trial = Subscription.objects.get(stripe_subscription_id=made.id)
    assert trial.is_canceling
    let_pass(account, trial.trial_end + timedelta(days=40))
    settle()

    assert paid_at_stripe(kaboot, account) == [700]
    assert gateway.get(f"/v1/subscriptions/{made.id}")["status"] == "canceled"


def test_a_trial_that_waits_for_a_card_is_over(kaboot, bought, account, settle):
    subscriptions.cancel_now(account=account)
    made = purchases.at_stripe().v1.subscriptions.create(
        {
            "customer": purchases.known(account),
            "items": [{"price": purchases.price_id("kaboot_pro_month")}],
            "trial_period_days": 5,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        }
    )
    with kaboot.transaction():
        waiting = kaboot.store.get("subscription", made.id)
        waiting["status"] = "paused"
        kaboot.save(waiting)
    settle()

    loses(kaboot, account, settle)

    assert gateway.get(f"/v1/subscriptions/{made.id}")["status"] == "canceled"
    assert paid_at_stripe(kaboot, account) == [500]


def test_a_pause_does_not_go_on_and_ends_with_its_period(kaboot, bought, account, as_alice, settle):
    pausing.pause(account=account, months=2)
    let_pass(account, bought.current_period_end + HOURS)
    settle()

    loses(kaboot, account, settle)
    assert "its plan cannot go on" in text(as_alice.post("/billing/go-on/", follow=True))
    page = text(as_alice.get("/billing/"))
    assert "Pro ends on" in page
    assert "goes on on" not in page
    let_pass(account, bought.current_period_end + timedelta(days=120))
    settle()

    assert as_stripe_has_it(bought)["status"] == "canceled"
    assert paid_at_stripe(kaboot, account) == [500]


def test_what_was_planned_for_the_periods_end_is_let_go_of(
    simulator, settings, account, alice, as_alice, settle
):
    settings.BILLING_CATALOG = "automation"
    call_command("sync_catalog", verbosity=0)
    bought = buy(simulator, account, alice, "automation_team_year")
    assert change(as_alice, price="automation_team_month").state == PlanChange.State.SCHEDULED

    loses(simulator, account, settle)

    assert PlanChange.objects.get(account=account).state == PlanChange.State.UNDONE
    found = as_stripe_has_it(bought)
    assert found["schedule"] is None
    assert found["cancel_at_period_end"]


@pytest.fixture
def planned(simulator, settings, account, alice, as_alice):
    """A year of Team that becomes a month's at its end."""
    settings.BILLING_CATALOG = "automation"
    call_command("sync_catalog", verbosity=0)
    buy(simulator, account, alice, "automation_team_year")
    return change(as_alice, price="automation_team_month")


def test_what_was_planned_is_said_to_be_off_and_after_forgiving_to_be_planned_again(
    simulator, account, as_alice, settle, planned
):
    day = f"{planned.takes_effect_at:%-d %B %Y}"
    loses(simulator, account, settle)

    [mail] = told(account, "dispute_lost")
    assert f"What was planned, Team, monthly from {day}, is taken back: if the plan goes on" in mail.text
    assert "No longer so" in text(as_alice.get("/notifications/"))
    page = text(as_alice.get("/billing/"))
    assert f"Team, monthly from {day} is not planned any more" in page
    assert "If the plan goes on, plan it again." in page
    assert "What was planned, Team, monthly, is off" in Alert.objects.get(key__endswith=":lost").message

    forgive(account)
    settle()

    [mail] = told(account, "dispute_won")
    assert f"Team, monthly from {day} is not planned any more: plan it again" in mail.text
    page = as_alice.get("/billing/")
    assert f"Team, monthly from {day} is not planned any more" in text(page)
    [again] = re.findall(r'href="([^"]+)">Plan it again<', page.content.decode())
    token = token_on(as_alice.get(again.replace("&amp;", "&")))
    as_alice.post("/billing/change/", {"token": token})
    page = text(as_alice.get("/billing/"))
    assert "not planned any more" not in page
    assert f"From {day} on: Team, monthly instead of Team, yearly." in page


@pytest.fixture
def asked_by_the_bank(simulator, settings, account, alice, as_alice, settle):
    """An upgrade that waits for the bank, and a payment of the plan that is disputed: both, and the plan."""
    settings.BILLING_CATALOG = "automation"
    call_command("sync_catalog", verbosity=0)
    bought = buy(simulator, account, alice, "automation_team_month")
    found = dispute(simulator, account)
    method = gateway.post(
        "/v1/payment_methods/pm_card_authenticationRequired/attach",
        {"customer": bought.stripe_customer_id},
        idempotency_key="attach",
    )
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"default_payment_method": method["id"]},
        idempotency_key="default",
    )
    settle()
    waits = change(as_alice, price="automation_enterprise_month")
    assert waits.state == PlanChange.State.WAITING
    return waits, found, bought


def test_an_upgrade_that_waits_for_the_bank_is_called_off_with_the_plan(
    asked_by_the_bank, account, as_alice, settle
):
    waits, found, _ = asked_by_the_bank

    purchases.at_stripe().v1.disputes.close(found["id"])
    settle()

    assert gateway.get(f"/v1/invoices/{waits.stripe_invoice_id}")["status"] == "void"
    waits.refresh_from_db()
    assert waits.state == PlanChange.State.UNDONE
    assert "The change to Enterprise, which waited for your bank" in told(account, "dispute_lost")[0].text
    assert "Confirm it" not in text(as_alice.get("/billing/"))


def test_an_upgrade_that_stripe_will_not_call_off_keeps_no_plan_from_ending(
    asked_by_the_bank, account, settle, stripe_fails
):
    waits, found, bought = asked_by_the_bank
    path = f"/v1/invoices/{waits.stripe_invoice_id}/void"
    stripe_fails(method="POST", path=path, status=400, times=100)

    purchases.at_stripe().v1.disputes.close(found["id"])
    settle()

    assert as_stripe_has_it(bought)["cancel_at_period_end"]
    [message] = told(account, "dispute_lost")
    assert "ends on" in message.text and "is called off" not in message.text
    assert Alert.objects.filter(kind="change_not_called_off").count() == 1
    assert not Alert.objects.filter(kind="end_by_hand").exists()


def test_who_pays_by_invoice_is_sent_no_other_one(kaboot, bought, account, settle):
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"collection_method": "send_invoice", "days_until_due": 14},
        idempotency_key="by invoice",
    )
    settle()

    loses(kaboot, account, settle)
    let_pass(account, bought.current_period_end + timedelta(days=60))
    settle()

    assert as_stripe_has_it(bought)["status"] == "canceled"
    assert len(at_stripe(kaboot, account, "invoice")) == 1


def test_a_contract_ends_with_the_period_paid_and_forgiven_on_its_own_day(kaboot, bought, account, settle):
    last_day = int((bought.current_period_end + timedelta(days=300)).timestamp())
    path = f"/v1/subscriptions/{bought.stripe_subscription_id}"
    gateway.post(path, {"cancel_at": last_day, "proration_behavior": "none"}, idempotency_key="contract")
    settle()

    loses(kaboot, account, settle)
    assert as_stripe_has_it(bought)["cancel_at"] == int(bought.current_period_end.timestamp())
    forgive(account)

    assert as_stripe_has_it(bought)["cancel_at"] == last_day


def test_what_was_used_before_is_billed_on_the_last_day_and_nothing_after(shop, account, alice, settle):
    from usage import metering, meters

    bought = buy(shop, account, alice, "hybrid_payg_tokens")
    first = let_pass_to_its_end(account)  # of the trial
    metering.consume(account=account, feature="tokens", units=4, idempotency_key="a", now=clock.wall())
    meters.deliver(now=clock.wall())
    assert let_pass_to_its_end(account) > first
    settle()
    renewed = Subscription.objects.live().get()
    metering.consume(account=account, feature="tokens", units=3, idempotency_key="b", now=clock.wall())

    loses(shop, account, settle)
    with pytest.raises(metering.FeatureNotIncluded):
        metering.consume(account=account, feature="tokens", units=1, idempotency_key="c", now=clock.wall())
    assert "what was used before is charged on that day" in told(account, "dispute_lost")[0].text
    alert = Alert.objects.get(key__endswith=":lost").message
    assert "what was used before is charged on that day, and nothing else" in alert
    assert "not charged any more" not in alert and "nothing more is charged" not in alert
    let_pass(account, renewed.current_period_end + timedelta(days=60))
    settle()

    assert as_stripe_has_it(bought)["status"] == "canceled"
    assert paid_at_stripe(shop, account) == [200, 150]


def test_a_dispute_about_a_plan_that_is_over_ends_the_one_that_runs(kaboot, bought, account, alice, settle):
    found = dispute(kaboot, account)
    settle()
    subscriptions.cancel_now(account=account)
    running = buy(kaboot, account, alice, "kaboot_pro_year")

    purchases.at_stripe().v1.disputes.close(found["id"])
    settle()

    assert as_stripe_has_it(running)["cancel_at_period_end"]


def test_without_a_plan_nothing_is_ended_and_it_is_told_all_the_same(kaboot, bought, account, settle):
    subscriptions.cancel_now(account=account)
    settle()

    loses(kaboot, account, settle)

    [mail] = told(account, "dispute_lost")
    assert "Pro" not in mail.text
    assert "There was no plan to end." in Alert.objects.get(key__endswith=":lost").message


def test_a_page_at_the_till_that_is_open_takes_no_money_any_more(kaboot, bought, account, alice, settle):
    subscriptions.cancel_now(account=account)
    intent = go_to_the_till(account, alice, "kaboot_pro_month")

    loses(kaboot, account, settle)

    intent.refresh_from_db()
    assert intent.state == CheckoutIntent.State.EXPIRED
    with pytest.raises(NotOpen):
        pay(kaboot, intent)


@pytest.mark.parametrize("when", ["before", "after"])
def test_when_stripe_hangs_up_on_the_cancellation_the_next_look_makes_it_good(
    kaboot, bought, account, settle, stripe_fails, when
):
    lose(kaboot, account)
    stripe_fails(
        method="POST",
        path=f"/v1/subscriptions/{bought.stripe_subscription_id}",
        status=0,
        when=when,
        times=10,
    )
    settle()
    assert entitlements.of(account, now=clock.now(account)).is_blocked
    stripe_fails.call_off()
    gateway.line.forget()

    sync(account)

    assert as_stripe_has_it(bought)["cancel_at_period_end"]
    assert len(told(account, "dispute_lost")) == 1
    assert Alert.objects.filter(key__endswith=":lost").count() == 1
    forgive(account)
    assert not as_stripe_has_it(bought)["cancel_at_period_end"]


def test_when_stripe_refuses_staff_are_told_and_syncs_go_on(kaboot, bought, account, settle, stripe_fails):
    lose(kaboot, account)
    stripe_fails(
        method="POST", path=f"/v1/subscriptions/{bought.stripe_subscription_id}", status=400, times=100
    )

    call_command("reconcile_billing", verbosity=0)

    for _ in range(2):
        sync(account)

    assert len(told(account, "dispute_lost")) == 1
    assert "End it at Stripe" in Alert.objects.get(kind="end_by_hand").message
    assert Customer.objects.get(account=account).dispute_state == "lost"
    assert Payment.objects.get(account=account).status == "paid"


def test_while_on_hold_nobody_who_joins_is_charged_for(simulator, settings, account, alice, tmp_path, settle):
    file = tmp_path / "crew.toml"
    words = (Path(house.BILLING_CATALOG_DIR) / "hybrid.toml").read_text()
    file.write_text(words.replace("seats = { min = 2 }", "seats = { min = 2, follow_members = true }"))
    settings.BILLING_CATALOG = str(file)
    call_command("sync_catalog", verbosity=0)
    bought = buy(simulator, account, alice, "hybrid_team_month", 2)
    let_pass_to_its_end(account)  # of the trial
    settle()
    loses(simulator, account, settle)

    for name in ("bea", "cat"):
        person = factories.person(email=f"{name}@example.com")
        factories.MemberFactory(account=account, user=person, role="member")
    effects.deliver_owed(now=clock.wall())
    settle()

    assert as_stripe_has_it(bought)["items"]["data"][0]["quantity"] == 2
    forgive(account)
    effects.deliver_owed(now=clock.wall())
    assert as_stripe_has_it(bought)["items"]["data"][0]["quantity"] == 3


def test_a_dispute_about_a_customer_who_was_deleted_is_not_forgotten(kaboot, bought, account, alice, settle):
    found = dispute(kaboot, account)
    settle()
    purchases.at_stripe().v1.customers.delete(Customer.objects.get(account=account).stripe_customer_id)
    settle()
    again = go_to_the_till(account, alice, "kaboot_pro_month")
    assert pay(kaboot, again).status == "paid"
    assert checkout.complete(account=account, session_id=again.stripe_session_id) == "active"

    purchases.at_stripe().v1.disputes.close(found["id"])
    settle()
    sync(account)

    assert Customer.objects.get(account=account).dispute_state == "lost"
    assert as_stripe_has_it(Subscription.objects.live().get())["cancel_at_period_end"]
    assert "dispute_won" not in [one.kind for one in Notification.objects.filter(account=account)]


def test_forgiven_a_plan_that_a_schedule_was_to_end_still_ends_on_that_day(kaboot, bought, account, settle):
    made = gateway.post(
        "/v1/subscription_schedules",
        {"from_subscription": bought.stripe_subscription_id},
        idempotency_key="in the Dashboard",
    )
    phase = made["phases"][0]
    items = [{"price": item["price"], "quantity": item.get("quantity", 1)} for item in phase["items"]]
    gateway.post(
        f"/v1/subscription_schedules/{made['id']}",
        {
            "end_behavior": "cancel",
            "phases": [
                {"items": items, "start_date": phase["start_date"], "end_date": phase["end_date"]},
                {"items": items, "duration": {"interval": "month", "interval_count": 6}},
            ],
        },
        idempotency_key="six months more",
    )
    subscriptions.sync(account=account, reason="test")
    agreed = Subscription.objects.get().cancel_at
    assert agreed

    loses(kaboot, account, settle)
    assert Subscription.objects.get().cancel_at < agreed
    forgiving.forgive(account, by="dana", now=clock.wall())
    settle()

    assert Subscription.objects.get().cancel_at == agreed
    assert as_stripe_has_it(bought)["cancel_at"] == int(agreed.timestamp())


def test_forgiven_a_draft_of_the_plan_is_collected_as_it_was_to_be(kaboot, bought, account, settle):
    stripe, customer = purchases.at_stripe(), Customer.objects.get(account=account).stripe_customer_id
    of_plan = {"customer": customer, "subscription": bought.stripe_subscription_id}
    stripe.v1.invoice_items.create({**of_plan, "amount": 300, "currency": "usd"})
    draft = stripe.v1.invoices.create({**of_plan, "auto_advance": True})

    loses(kaboot, account, settle)
    assert not gateway.get(f"/v1/invoices/{draft.id}")["auto_advance"]
    forgiving.forgive(account, by="dana", now=clock.wall())
    settle()

    assert gateway.get(f"/v1/invoices/{draft.id}")["auto_advance"]
    let_pass(account, clock.now(account) + HOURS)
    settle()
    assert gateway.get(f"/v1/invoices/{draft.id}")["status"] == "paid"
