"""What waits at Stripe for a plan's next invoice goes on a last one when there will be none: it would wait for ever."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from accounts.models import Account
from billing import alerts, money
from billing.lifecycle import pending_items, subscriptions, waived
from billing.lifecycle.lease import Held
from billing.models import Customer, Subscription
from billing.stripe import gateway, shapes
from billing.stripe.shapes import Doc


def write(*, account: Account, now: datetime) -> None:
    """Invoice what is pending and charge it at once, as the last plan was paid; a payment that fails leaves the
    invoice open. Where only credits wait they are left, and so is all of it where nothing more may be charged:
    staff are told.

    Items of a plan go on an invoice of that plan only, also when it is over
    (https://docs.stripe.com/api/invoices/create#create_invoice-subscription). Credits are written first, so that they
    are taken off what is charged. Stripe finishes an invoice by itself within the hour if we are killed in between.
    `now` is the account's time. Raises Busy and the gateway's errors.
    """
    with subscriptions.acting(account=account, purpose="last_invoice") as held:
        customer = held.customer
        waiting = pending_items.of(customer.stripe_customer_id)
        if is_spared(account, customer):
            _tell_staff(waiting, account=account, held=held, now=now)
            return
        for number, (subscription, currency) in enumerate(_groups(waiting)):
            # Asked anew: the invoice before may have taken these as well.
            if number:
                held.renew()
                waiting = pending_items.of(customer.stripe_customer_id)
            if not any(item["amount"] > 0 for item in waiting):
                return
            mine, rest = _parted(waiting, subscription, currency)
            if mine:
                _write_one(
                    subscription, currency, account=account, held=held, number=number, is_last=not rest
                )


def is_spared(account: Account, customer: Customer) -> bool:
    """Whether it was said that nothing more is charged: on hold for a lost dispute, or the money was given back."""
    last = _last_plan(account)
    return customer.dispute_state == "lost" or (last is not None and waived.is_waived(last))


def as_the_plan_was(account: Account) -> dict[str, Any]:
    """How an invoice beside the last plan is paid: by invoice where that was agreed, else with its card, which the till
    puts on the plan. A card of a customer that was deleted at Stripe went with it.
    """
    last = _last_plan(account)
    if last is None:
        return {}
    found = gateway.get(f"/v1/subscriptions/{last.stripe_subscription_id}")
    if found["collection_method"] == "send_invoice":
        return {"collection_method": "send_invoice", "days_until_due": found["days_until_due"]}
    now_at_stripe = Customer.objects.filter(account=account, stripe_customer_id=last.stripe_customer_id)
    method = found.get("default_payment_method") if now_at_stripe.exists() else None
    return {"default_payment_method": shapes.id_of(method)} if method else {}


def _last_plan(account: Account) -> Subscription | None:
    return Subscription.objects.filter(account=account).order_by("-started_at", "-pk").first()


def _groups(waiting: list[Doc]) -> Iterable[tuple[str, str]]:
    """Of which plan, in which currency: each is an invoice of its own, the one that comes to least first."""
    found: dict[tuple[str, str], int] = {}
    for item in waiting:
        group = (pending_items.subscription_of(item), item["currency"])
        found[group] = found.get(group, 0) + item["amount"]
    return sorted(found, key=lambda group: found[group])


def _parted(waiting: list[Doc], subscription: str, currency: str) -> tuple[list[Doc], list[Doc]]:
    """The items of one invoice, and the others in its currency."""
    mine: list[Doc] = []
    rest: list[Doc] = []
    for item in waiting:
        if item["currency"] == currency:
            (mine if pending_items.subscription_of(item) == subscription else rest).append(item)
    return mine, rest


def _write_one(
    subscription: str, currency: str, *, account: Account, held: Held, number: int, is_last: bool
) -> None:
    """What a plan's own invoice comes to in a credit is kept by Stripe as the customer's balance, as is a credit that
    others are still to be charged against; any other draft that charges nothing is deleted, and its items wait on.
    """
    key = f"last-invoice:{account.pk}:{held.token}:{number}"
    # Stripe refuses the two together: an invoice of a plan takes what waits for it anyway.
    of_what = (
        {"subscription": subscription}
        if subscription
        else {"currency": currency, "pending_invoice_items_behavior": "include"}
    )
    invoice = gateway.post(
        "/v1/invoices",
        {
            "customer": held.customer.stripe_customer_id,
            "auto_advance": True,
            **of_what,
            **as_the_plan_was(account),
        },
        idempotency_key=key,
    )
    path = f"/v1/invoices/{invoice['id']}"
    held.renew()
    # A draft of a plan cannot be deleted: https://docs.stripe.com/api/invoices/delete
    if not subscription and invoice["total"] <= 0 and (is_last or invoice["total"] == 0):
        gateway.delete(path, {})
        return
    final = gateway.post(f"{path}/finalize", {}, idempotency_key=f"{key}:finalize")
    if final["status"] == "open" and final["collection_method"] == "charge_automatically":
        try:
            gateway.post(f"{path}/pay", {}, idempotency_key=f"{key}:pay")
        except gateway.CardDeclined:
            return  # it stays open, and the account with it until it is paid


def _tell_staff(waiting: list[Doc], *, account: Account, held: Held, now: datetime) -> None:
    if not waiting:
        return
    sums = [money.text(amount, code) for code, amount in sorted(pending_items.sums(waiting).items())]
    with held.saving():
        alerts.raise_alert(
            key=f"left_unbilled:{account.pk}",
            kind="left_unbilled",
            message=f"Account {account.pk} is being closed, and {' and '.join(sums)} still wait at Stripe for an "
            f"invoice of customer {held.customer.stripe_customer_id}. It was said that nothing more is charged (a "
            "dispute was lost, or the money went back), so none was written: delete the items there, or bill them "
            "yourself.",
            account=account,
            now=now,
        )
