"""Invoices that were open when last seen: who pays one on Stripe's page, which leads nowhere, sees it paid at once."""

from __future__ import annotations

from accounts.models import Account
from billing.lifecycle import subscriptions
from billing.models import Payment
from billing.stripe import gateway

# One call for each; who has more open does not wait for all of them.
MOST = 3


def look_again(*, account: Account) -> bool:
    """Sync when Stripe says that one of them is open no more; False when somebody else is at it and not done yet.

    Costs nothing where none is open. Raises the gateway's errors.
    """
    seen = Payment.objects.filter(account=account, status="open").order_by("-created_at", "-pk")
    for payment in seen[:MOST]:
        if not _is_open(payment):
            return subscriptions.sync(
                account=account, reason="invoice_paid", wait_seconds=subscriptions.PATIENCE_SECONDS
            )
    return True


def _is_open(payment: Payment) -> bool:
    try:
        return bool(gateway.get(f"/v1/invoices/{payment.stripe_invoice_id}")["status"] == "open")
    except gateway.NotFound:
        return True  # nothing that anybody could have paid
