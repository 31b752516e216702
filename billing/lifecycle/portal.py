"""Stripe's own pages for a customer: cards, invoices, cancel. The link is a key to them, never stored or logged."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import Account
from billing import catalog
from billing.lifecycle import customers, lease
from billing.models import Customer, Subscription
from billing.stripe import gateway
from billing.stripe.catalog_push import portal as pushed

PATIENCE_SECONDS = 5.0


def open_portal(*, account: Account, return_path: str, flow: str | None = None) -> str:
    """A fresh address of the billing portal that leads back to `return_path`, a path of ours.

    `flow` opens it on one act: "payment_method_update" or "subscription_cancel"
    (https://docs.stripe.com/customer-management/portal-deep-links). An account that is not at Stripe yet is
    made known first. Raises lease.LeaseTaken, ValueError for a path that leads elsewhere, and the gateway's
    errors.
    """
    if not return_path.startswith("/") or not url_has_allowed_host_and_scheme(
        return_path, allowed_hosts=None
    ):
        raise ValueError(f"{return_path!r} does not lead back to us.")
    customer = customers.row(account)
    if not customer.stripe_customer_id:
        with lease.hold(account=account, purpose="portal", wait_seconds=PATIENCE_SECONDS) as held:
            customer = customers.ensure(account=account, held=held)
    back = f"{settings.BASE_URL}{return_path}"
    params: dict[str, Any] = {"customer": customer.stripe_customer_id, "return_url": back}
    # The one `sync_catalog` made; without it Stripe takes its own default.
    configuration = pushed.at_stripe(catalog.current())
    if configuration:
        params["configuration"] = configuration["id"]
    if flow:
        params["flow_data"] = _flow(flow, customer, back)
    # A second session is harmless and a session lives for minutes, so each gets a key of its own.
    session = gateway.post(
        "/v1/billing_portal/sessions", params, idempotency_key=f"portal:{uuid.uuid4().hex}"
    )
    return str(session["url"])


def _flow(flow: str, customer: Customer, back: str) -> dict[str, Any]:
    after = {"type": "redirect", "redirect": {"return_url": back}}
    if flow == "subscription_cancel":
        subscription = Subscription.objects.live().filter(account=customer.account).first()
        named = {"subscription": subscription.stripe_subscription_id} if subscription else {}
        return {"type": flow, "subscription_cancel": named, "after_completion": after}
    return {"type": flow, "after_completion": after}
