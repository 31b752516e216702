"""Keeps dj-stripe 2.11's notes on its own rows true for today's API version: periods, paid, subscription, discounts.

Its accessors read places that Stripe left in 2025; its admin pages and a customer with a discount fail on
that. A test fails when dj-stripe's version changes, so that this file is looked at again and, one day,
deleted.
"""

from __future__ import annotations

from typing import Any

from djstripe.models import Customer, Invoice, Subscription
from djstripe.models.base import StripeModel
from djstripe.models.billing import BaseInvoice
from djstripe.utils import convert_tstamp

from billing.stripe.shapes import (
    coupon_of_discount,
    invoice_is_paid,
    invoice_subscription_id,
    sub_period,
)

WRITTEN_FOR = "2.11.0"


def apply() -> None:
    """Mend the classes, once per process; a second call changes nothing."""
    if getattr(Subscription, "_mended", False):
        return
    Subscription._mended = True
    _keep_our_key_to_ourselves()
    _mend_periods()
    _mend_invoices()
    _mend_discounts()


def _keep_our_key_to_ourselves() -> None:
    """Without an owner looked up, no API key is written into dj-stripe's table, where it would lie in plain text.

    It would also win over a newer key in the settings for ever after. We mirror one account, so nothing is
    lost.
    """
    StripeModel._find_owner_account = classmethod(lambda cls, data, api_key=None, livemode=None: None)


def _mend_periods() -> None:
    Subscription.current_period_start = property(lambda self: convert_tstamp(sub_period(self.stripe_data)[0]))
    Subscription.current_period_end = property(lambda self: convert_tstamp(sub_period(self.stripe_data)[1]))


def _mend_invoices() -> None:
    BaseInvoice.paid = property(lambda self: invoice_is_paid(self.stripe_data))
    for name in (
        "amount_due",
        "attempt_count",
        "billing_reason",
        "hosted_invoice_url",
        "invoice_pdf",
        "footer",
    ):
        setattr(BaseInvoice, name, _as_sent(name))
    Invoice.expand_fields = [*Invoice.expand_fields, "payments"]
    before = BaseInvoice._manipulate_stripe_object_hook.__func__

    def with_subscription(cls: type, data: dict[str, Any]) -> dict[str, Any]:
        data = before(cls, data)
        if "subscription" not in data and invoice_subscription_id(data):
            # A copy: what is stored as stripe_data stays as Stripe sent it.
            data = {**data, "subscription": invoice_subscription_id(data)}
        return data

    BaseInvoice._manipulate_stripe_object_hook = classmethod(with_subscription)


def _as_sent(name: str) -> property:
    return property(lambda self: self.stripe_data.get(name))


def _mend_discounts() -> None:
    before = Customer._attach_objects_post_save_hook

    def with_coupon(self: Any, cls: type, data: dict[str, Any], **options: Any) -> Any:
        discount = data.get("discount")
        if discount and not discount.get("coupon") and coupon_of_discount(discount):
            discount["coupon"] = coupon_of_discount(discount)
        return before(self, cls, data, **options)

    Customer._attach_objects_post_save_hook = with_coupon
