"""An offer's price at Stripe: the price list's while that is what was offered, else one made for this offer."""

from __future__ import annotations

from typing import Any

from billing import catalog
from billing.catalog import Price, Tier
from billing.deals import agreed
from billing.lifecycle.lease import Held
from billing.lifecycle.projection import OFFER_KEY
from billing.models import Offer
from billing.stripe import gateway
from billing.stripe.catalog_push.diff import PLAN_KEY
from billing.stripe.shapes import Doc


def at_stripe(offer: Offer, held: Held) -> str:
    """Its id. One made for an offer says itself which plan it is for. Raises LeaseLost and the gateway's errors."""
    offered = agreed.price(offer)
    # One that has left the list would be a price we do not know.
    is_in_list = catalog.current().find_price(offer.lookup_key) is not None
    listed = _listed(offered) if is_in_list else None
    held.renew()
    if listed is not None:
        return str(listed["id"])
    made = gateway.post(
        "/v1/prices",
        {
            "product": _product(offer),
            "currency": offered.currency,
            "recurring": {"interval": offered.interval, "interval_count": offered.interval_count},
            "metadata": {PLAN_KEY: offer.plan_key, OFFER_KEY: str(offer.pk)},
            **_amount(offered),
        },
        idempotency_key=f"offer_price:{offer.pk}",
    )
    held.renew()
    return str(made["id"])


def _listed(offered: Price) -> Doc | None:
    """The price of the list, if it still asks for what was offered."""
    wanted = {"lookup_keys": [offered.lookup_key], "active": True, "expand": ["data.tiers"]}
    found = list(gateway.pages("/v1/prices", wanted, at_most=1))
    return next((one for one in found if _asks_for(one, offered)), None)


def _asks_for(entry: Doc, offered: Price) -> bool:
    tiers = tuple(
        Tier(tier["up_to"], tier["unit_amount"] or 0, tier["flat_amount"] or 0)
        for tier in entry.get("tiers") or ()
    )
    rhythm = entry["recurring"] or {}
    return (
        (tiers, entry.get("tiers_mode")) == (offered.tiers, offered.tiers_mode)
        and (bool(tiers) or entry["unit_amount"] == offered.amount)
        and entry["currency"] == offered.currency
        and (rhythm.get("interval"), rhythm.get("interval_count"))
        == (offered.interval, offered.interval_count)
    )


def _amount(offered: Price) -> dict[str, Any]:
    """https://docs.stripe.com/api/prices/create#create_price-tiers"""
    if not offered.tiers:
        return {"unit_amount": offered.amount}
    steps = [
        {
            "up_to": tier.up_to or "inf",
            "unit_amount": tier.amount,
            **({"flat_amount": tier.flat} if tier.flat else {}),
        }
        for tier in offered.tiers
    ]
    return {"billing_scheme": "tiered", "tiers_mode": offered.tiers_mode, "tiers": steps}


def _product(offer: Offer) -> str:
    """The product of agreed prices, apart from the price list's, which a push of the catalog may archive."""
    prices = catalog.current()
    name = f"tallyhouse_{prices.key}_agreed_{offer.plan_key}"
    try:
        return str(gateway.get(f"/v1/products/{name}")["id"])
    except gateway.NotFound:
        plan = prices.plan(offer.plan_key)
        made = gateway.post(
            "/v1/products",
            {"id": name, "name": f"{prices.name} {plan.name}", "metadata": {PLAN_KEY: plan.key}},
            idempotency_key=f"product:{name}",
        )
        return str(made["id"])
