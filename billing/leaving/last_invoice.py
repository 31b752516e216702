"""What waits at Stripe for a plan's next invoice goes on a last one when there will be none: it would wait for ever."""

from __future__ import annotations

from typing import Any

from accounts.models import Account
from billing.lifecycle import subscriptions
from billing.models import Subscription
from billing.stripe import gateway, shapes

MOST_ITEMS = 1000


def write(*, account: Account) -> None:
    """Invoice what is pending and charge it at once, as the last plan was paid; a payment that fails leaves the
    invoice open. What comes to nothing, or to a credit, is left as it is.

    Stripe finishes the invoice by itself within the hour if we are killed in between. Raises Busy and the gateway's
    errors. https://docs.stripe.com/billing/invoices/subscription#adding-upcoming-invoice-items
    """
    with subscriptions.acting(account=account, purpose="last_invoice") as held:
        customer = held.customer.stripe_customer_id
        if not customer:
            return
        waiting = list(
            gateway.pages("/v1/invoiceitems", {"customer": customer, "pending": True}, at_most=MOST_ITEMS)
        )
        if sum(item["amount"] for item in waiting) <= 0:
            return
        key = f"last-invoice:{account.pk}:{held.token}"
        invoice = gateway.post(
            "/v1/invoices",
            {
                "customer": customer,
                "currency": waiting[0]["currency"],
                "pending_invoice_items_behavior": "include",
                "auto_advance": True,
                **as_the_plan_was(account),
            },
            idempotency_key=key,
        )
        path = f"/v1/invoices/{invoice['id']}"
        final = gateway.post(f"{path}/finalize", {}, idempotency_key=f"{key}:finalize")
        if final["status"] == "open" and final["collection_method"] == "charge_automatically":
            try:
                gateway.post(f"{path}/pay", {}, idempotency_key=f"{key}:pay")
            except gateway.CardDeclined:
                return  # it stays open, and the account with it until it is paid


def as_the_plan_was(account: Account) -> dict[str, Any]:
    """How an invoice beside the last plan is paid: by invoice where that was agreed, else with its card, which the till
    puts on the plan.
    """
    last = Subscription.objects.filter(account=account).order_by("-started_at", "-pk").first()
    if last is None:
        return {}
    found = gateway.get(f"/v1/subscriptions/{last.stripe_subscription_id}")
    if found["collection_method"] == "send_invoice":
        return {"collection_method": "send_invoice", "days_until_due": found["days_until_due"]}
    method = found.get("default_payment_method")
    return {"default_payment_method": shapes.id_of(method)} if method else {}
