"""Promotion codes: what one is worth, taken along to the till, or used for a plan that runs already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import Account
from billing.deals import discounts
from billing.lifecycle import subscriptions
from billing.models import Customer, PlanChange, Subscription
from billing.stripe import gateway
from billing.stripe.shapes import id_of

Busy = subscriptions.Busy

# What Stripe allows in a code (https://docs.stripe.com/api/promotion_codes/create#create_promotion_code-code).
CODE = re.compile(r"[A-Za-z0-9_-]{1,100}")


class CodeRefused(Exception):
    """This code takes nothing off here. The text is for the customer: why."""


@dataclass(frozen=True)
class Code:
    """A code that may be used now."""

    stripe_id: str
    code: str
    # An entry as of `discounts.of_coupon`.
    discount: Mapping[str, Any]

    @property
    def words(self) -> str:
        return discounts.words(self.discount)


@dataclass(frozen=True)
class Effect:
    """What a code does to the next charge of a running plan, in minor units of `currency`, as Stripe computes it."""

    code: Code
    before: int
    after: int
    currency: str
    at: datetime | None

    @property
    def takes_off(self) -> int:
        return self.before - self.after


def find(*, code: str, account: Account | None, now: datetime) -> Code:
    """The promotion code somebody typed or came with. `now` is the account's time, or wall time without one.

    Raises CodeRefused and the gateway's errors. Restrictions that hang on the purchase are looked at by Stripe.
    """
    typed = code.strip()
    listed = []
    if CODE.fullmatch(typed):
        asked = {"code": typed, "active": True, "expand": ["data.promotion.coupon"]}
        listed = list(gateway.pages("/v1/promotion_codes", asked, at_most=5))
    customer = Customer.objects.filter(account=account).first() if account else None
    ours = customer.stripe_customer_id if customer else None
    found = next((one for one in listed if id_of(one.get("customer")) in ("", ours)), None)
    coupon = ((found or {}).get("promotion") or {}).get("coupon")
    is_over = found is not None and found["expires_at"] is not None and found["expires_at"] <= now.timestamp()
    if found is None or not isinstance(coupon, Mapping) or not coupon["valid"] or is_over:
        raise CodeRefused(
            "This code is not known, or not valid any more. Look whether it is written as you got it."
        )
    return Code(found["id"], found["code"], discounts.of_coupon(coupon, code=found["code"]))


def effect(*, account: Account, code: Code) -> Effect:
    """What `code` would do to the next charge. Changes nothing. Raises CodeRefused and the gateway's errors."""
    subscription = _discountable(account)
    name = subscription.stripe_subscription_id
    try:
        without = gateway.ask("/v1/invoices/create_preview", {"subscription": name})
        with_it = gateway.ask(
            "/v1/invoices/create_preview",
            {"subscription": name, "discounts": [{"promotion_code": code.stripe_id}]},
        )
    except gateway.InvalidRequest as refusal:
        raise CodeRefused(f"{code.code} cannot be used for your plan: {refusal.message}") from None
    return Effect(
        code=code,
        before=without["amount_due"],
        after=with_it["amount_due"],
        currency=without["currency"],
        at=subscription.trial_end if subscription.status == "trialing" else subscription.current_period_end,
    )


def use(*, account: Account, code: Code) -> Subscription:
    """Put `code` on the running plan, once however often. Raises CodeRefused, Busy and the gateway's errors."""
    with subscriptions.acting(account=account, purpose="code") as held:
        subscription = _discountable(account)
        path = f"/v1/subscriptions/{subscription.stripe_subscription_id}"
        present = gateway.get(path)
        if present["discounts"]:
            raise CodeRefused("Your plan has a discount already, and discounts do not add up.")
        if PlanChange.objects.filter(account=account).planned().exists():
            raise CodeRefused(
                "A change of plan is planned. Take it back first, or use the code once it has happened."
            )
        try:
            gateway.post(
                path,
                {"discounts": [{"promotion_code": code.stripe_id}]},
                idempotency_key=f"code:{subscription.stripe_subscription_id}:{held.token}",
            )
        except gateway.InvalidRequest as refusal:
            raise CodeRefused(f"{code.code} cannot be used for your plan: {refusal.message}") from None
    subscription.refresh_from_db()
    return subscription


def _discountable(account: Account) -> Subscription:
    subscription = Subscription.objects.live().filter(account=account).first()
    if subscription is None:
        raise CodeRefused("There is no plan running that something could be taken off. Choose one first.")
    if subscription.discounts:
        raise CodeRefused("Your plan has a discount already, and discounts do not add up.")
    if subscription.offer_id is not None:
        raise CodeRefused("Your price is agreed in a contract, and codes take nothing off it.")
    if subscription.status not in ("active", "trialing"):
        raise CodeRefused("A payment is missing. Pay the open invoice first; then the code can be used.")
    if subscription.is_canceling:
        raise CodeRefused("Your plan is set to end, so nothing more is charged. Keep it first.")
    return subscription
