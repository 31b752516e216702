"""After days without webhooks one command makes everything right and says what it found."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing.models import Customer, Subscription
from billing.stripe import gateway
from tests.billing.shopping import buy, go_to_the_till, pay

pytestmark = pytest.mark.django_db(transaction=True)


def reconcile(*words: str) -> str:
    said = StringIO()
    call_command("reconcile_billing", *words, stdout=said, stderr=said)
    return said.getvalue()


def test_what_was_missed_is_made_good_and_told(shop, account, alice, charlie):
    theirs = buy(shop, charlie.personal_account, charlie, "hybrid_pro_month")
    # With a card of her own: one that has had a trial gets no second one.
    pay(shop, go_to_the_till(account, alice, "hybrid_team_month", 3), "5555555555554444")
    gateway.delete(f"/v1/subscriptions/{theirs.stripe_subscription_id}")

    said = reconcile()

    assert "nothing bought → team × 3 trialing until" in said
    assert "pro × 1 canceled" in said
    assert "Accounts asked about: 2; had missed something: 2; failed: 0." in said
    assert Subscription.objects.live().get().account == account
    assert "had missed something: 0" in reconcile()


def test_one_account_can_be_asked_about_alone(shop, account, alice, charlie):
    buy(shop, charlie.personal_account, charlie, "hybrid_payg_tokens")
    buy(shop, account, alice, "hybrid_team_month", 3)

    assert "Accounts asked about: 1;" in reconcile(str(account.pk))


def test_an_account_that_cannot_be_synced_does_not_hide_among_the_others(shop, account, alice, stripe_fails):
    buy(shop, account, alice, "hybrid_team_month", 3)
    path = f"/v1/customers/{Customer.objects.get().stripe_customer_id}"
    stripe_fails(method="GET", path=path, status=500, times=99)

    with pytest.raises(CommandError, match="run the command again"):
        reconcile()
