"""An offer: made by staff for one account, sent as a link nobody can guess, and withdrawn as long as it is open."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Account, User
from billing import bought, catalog, effects, money
from billing.catalog import Plan, Price
from billing.deals import agreed, place
from billing.lifecycle.checkout import MOST_SEATS
from billing.models import Customer, Enquiry, Offer
from billing.models.deals import new_nonce

SALT = "billing.offer"
MOST_PERIODS = 60
# Who has longer than this to pay an invoice has a loan.
MOST_DAYS_UNTIL_DUE = 180


class BadOffer(Exception):
    """It cannot be offered like this. The text is for staff: what is the matter and what to write instead."""


class NoSuchOffer(Exception):
    """No offer has this link."""


def make(
    *,
    account: Account,
    plan_key: str,
    interval: str,
    seats: int,
    amount: int | None,
    recipient: str,
    open_until: datetime,
    now: datetime,
    by: User | None = None,
    enquiry: Enquiry | None = None,
    overrides: dict[str, int | None] | None = None,
    periods: int | None = None,
    trial_days: int = 0,
    days_until_due: int = 30,
    terms: str = "",
) -> Offer:
    """Make an offer and owe the mail with its link. `now` is the account's time.

    `amount` is in minor units of the catalog's currency, per seat and period; None takes the price list's as it is
    now, with its steps for so many seats. `periods` is how many it runs, None until somebody cancels. Raises BadOffer
    and catalog.UnknownPlan.
    """
    prices = catalog.current()
    listed = check(
        account=account,
        plan_key=plan_key,
        interval=interval,
        seats=seats,
        amount=amount,
        open_until=open_until,
        periods=periods,
        days_until_due=days_until_due,
        trial_days=trial_days,
        now=now,
    )
    with transaction.atomic():
        offer = Offer.objects.create(
            account=account,
            enquiry=enquiry,
            plan_key=plan_key,
            interval=interval,
            seats=seats,
            amount=amount,
            lookup_key=listed.lookup_key if listed else "",
            listed=agreed.fixed(listed) if listed else {},
            currency=prices.currency,
            overrides=overrides or {},
            periods=periods,
            trial_days=trial_days,
            days_until_due=days_until_due,
            terms=terms,
            recipient=recipient,
            open_until=open_until,
            made_by=by,
            created_at=now,
        )
        if enquiry is not None:
            Enquiry.objects.filter(pk=enquiry.pk).update(state=Enquiry.State.OFFERED)
        _send(offer, now=now)
    return offer


def check(
    *,
    account: Account,
    plan_key: str,
    interval: str,
    seats: int,
    amount: int | None,
    open_until: datetime,
    periods: int | None,
    days_until_due: int,
    trial_days: int,
    now: datetime,
    **_: Any,
) -> Price | None:
    """Whether `make` would take these; answers the price of the price list where `amount` is None. Raises BadOffer."""
    plan = catalog.current().plan(plan_key)
    if not plan.suits(account.kind):
        other = "organizations" if plan.audience == "organization" else "persons"
        raise BadOffer(f"{plan.name} is for {other}, and {account} is not one.")
    pays_in = Customer.objects.filter(account=account).values_list("currency", flat=True).first() or ""
    if pays_in and pays_in != catalog.current().currency:
        # https://docs.stripe.com/billing/customer#currency
        raise BadOffer(
            f"{account} pays in {pays_in.upper()}, which Stripe cannot change for a customer, and offers are made in "
            f"{catalog.current().currency.upper()}. Sell from the price list, or make the offer to a new account."
        )
    if plan.is_free:
        raise BadOffer(f"{plan.name} costs nothing; give it as a grant instead.")
    if not 1 <= seats <= MOST_SEATS:
        raise BadOffer(f"Offer from 1 to {MOST_SEATS:,} seats.")
    if amount is not None and amount < 1:
        raise BadOffer("A price is more than nothing; to give a plan away make a grant.")
    if open_until <= now:
        raise BadOffer(
            f"The offer must stay open for a while; for this account it is {now:%Y-%m-%d %H:%M} UTC."
        )
    if periods is not None and not 1 <= periods <= MOST_PERIODS:
        raise BadOffer(f"A contract runs for 1 to {MOST_PERIODS} periods, or without an end.")
    if not 1 <= days_until_due <= MOST_DAYS_UNTIL_DUE:
        raise BadOffer(f"Leave from 1 to {MOST_DAYS_UNTIL_DUE} days to pay an invoice.")
    runs = place.running(account) if trial_days else None
    if runs is not None:
        raise BadOffer(
            f"{account} has {bought.name(runs)}, and only a first plan begins with free days: offer 0 trial days."
        )
    return _listed(plan, interval, seats) if amount is None else None


def withdraw(*, offer: Offer) -> bool:
    """Close an open offer; answers False when it was accepted or withdrawn before."""
    found = Offer.objects.filter(pk=offer.pk, state=Offer.State.OPEN)
    return bool(found.update(state=Offer.State.WITHDRAWN))


def send_again(*, offer: Offer, now: datetime) -> str:
    """Give an open offer a new link, which ends the old one, and mail it; answers the link."""
    with transaction.atomic():
        offer.nonce = new_nonce()
        offer.save(update_fields=["nonce"])
        _send(offer, now=now)
    return link(offer)


def find(token: str) -> Offer:
    """The offer of a link. Raises NoSuchOffer for what was not made here, or is not its link any more."""
    try:
        pk, nonce = signing.Signer(salt=SALT).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError):
        raise NoSuchOffer(token) from None
    offer = Offer.objects.select_related("account").filter(pk=pk, nonce=nonce).first()
    if offer is None:
        raise NoSuchOffer(token)
    return offer


def link(offer: Offer) -> str:
    """Where the offer can be read and accepted: whoever has this may accept it."""
    token = signing.Signer(salt=SALT).sign_object([offer.pk, offer.nonce])
    return f"{settings.BASE_URL}{reverse('billing:offer', args=[token])}"


def words(offer: Offer) -> dict[str, Any]:
    """What is agreed, as the page and the mail say it."""
    prices = catalog.current()
    plan = prices.plans.get(offer.plan_key)
    each = money.text(offer.amount, offer.currency) if offer.amount is not None else ""
    every = f"{offer.periods} {offer.interval}s" if offer.periods and offer.periods > 1 else ""
    return {
        "offer": offer,
        "plan": plan,
        "plan_name": plan.name if plan else offer.plan_key,
        "total": money.text(agreed.total(offer), offer.currency),
        "each": each,
        "term": every or (f"1 {offer.interval}" if offer.periods else ""),
        "limits": [
            (prices.features[key].name, money.quantity(number, prices.features[key]))
            for key, number in sorted(offer.overrides.items())
            if key in prices.features
        ],
        "place": place.words(offer),
        "is_on_hold": place.is_on_hold(offer.account),
        "has_free_days": place.has_free_days(offer),
        "company": prices.company,
        "has_tax": settings.STRIPE_AUTOMATIC_TAX,
    }


def _listed(plan: Plan, interval: str, seats: int) -> Price:
    price = next((one for one in plan.base_prices if one.interval == interval), None)
    if price is None:
        raise BadOffer(f"{plan.name} has no price by the {interval} in the price list: write the price here.")
    if not price.per_seat and seats != 1:
        raise BadOffer(f"{plan.name} is not sold by the seat: offer 1, or write a price per seat.")
    return price


def _send(offer: Offer, *, now: datetime) -> None:
    effects.owe_mail(
        key=f"mail:offer:{offer.nonce}",
        to=offer.recipient,
        subject=f"Your offer: {words(offer)['plan_name']} for {offer.account.name}",
        body=render_to_string(
            "emails/offer.txt", {**words(offer), "link": link(offer), "SITE_NAME": settings.SITE_NAME}
        ),
        account=offer.account,
        now=now,
    )
