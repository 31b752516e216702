"""How Stripe's customer portal behaves for our customers: one configuration, found by its metadata.

They may cancel at the period's end and say why, change the card and see invoices. Changing plans is off: our
own pages show first what it costs.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from billing.catalog import Catalog
from billing.stripe import gateway
from billing.stripe.catalog_push.diff import CATALOG_KEY, Change, Doc, create, different, differs, update

PATH = "/v1/billing_portal/configurations"
# https://docs.stripe.com/api/customer_portal/configurations/create (features.subscription_cancel)
REASONS = [
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "low_quality",
    "other",
]


def changes(catalog: Catalog) -> list[Change]:
    """What is to be done so that the portal behaves so."""
    wish, there = _wish(catalog), at_stripe(catalog)
    if there is None:
        return [
            create("portal", catalog.key, PATH, wish, "cancel at the period's end, change card, invoices")
        ]
    if differs(wish, there):
        path = f"{PATH}/{there['id']}"
        return [update("change", "portal", catalog.key, path, wish, different(wish, there))]
    return [Change("unchanged", "portal", catalog.key)]


def at_stripe(catalog: Catalog) -> Doc | None:
    """The configuration as it is; None when there is none yet."""
    for configuration in gateway.pages(PATH, {"active": True}):
        if (configuration["metadata"] or {}).get(CATALOG_KEY) == catalog.key:
            return configuration
    return None


def _wish(catalog: Catalog) -> Doc:
    profile: Doc = {"headline": f"{catalog.company.name}: your plan and payments"}
    if catalog.company.privacy_url:
        profile["privacy_policy_url"] = _absolute(catalog.company.privacy_url)
    if catalog.company.terms_url:
        profile["terms_of_service_url"] = _absolute(catalog.company.terms_url)
    features: dict[str, Any] = {
        "customer_update": {"enabled": True, "allowed_updates": ["email", "address", "tax_id"]},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {
            "enabled": True,
            "mode": "at_period_end",
            "cancellation_reason": {"enabled": True, "options": REASONS},
        },
        "subscription_update": {"enabled": False},
    }
    return {
        "business_profile": profile,
        "default_return_url": f"{settings.BASE_URL}/billing/",
        "features": features,
        "metadata": {CATALOG_KEY: catalog.key},
    }


def _absolute(url: str) -> str:
    return url if url.startswith("https://") else f"{settings.BASE_URL}{url}"
