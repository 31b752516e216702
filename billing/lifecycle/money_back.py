"""A payment given back in full by staff: soon after the first purchase the plan ends with it, later staff are asked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from accounts.models import Account
from billing import alerts, catalog, effects
from billing.lifecycle import projection
from billing.lifecycle.lease import Held
from billing.models import Effect, Subscription
from billing.stripe import gateway, shapes
from billing.stripe.truth import Truth

KIND = "refunded_in_full"


def follow(truth: Truth, *, account: Account, held: Held, now: datetime) -> bool:
    """End the plan whose first payment went back in full. Answers True when something was ended: then ask anew.

    Once per invoice, for ever: who buys again, or is given a later payment back, is not ended by an old refund.
    `now` is the account's time. Raises LeaseLost and the gateway's errors.
    """
    ended = False
    for subscription in truth.live():
        for invoice in truth.invoices:
            if shapes.invoice_subscription_id(invoice) != subscription["id"] or not _is_given_back(
                invoice, truth
            ):
                continue
            if Effect.objects.filter(key=key_of(invoice["id"])).exists():
                continue
            is_money_back = _is_money_back(subscription, truth, account=account, now=now)
            if is_money_back:
                held.renew()
                _end(subscription["id"])
            _note(invoice, account=account, held=held, is_money_back=is_money_back, now=now)
            ended |= is_money_back
    return ended


def _is_given_back(invoice: dict[str, Any], truth: Truth) -> bool:
    if not shapes.invoice_is_paid(invoice) or invoice["amount_paid"] == 0:
        return False
    given_back = projection.of_payment(invoice, charges=truth.charges).get("amount_refunded", 0)
    return bool(given_back == invoice["amount_paid"])


def _is_money_back(subscription: dict[str, Any], truth: Truth, *, account: Account, now: datetime) -> bool:
    """Within the plan's money-back days of the first payment this account ever made for a plan."""
    paid = [
        paid_at
        for invoice in truth.invoices
        if invoice["amount_paid"] > 0
        and shapes.invoice_subscription_id(invoice)
        and (paid_at := shapes.invoice_paid_at(invoice)) is not None
    ]
    known = Subscription.objects.filter(account=account).values_list("first_paid_at", flat=True)
    paid += [at for at in known if at is not None]
    row = Subscription.objects.filter(stripe_subscription_id=subscription["id"]).first()
    plan = catalog.current().plans.get(row.plan_key) if row else None
    return plan is not None and bool(paid) and now < min(paid) + timedelta(days=plan.money_back_days)


def _end(subscription_id: str) -> None:
    """At once and without a last invoice: the customer was promised all of it back."""
    try:
        gateway.delete(f"/v1/subscriptions/{subscription_id}", {"invoice_now": False, "prorate": False})
    except gateway.NotFound:
        return  # ended by somebody else in between, which is what was wanted


def _note(
    invoice: dict[str, Any], *, account: Account, held: Held, is_money_back: bool, now: datetime
) -> None:
    with held.saving():
        effects.once(
            key=key_of(invoice["id"]),
            kind=KIND,
            account=account,
            now=now,
            detail={"plan_ended": is_money_back},
        )
        if not is_money_back:
            alerts.raise_alert(
                key=key_of(invoice["id"]),
                kind=KIND,
                message=f"{account} was refunded in full for {invoice['id']}, and the plan goes on: cancel it at "
                "Stripe if that was meant.",
                account=account,
                now=now,
            )


def key_of(invoice_id: str) -> str:
    """Names, among the effects, what became of an invoice that was given back."""
    return f"refunded:{invoice_id}"
