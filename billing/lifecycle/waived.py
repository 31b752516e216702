"""Plans that were ended by us without a last invoice, because nobody is to pay for them."""

from __future__ import annotations

from billing.lifecycle import duplicates, money_back, trials
from billing.models import Effect, Payment, Subscription


def is_waived(subscription: Subscription) -> bool:
    """Whether its money went back, it was a second one beside another, or a trial that was not given."""
    name = subscription.stripe_subscription_id
    paid = Payment.objects.filter(stripe_subscription_id=name).values_list("stripe_invoice_id", flat=True)
    keys = [duplicates.key_of(name), trials.key_of(name)]
    given_back = Effect.objects.filter(
        key__in=[money_back.key_of(invoice) for invoice in paid], detail__plan_ended=True
    )
    return given_back.exists() or Effect.objects.filter(key__in=keys).exists()
