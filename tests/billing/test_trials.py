"""One trial per person, and none taken from somebody who has had none."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import Member, Notification
from billing import catalog, clock, entitlements
from billing.lifecycle import checkout, subscriptions, trials
from billing.models import Alert, CheckoutIntent, Effect, Payment, Subscription, TrialRedemption
from billing.stripe import gateway
from simulator.hosted import checkout as hosted
from tests import factories
from tests.billing.shopping import (
    DECLINED_LATER,
    VISA,
    buy,
    change_card,
    go_to_the_till,
    let_pass,
    pay,
)

MASTERCARD = "5555555555554444"

pytestmark = pytest.mark.django_db(transaction=True)


def days(account, user, plan="pro") -> int:
    return trials.days_for(account=account, plan=catalog.current().plan(plan), user=user)


def had_a_trial(shop, person) -> Subscription:
    return buy(shop, person.personal_account, person, "hybrid_pro_month")


def test_everybody_has_one_trial_of_the_length_the_plan_names(alice):
    assert days(alice.personal_account, alice) == 14
    assert days(alice.personal_account, alice, "payg") == 0


def test_after_the_trial_of_one_plan_there_is_none_of_another(shop, alice, account):
    had_a_trial(shop, alice)

    assert days(alice.personal_account, alice) == 0
    assert days(account, alice, "team") == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("erin@example.com", "Erin+two@Example.com"),
        ("erin.smith@gmail.com", "erinsmith+x@googlemail.com"),
    ],
)
def test_another_spelling_of_the_same_address_is_the_same_person(shop, first, second):
    had_a_trial(shop, factories.person(email=first))
    again = factories.person(email=second)

    assert days(again.personal_account, again) == 0


def test_dots_make_another_person_where_they_count(shop):
    had_a_trial(shop, factories.person(email="erin.smith@example.com"))
    other = factories.person(email="erinsmith@example.com")

    assert days(other.personal_account, other) == 14


def test_who_bought_for_an_organization_has_had_their_trial(shop, account, alice, bob):
    Member.objects.filter(user=bob).update(role="admin")
    buy(shop, account, bob, "hybrid_team_month", 2)

    assert days(bob.personal_account, bob) == 0


def test_a_colleague_who_only_uses_it_still_has_theirs(shop, account, alice, bob):
    buy(shop, account, alice, "hybrid_team_month", 2)

    assert days(bob.personal_account, bob) == 14


def two_tills(shop, account, alice):
    """Both open before either is used, both told that nothing is due today, both paid."""
    mine = alice.personal_account
    first = go_to_the_till(mine, alice, "hybrid_pro_month")
    second = go_to_the_till(account, alice, "hybrid_team_month", 2)
    assert (first.trial_days, second.trial_days) == (14, 14)
    for intent in (first, second):
        pay(shop, intent)
    return mine, first, second


def test_two_tills_opened_before_either_is_paid_are_one_trial_and_nothing_is_charged(
    shop, account, alice, as_alice
):
    mine, first, second = two_tills(shop, account, alice)
    checkout.complete(account=mine, session_id=first.stripe_session_id)
    choose_account(as_alice, account)

    page = as_alice.get(f"/billing/upgraded/?session_id={second.stripe_session_id}", follow=True)
    subscriptions.sync(account=mine, reason="test")

    assert "You have had a trial with another account" in page.content.decode()
    assert Subscription.objects.get(account=mine).status == "trialing"
    assert Subscription.objects.get(account=account).status == "canceled"
    assert not Payment.objects.filter(amount_paid__gt=0).exists()
    assert not Payment.objects.filter(amount_due__gt=0).exists()
    alert = Alert.objects.get(kind="second_trial")
    assert alert.account == account
    assert (
        "asked for a trial, and its buyer has had one with another account, so it was given none"
        in alert.message
    )
    assert alert.message.endswith("was ended before it began, and nothing was charged.")
    assert days(account, alice, "team") == 0


def test_after_two_tills_the_full_price_is_asked_for_and_paid(shop, account, alice):
    _, first, second = two_tills(shop, account, alice)
    for intent in (first, second):
        checkout.complete(account=intent.account, session_id=intent.stripe_session_id)

    buy(shop, account, alice, "hybrid_team_month", 2)

    assert Payment.objects.get(account=account, amount_paid__gt=0).amount_paid == 3800


def test_a_second_trial_is_ended_though_the_worker_is_killed_in_between(shop, account, alice, stripe_fails):
    mine, first, second = two_tills(shop, account, alice)
    checkout.complete(account=mine, session_id=first.stripe_session_id)
    stripe_fails(method="DELETE", path="/v1/subscriptions/*", when="after", status=0, times=20)
    with pytest.raises(gateway.StripeError):
        checkout.complete(account=account, session_id=second.stripe_session_id)
    stripe_fails.call_off()
    gateway.line.forget()

    subscriptions.serve_owed()

    assert trials.was_refused(account) == "buyer"
    assert Alert.objects.get(kind="second_trial").account == account
    assert not Payment.objects.filter(amount_paid__gt=0).exists()


def test_nobody_uses_up_a_strangers_trial_by_typing_their_address(shop, account, alice, charlie):
    account.billing_email = charlie.email
    account.save()
    buy(shop, account, alice, "hybrid_team_month", 2)

    assert days(charlie.personal_account, charlie) == 14


def test_a_trial_given_at_stripe_counts_as_well(shop, alice):
    mine = alice.personal_account
    bought = buy(shop, mine, alice, "hybrid_payg_tokens")
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"trial_end": int(bought.started_at.timestamp()) + 10 * 86_400, "proration_behavior": "none"},
        idempotency_key="staff",
    )

    subscriptions.sync(account=mine, reason="test")

    assert days(mine, alice) == 0


def test_only_hashes_are_kept_and_they_outlive_a_new_secret_key(shop, alice, settings):
    had_a_trial(shop, alice)
    kept = str(list(TrialRedemption.objects.values_list("identity_digest", flat=True)))
    assert "alice" not in kept

    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-" + "k" * 50

    assert days(alice.personal_account, alice) == 0


def test_syncing_again_redeems_nothing_twice(shop, alice):
    had_a_trial(shop, alice)
    before = TrialRedemption.objects.count()

    subscriptions.sync(account=alice.personal_account, reason="test")

    assert TrialRedemption.objects.count() == before


def test_a_second_trial_with_the_same_card_is_not_started_and_nothing_is_charged(
    shop, alice, charlie, as_charlie
):
    had_a_trial(shop, alice)
    theirs = charlie.personal_account
    intent = go_to_the_till(theirs, charlie, "hybrid_pro_month")
    pay(shop, intent)

    page = as_charlie.get(f"/billing/upgraded/?session_id={intent.stripe_session_id}", follow=True)

    assert "This card has had a trial with another account" in page.content.decode()
    assert Subscription.objects.get(account=alice.personal_account).status == "trialing"
    assert not Subscription.objects.live().filter(account=theirs).exists()
    assert not Payment.objects.filter(account=theirs, amount_paid__gt=0).exists()
    assert Alert.objects.get(kind="second_trial").account == theirs


def test_after_it_the_full_price_is_asked_for_and_paid(shop, alice, charlie):
    had_a_trial(shop, alice)
    theirs = charlie.personal_account
    intent = go_to_the_till(theirs, charlie, "hybrid_pro_month")
    pay(shop, intent)
    checkout.complete(account=theirs, session_id=intent.stripe_session_id)
    assert days(theirs, charlie) == 0

    buy(shop, theirs, charlie, "hybrid_pro_month")

    assert Payment.objects.get(account=theirs, amount_paid__gt=0).amount_paid == 2900


def test_a_card_that_comes_into_a_running_trial_takes_nothing_away(shop, alice, charlie):
    had_a_trial(shop, alice)
    theirs = charlie.personal_account
    intent = go_to_the_till(theirs, charlie, "hybrid_pro_month")
    pay(shop, intent, MASTERCARD)
    checkout.complete(account=theirs, session_id=intent.stripe_session_id)

    change_card(shop, theirs, VISA)
    subscriptions.sync(account=theirs, reason="test")

    assert Subscription.objects.get(account=theirs).status == "trialing"


def test_a_trial_that_staff_give_to_a_known_card_stays(shop, alice, charlie):
    had_a_trial(shop, alice)
    bought = buy(shop, charlie.personal_account, charlie, "hybrid_payg_tokens")

    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"trial_end": int(bought.started_at.timestamp()) + 5 * 86_400, "proration_behavior": "none"},
        idempotency_key="staff",
    )
    subscriptions.sync(account=charlie.personal_account, reason="test")

    assert Subscription.objects.get(account=charlie.personal_account).status == "trialing"


def test_a_business_that_does_not_count_cards_lets_a_family_share_one(
    shop, alice, charlie, settings, tmp_path
):
    settings.BILLING_CATALOG = other_words(settings, tmp_path, top='trial_identity = ["account", "email"]\n')
    had_a_trial(shop, alice)

    had_a_trial(shop, charlie)

    assert Subscription.objects.get(account=charlie.personal_account).status == "trialing"


def test_a_card_of_a_paying_customer_is_not_held_against_anybody(shop, account, alice, charlie):
    buy(shop, account, alice, "hybrid_payg_tokens")

    had_a_trial(shop, charlie)

    assert not Alert.objects.filter(kind="second_trial").exists()


@pytest.fixture
def without_card(shop, settings, tmp_path):
    """The same price list, with a trial of Pro that asks for no card."""
    settings.BILLING_CATALOG = other_words(settings, tmp_path, pro="trial_without_card = true\n")
    return shop


def begin_without_card(shop, person) -> Subscription:
    mine = person.personal_account
    intent = go_to_the_till(mine, person, "hybrid_pro_month")
    assert (
        hosted.pay(shop, intent.stripe_session_id, card=None, email=person.email, name="A Buyer").status
        == "paid"
    )
    assert checkout.complete(account=mine, session_id=intent.stripe_session_id) == "active"
    return Subscription.objects.live().get(account=mine)


def test_a_trial_without_a_card_says_so_begins_and_is_paused_at_its_end(without_card, as_alice, alice):
    mine = alice.personal_account
    choose_account(as_alice, mine)
    assert "no card needed" in as_alice.get("/pricing/").content.decode()
    bought = begin_without_card(without_card, alice)
    session_id = CheckoutIntent.objects.get(account=mine).stripe_session_id
    begun = as_alice.get(f"{reverse('billing:upgraded')}?session_id={session_id}").content.decode()
    assert "add a card until then to go on" in begun and "the first payment is taken" not in begun
    page = as_alice.get("/billing/").content.decode()
    assert "Add a card until then to go on" in page and "Add a card" in page
    assert "without one nothing is charged" in page

    let_pass(mine, bought.trial_end - timedelta(days=2))
    subscriptions.sync(account=mine, reason="test")
    [letter] = Notification.objects.filter(account=mine, kind="trial_ending")
    assert "Add a card to keep Pro" in letter.text
    let_pass(mine, bought.trial_end + timedelta(hours=2))
    subscriptions.sync(account=mine, reason="test")

    assert Subscription.objects.get(account=mine).status == "paused"
    assert entitlements.of(mine, now=clock.now(mine)).plan.key == "free"
    assert not Payment.objects.filter(account=mine, amount_due__gt=0).exists()
    page = as_alice.get("/billing/").content.decode()
    assert "Your trial is over and the plan is paused." in page
    assert "Start Pro" not in page

    # Pressed all the same, from an old page.
    assert "There is no card yet. Add one" in as_alice.post("/billing/start/", follow=True).content.decode()


def test_who_adds_a_card_after_the_trial_starts_the_plan_with_one_button(without_card, as_alice, alice):
    mine = alice.personal_account
    choose_account(as_alice, mine)
    bought = begin_without_card(without_card, alice)
    let_pass(mine, bought.trial_end + timedelta(days=3))
    change_card(without_card, mine, VISA)
    as_alice.get("/billing/returned/")
    assert "Start Pro for $29.00 a month" in as_alice.get("/billing/").content.decode()

    page = as_alice.post("/billing/start/", follow=True).content.decode()

    assert "Your plan has started." in page
    assert Subscription.objects.get(account=mine).status == "active"
    assert (
        "no plan that waits to be started" in as_alice.post("/billing/start/", follow=True).content.decode()
    )
    let_pass(mine, clock.now(mine) + timedelta(hours=2))
    subscriptions.sync(account=mine, reason="test")
    assert Payment.objects.get(account=mine, amount_paid__gt=0).amount_paid == 2900


def test_who_adds_a_card_before_the_end_is_charged_at_the_end(without_card, alice):
    mine = alice.personal_account
    bought = begin_without_card(without_card, alice)
    change_card(without_card, mine, VISA)

    let_pass(mine, bought.trial_end + timedelta(hours=2))
    subscriptions.sync(account=mine, reason="test")

    assert Subscription.objects.get(account=mine).status == "active"
    assert Payment.objects.get(account=mine, amount_paid__gt=0).amount_paid == 2900


def test_a_trial_that_cannot_be_charged_has_no_grace(shop, alice):
    mine = alice.personal_account
    bought = had_a_trial(shop, alice)
    assert catalog.current().plan("pro").grace_days == 7
    change_card(shop, mine, DECLINED_LATER)

    let_pass(mine, bought.trial_end + timedelta(hours=2))
    subscriptions.sync(account=mine, reason="test")

    assert entitlements.of(mine, now=clock.now(mine)).plan.key == "free"


def more_days(client, subscription, *, days="7", reason="was on holiday", nonce=None):
    return client.post(
        reverse("admin:billing_subscription_put_off", args=[subscription.pk]),
        {"days": days, "reason": reason, "nonce": str(nonce or uuid.uuid4())},
        follow=True,
    )


def test_staff_put_the_end_off_once_a_press_and_say_why(shop, alice, as_dana, dana):
    bought, nonce = had_a_trial(shop, alice), uuid.uuid4()
    page = as_dana.get(reverse("admin:billing_subscription_change", args=[bought.pk]))
    assert "Longer trial…" in page.content.decode()

    for _ in range(2):
        more_days(as_dana, bought, nonce=nonce)

    after = Subscription.objects.get(pk=bought.pk)
    assert after.trial_end == bought.trial_end + timedelta(days=7)
    assert after.status == "trialing"
    kept = Effect.objects.get(kind="trial_put_off").detail
    assert (kept["reason"], kept["by"]) == ("was on holiday", str(dana))
    assert LogEntry.objects.filter(
        object_id=str(bought.pk), change_message__contains="was on holiday"
    ).exists()


def put_off_with_a_lost_answer(client, shop, stripe_fails, bought, nonce):
    stripe_fails(method="POST", path="/v1/subscriptions/*", when="after", status=0, times=20)
    answer = more_days(client, bought, nonce=nonce)
    stripe_fails.call_off()
    gateway.line.forget()
    assert "Press again: it is done once." in answer.content.decode()


def test_pressed_again_after_a_lost_answer_the_trial_is_longer_once(shop, alice, as_dana, stripe_fails):
    bought, nonce = had_a_trial(shop, alice), uuid.uuid4()
    put_off_with_a_lost_answer(as_dana, shop, stripe_fails, bought, nonce)
    subscriptions.sync(account=bought.account, reason="test")
    assert Subscription.objects.get(pk=bought.pk).trial_end == bought.trial_end + timedelta(days=7)

    said = more_days(as_dana, bought, nonce=nonce).content.decode()
    more_days(as_dana, bought, nonce=nonce)

    assert f"The trial ends on {bought.trial_end + timedelta(days=7):%-d %B %Y}" in said
    assert Subscription.objects.get(pk=bought.pk).trial_end == bought.trial_end + timedelta(days=7)
    kept = Effect.objects.get(kind="trial_put_off")
    assert kept.done_at and kept.detail["until"] == (bought.trial_end + timedelta(days=7)).isoformat()


def test_another_number_of_days_after_a_lost_answer_counts_from_the_same_day(
    shop, alice, as_dana, stripe_fails
):
    bought, nonce = had_a_trial(shop, alice), uuid.uuid4()
    put_off_with_a_lost_answer(as_dana, shop, stripe_fails, bought, nonce)

    more_days(as_dana, bought, days="10", nonce=nonce)

    assert Subscription.objects.get(pk=bought.pk).trial_end == bought.trial_end + timedelta(days=10)


@pytest.mark.parametrize(("days", "reason"), [("0", "x"), ("366", "x"), ("", "x"), ("seven", "x"), ("7", "")])
def test_without_a_number_of_days_or_a_reason_nothing_is_put_off(shop, alice, as_dana, days, reason):
    bought = had_a_trial(shop, alice)

    assert more_days(as_dana, bought, days=days, reason=reason).status_code == 422

    assert Subscription.objects.get(pk=bought.pk).trial_end == bought.trial_end


def test_only_staff_who_may_change_subscriptions_put_an_end_off(shop, alice, as_charlie):
    bought = had_a_trial(shop, alice)
    watcher = factories.person(email="watch@example.com", is_staff=True)
    onlooker = Client()
    onlooker.force_login(watcher, backend="django.contrib.auth.backends.ModelBackend")

    assert more_days(onlooker, bought).status_code == 403
    more_days(as_charlie, bought)

    assert Subscription.objects.get(pk=bought.pk).trial_end == bought.trial_end


def test_a_plan_that_is_paid_has_no_trial_to_put_off(shop, alice, as_dana):
    bought = buy(shop, alice.personal_account, alice, "hybrid_payg_tokens")

    assert "It is not on a trial" in more_days(as_dana, bought).content.decode()

    assert not Effect.objects.filter(kind="trial_put_off").exists()


def choose_account(client, account) -> None:
    client.post(reverse("accounts:switch"), {"account": str(account.pk)})


def other_words(settings, tmp_path, *, top="", pro="") -> str:
    """The default price list with more said at its top, or of Pro."""
    source = (settings.BILLING_CATALOG_DIR / "hybrid.toml").read_text()
    assert "trial_identity" not in source and "[plans.pro]\n" in source
    changed = tmp_path / "changed.toml"
    changed.write_text(top + source.replace("[plans.pro]\n", f"[plans.pro]\n{pro}"))
    return str(changed)
