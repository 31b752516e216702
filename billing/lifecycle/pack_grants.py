"""Packs that were paid become credits, once, and packs whose money went back lose them: as Stripe's charges say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts.models import Account
from billing import alerts, credits, effects, money
from billing.lifecycle.lease import Held
from billing.models import CreditGrant
from billing.stripe import disputes, gateway
from billing.stripe.catalog_push.diff import PACK_KEY
from billing.stripe.shapes import Doc, id_of, known_moment
from billing.stripe.truth import NEWEST_CHARGES, Truth

# What was sold is written on the payment when the page is opened, because the price list may be another by then.
# Stripe copies it to the charge: https://docs.stripe.com/metadata#copying-metadata-to-another-object
FEATURE_KEY, UNITS_KEY = "tallyhouse_feature", "tallyhouse_units"
PRIORITY_KEY, DAYS_KEY = "tallyhouse_priority", "tallyhouse_expires_days"
# Purchases older than a customer's newest charges are asked about by name, the newest of them first.
MOST_OLDER = 20


@dataclass(frozen=True)
class Purchase:
    """One paid charge for packs, with what of it went back to the buyer."""

    payment_intent: str
    feature: str
    units: int
    priority: int
    expires_at: datetime | None
    paid_at: datetime
    amount: int
    currency: str
    given_back: int

    @property
    def key(self) -> str:
        return f"pack:{self.payment_intent}"

    @property
    def units_given_back(self) -> int:
        """As much of the units as of the money; of part of a unit the customer keeps all."""
        return self.units * min(self.given_back, self.amount) // self.amount if self.amount else 0


def follow(truth: Truth, *, account: Account, held: Held, now: datetime) -> None:
    """Grant what was paid and take back what was refunded or is disputed. Safe twice, late and in any order.

    Asks Stripe about disputes and then writes, under the account's lease; `now` is the account's time. Units that are
    used already cannot be taken back: staff are told what they cost. Raises LeaseLost and the gateway's errors.
    """
    charges = [*truth.charges, *_older(truth, account=account, held=held)]
    bought = [charge for charge in charges if _is_pack(charge)]
    if not bought:
        return
    given_back = {charge["id"]: charge["amount_refunded"] + _disputed(charge, held) for charge in bought}
    with held.saving():
        for charge in bought:
            purchase = _purchase(charge, given_back[charge["id"]])
            if purchase is None:
                _tell_of_riddle(charge, account=account, now=now)
            else:
                _settle(purchase, account=account, now=now)


def _is_pack(charge: Doc) -> bool:
    return charge["status"] == "succeeded" and bool((charge.get("metadata") or {}).get(PACK_KEY))


def _older(truth: Truth, *, account: Account, held: Held) -> Iterator[dict[str, Any]]:
    """Charges of packs that are not used up and not among the newest, which is all that a sync lists."""
    if len(truth.charges) < NEWEST_CHARGES:
        return
    seen = {id_of(charge.get("payment_intent")) for charge in truth.charges}
    unused = CreditGrant.objects.filter(account=account, source="purchase", remaining__gt=0)
    for grant in unused.exclude(stripe_payment_intent_id__in=seen).order_by("-granted_at")[:MOST_OLDER]:
        held.renew()
        yield from gateway.get("/v1/charges", {"payment_intent": grant.stripe_payment_intent_id})["data"]


def _disputed(charge: Doc, held: Held) -> int:
    """Money of the charge that a dispute holds or has taken; a dispute that was won holds nothing."""
    if not charge["disputed"]:
        return 0
    held.renew()
    found = gateway.get("/v1/disputes", {"charge": charge["id"]})["data"]
    return sum(dispute["amount"] for dispute in found if disputes.STATES.get(dispute["status"]))


def _purchase(charge: Doc, given_back: int) -> Purchase | None:
    marks, paid_at = charge["metadata"], known_moment(charge["created"])
    try:
        days = int(marks.get(DAYS_KEY) or 0)
        return Purchase(
            payment_intent=id_of(charge["payment_intent"]),
            feature=marks[FEATURE_KEY],
            units=int(marks[UNITS_KEY]),
            priority=int(marks.get(PRIORITY_KEY) or 100),
            expires_at=paid_at + timedelta(days=days) if days else None,
            paid_at=paid_at,
            amount=charge["amount"],
            currency=charge["currency"],
            given_back=given_back,
        )
    except (KeyError, ValueError):
        return None


def _settle(purchase: Purchase, *, account: Account, now: datetime) -> None:
    grant = credits.give(
        account=account,
        feature=purchase.feature,
        units=purchase.units,
        source=CreditGrant.Source.PURCHASE,
        source_key=purchase.key,
        now=purchase.paid_at,
        expires_at=purchase.expires_at,
        priority=purchase.priority,
        amount_paid=purchase.amount,
        currency=purchase.currency,
        stripe_payment_intent_id=purchase.payment_intent,
    )
    used = credits.set_refunded(
        grant=grant, units=purchase.units_given_back, now=now, reason="The payment went back"
    )
    key = f"credits_used_and_refunded:{purchase.payment_intent}:{purchase.units_given_back}"
    if used and effects.once(key=key, kind="credits_refunded", account=account, now=now):
        worth = money.text(purchase.amount * used // purchase.units, purchase.currency)
        alerts.raise_alert(
            key=key,
            kind="credits_used_and_refunded",
            message=f"{account} got money back for {purchase.units_given_back:,} units of {purchase.feature} "
            f"({purchase.payment_intent}), of which {used:,} are used or held: {worth} was given for nothing. "
            "The rest was taken back.",
            account=account,
            now=now,
        )


def _tell_of_riddle(charge: Doc, *, account: Account, now: datetime) -> None:
    key = f"pack_unreadable:{charge['id']}"
    if effects.once(key=key, kind="pack_unreadable", account=account, now=now) is None:
        return
    alerts.raise_alert(
        key=key,
        kind="pack_unreadable",
        message=f"{account} paid {charge['id']} for a pack, but its metadata does not say what is in it. Give the "
        "credits by hand, or refund the payment.",
        account=account,
        now=now,
    )
