"""A card that pays for a plan here while a payment is missing on another account with it: staff are told, and decide.

Nothing is refused by itself: a card is shared by a family or a company, and a debt may be a matter of days.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.crypto import salted_hmac

from accounts.models import Account
from billing import alerts, effects
from billing.models import Customer, Payment, Subscription
from billing.stripe import shapes
from billing.stripe.truth import Truth

SALT = "tallyhouse.card"
KIND = "same_card_owes"


def digest(truth: Truth) -> str:
    """The card that will be charged, as a keyed hash: the same for a number wherever it is entered, "" without one.
    https://docs.stripe.com/api/payment_methods/object#payment_method_object-card-fingerprint
    """
    if truth.customer is None:
        return ""
    card = (shapes.default_card(truth.customer, truth.live()) or {}).get("card") or {}
    return _hash(card["fingerprint"], settings.SECRET_KEY) if card.get("fingerprint") else ""


def look(truth: Truth, *, account: Account, now: datetime) -> None:
    """Tell staff, once for each pair of accounts, when `account` runs a plan on such a card. Inside the transaction
    that writes the truth; `now` is the account's time.
    """
    running = Subscription.objects.live().filter(account=account, status__in=["active", "trialing"])
    if truth.customer is None or not running.exists():
        return
    card = (shapes.default_card(truth.customer, truth.live()) or {}).get("card") or {}
    if not card.get("fingerprint"):
        return
    for debtor in _owing(card["fingerprint"]).exclude(pk=account.pk).select_related("account"):
        key = f"{KIND}:{account.pk}:{debtor.pk}"
        with transaction.atomic():
            if effects.once(key=key, kind=KIND, account=account, now=now) is None:
                continue
            alerts.raise_alert(
                key=key,
                kind=KIND,
                message=f"{account} runs a plan on the card of {debtor.account} ({debtor.pk}), where a payment is "
                "missing. Nothing was refused. If it is the same customer, ask for the payment, or put the account on "
                "hold.",
                account=account,
                now=now,
            )


def _owing(fingerprint: str) -> QuerySet[Customer]:
    """Also under keys that were replaced, so that rolling the key forgets nobody."""
    digests = [_hash(fingerprint, key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    of_account = {"account": OuterRef("pk")}
    off = Subscription.objects.live().filter(**of_account, status__in=["past_due", "unpaid"])
    left = Payment.objects.filter(**of_account, status="uncollectible", amount_due__gt=0)
    refused = Payment.objects.filter(**of_account, status="open", amount_due__gt=0, attempt_count__gt=0)
    owes = Exists(off) | Exists(left) | Exists(refused)
    return Customer.objects.filter(owes, card_digest__in=digests).order_by("pk")


def _hash(fingerprint: str, secret: str) -> str:
    return salted_hmac(SALT, fingerprint, secret=secret, algorithm="sha256").hexdigest()
