"""What an offer takes the place of, said to staff and customer before anybody presses a button."""

from __future__ import annotations

from accounts.models import Account
from billing import bought, catalog
from billing.deals import agreed
from billing.models import Customer, Effect, Offer, Subscription


def running(account: Account) -> Subscription | None:
    """The plan that an accepted offer would change, as `accepting` sees it: one that is paid or on trial."""
    live = Subscription.objects.live().filter(account=account, status__in=["active", "trialing"])
    return live.select_related("offer").first()


def is_on_hold(account: Account) -> bool:
    """Whether an offer cannot be accepted, nor a plan be used that is given, until staff end the hold."""
    customer = Customer.objects.filter(account=account).first()
    return customer is not None and customer.is_on_hold


def words(offer: Offer) -> str:
    """For whoever accepts it: what it takes the place of and what becomes of the money paid; empty for a first plan.

    On hold, that it cannot be accepted now: then nothing is promised.
    """
    if offer.state == Offer.State.OPEN and is_on_hold(offer.account):
        company = catalog.current().company
        return (
            "The account is on hold, so this cannot be accepted now. Write to "
            f"{company.support_email}, and we will sort it out."
        )
    found = running(offer.account) if offer.state == Offer.State.OPEN else None
    if found is None:
        return ""
    name = bought.name(found)
    if _goes_on(found, offer):
        assert found.current_period_end is not None
        return (
            f"It follows the contract that runs now ({name}): seats and limits hold from the day it is accepted, the "
            f"new price from {found.current_period_end:%-d %B %Y}."
        )
    if found.status == "trialing":
        return f"It takes the place of the plan that runs now ({name}). Its trial ends then."
    card = "" if found.collection_method == "send_invoice" else " Cards are not charged any more."
    return (
        f"It takes the place of the plan that runs now ({name}): what is paid and not used of that is credited on the "
        f"first invoice.{card}"
    )


def has_free_days(offer: Offer) -> bool:
    """Whether its trial days are had: only a first plan begins with them."""
    if not offer.trial_days or (offer.state == Offer.State.OPEN and running(offer.account)):
        return False
    return not Effect.objects.filter(key=f"offer_replaces:{offer.pk}").exists()


def _goes_on(running: Subscription, offer: Offer) -> bool:
    """As `replacing` decides it at Stripe: the next contract of a customer who has one, in the same rhythm."""
    if running.offer is None or running.status != "active" or running.current_period_end is None:
        return False
    before, after = agreed.price(running.offer), agreed.price(offer)
    return (before.interval, before.interval_count) == (after.interval, after.interval_count)
