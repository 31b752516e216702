"""Our letter box as Stripe knows it: the address, the kinds of letters, and the API version they are in."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings

from billing.stripe import gateway
from billing.stripe.catalog_push.diff import CATALOG_KEY, Change, Doc, different, differs, post_once, update

PATH = "/v1/webhook_endpoints"
# Every kind that billing/stripe/letters.py acts upon and that an endpoint can be subscribed to.
EVENTS = [
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.refunded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.upcoming",
    "invoice.voided",
    "payment_method.attached",
    "payment_method.detached",
    "refund.created",
    "refund.failed",
    "refund.updated",
]

# Stripe's word that it could not count what was reported comes as thin events only, and those go to event
# destinations, which are made apart: https://docs.stripe.com/event-destinations
THIN_EVENTS = ["v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"]


def changes(url: str, *, tell: Callable[[str], None]) -> list[Change]:
    """What is to be done so that Stripe writes to `url`. A new endpoint's secret goes to `tell`, once.

    Raises gateway.StripeError.
    """
    wish: Doc = {"enabled_events": EVENTS, "metadata": {CATALOG_KEY: "all"}}
    there = next((endpoint for endpoint in gateway.pages(PATH) if endpoint["url"] == url), None)
    if there is None:

        def create() -> None:
            tell(post_once(PATH, {"url": url, "api_version": settings.STRIPE_API_VERSION, **wish})["secret"])

        return [Change("create", "webhook", url, f"{len(EVENTS)} kinds of letters", create)]
    if there["api_version"] != settings.STRIPE_API_VERSION:
        detail = (
            f"writes in API version {there['api_version']} and cannot change; delete it at Stripe, then again"
        )
        return [Change("unchanged", "webhook", url, detail)]
    if differs({**wish, "status": "enabled"}, there):
        detail = different({**wish, "status": "enabled"}, there)
        path = f"{PATH}/{there['id']}"
        return [update("change", "webhook", url, path, {**wish, "disabled": False}, detail)]
    return [Change("unchanged", "webhook", url)]
