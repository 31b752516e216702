"""One trial per person, and none taken from somebody who has had none."""

import pytest

from accounts.models import Member
from billing import catalog
from billing.lifecycle import checkout, subscriptions, trials
from billing.models import Alert, Payment, Subscription, TrialRedemption
from billing.stripe import gateway
from tests import factories
from tests.billing.shopping import buy, go_to_the_till, pay

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


def test_two_tills_opened_before_either_is_paid_are_one_trial(shop, account, alice):
    mine = alice.personal_account
    first = go_to_the_till(mine, alice, "hybrid_pro_month")
    second = go_to_the_till(account, alice, "hybrid_team_month", 2)
    assert (first.trial_days, second.trial_days) == (14, 14)

    for intent in (first, second):
        pay(shop, intent)
        checkout.complete(account=intent.account, session_id=intent.stripe_session_id)
    subscriptions.sync(account=mine, reason="test")

    assert Subscription.objects.get(account=mine).status == "trialing"
    assert Subscription.objects.get(account=account).status == "active"
    assert Payment.objects.get(account=account, amount_paid__gt=0).status == "paid"
    assert Alert.objects.get(kind="second_trial").account == account


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


def test_staff_hear_of_a_card_that_tries_twice(shop, alice, charlie, settings, tmp_path):
    source = (settings.BILLING_CATALOG_DIR / "hybrid.toml").read_text()
    assert "trial_identity" not in source
    strict = tmp_path / "strict.toml"
    strict.write_text('trial_identity = ["account", "email", "card"]\n' + source)
    settings.BILLING_CATALOG = str(strict)
    had_a_trial(shop, alice)

    had_a_trial(shop, charlie)

    assert Alert.objects.get(kind="second_trial").account == charlie.personal_account


def test_a_card_of_a_paying_customer_is_not_held_against_anybody(shop, account, alice, charlie):
    buy(shop, account, alice, "hybrid_payg_tokens")

    had_a_trial(shop, charlie)

    assert not Alert.objects.filter(kind="second_trial").exists()
