"""A wish in Stripe's words: which items stay, change, come and go, and whether the billing cycle begins anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from billing import alerts, catalog
from billing.catalog import Price, Tier
from billing.changes.refusals import ChangeRefused, WayOut
from billing.changes.wishes import Wish
from billing.models import Subscription, SubscriptionItem
from billing.stripe import gateway, shapes
from billing.stripe.shapes import Doc


def price_ids(wish: Wish, *, now: datetime) -> dict[str, str]:
    """Ids at Stripe, by lookup key, of all that the wished plan charges. Raises ChangeRefused, the gateway's errors.

    A price whose amount at Stripe is another than on our page is not sold: the page must name what is charged.
    """
    wanted = [price.lookup_key for price in _charged(wish)]
    # Inactive ones too: who has a seat of a retired plan may have another one.
    found = {
        entry["lookup_key"]: entry
        for entry in gateway.pages("/v1/prices", {"lookup_keys": wanted}, at_most=len(wanted))
    }
    for price in _charged(wish):
        entry = found.get(price.lookup_key)
        if entry is None or not (entry["active"] or price == wish.price_before):
            _tell(wish, price, now=now)
            raise ChangeRefused(
                f"{wish.plan.name} cannot be bought just now. Try again later; nothing was changed.",
                way_out=WayOut.LATER,
            )
        listed = catalog.current().price(price.lookup_key)
        if entry.get("unit_amount") not in (None, listed.amount):
            raise ChangeRefused(
                f"The price of {wish.plan.name} is being changed just now. Try again in a few minutes; "
                "nothing was changed.",
                way_out=WayOut.LATER,
            )
    return {key: entry["id"] for key, entry in found.items()}


def update(wish: Wish, ids: dict[str, str], *, prorated_at: int) -> dict[str, Any]:
    """What `POST /v1/subscriptions/{id}` and the preview are both given, so that they cannot differ.

    https://docs.stripe.com/billing/subscriptions/prorations#preview-proration
    """
    asked: dict[str, Any] = {"items": items(wish, ids), "proration_behavior": "always_invoice"}
    if wish.ends_trial:
        asked["trial_end"] = "now"
    elif not wish.is_trial:
        asked["proration_date"] = prorated_at
        if ends_metering(wish):
            # Closes the period, so that what was used so far is billed with the change and not forgotten.
            asked["billing_cycle_anchor"] = "now"
    return asked


def items(wish: Wish, ids: dict[str, str]) -> list[dict[str, Any]]:
    """The `items` of the update. A price for a price keeps its item; metered ones come and go as a whole."""
    spare = replaced(wish.subscription)
    asked: list[dict[str, Any]] = []
    fresh: list[Price] = []
    for price in _charged(wish):
        same = next((item for item in spare if item.lookup_key == price.lookup_key), None)
        if same is None:
            fresh.append(price)
            continue
        spare.remove(same)
        asked.append({"id": same.stripe_item_id, **_counted(wish, price)})
    for price in fresh:
        old = next((item for item in spare if not item.is_metered and price.meter is None), None)
        named = {"price": ids[price.lookup_key], **_counted(wish, price)}
        if old is not None:
            spare.remove(old)
            named = {"id": old.stripe_item_id, **named}
        asked.append(named)
    asked += [{"id": item.stripe_item_id, "deleted": True} for item in spare]
    # An item that is only named stays as it is.
    return [entry for entry in asked if set(entry) != {"id"}]


def phase(wish: Wish, ids: dict[str, str]) -> list[dict[str, Any]]:
    """The `items` of the schedule's phase in which the wish has come true; what is no part of the plan stays."""
    gone = {item.pk for item in replaced(wish.subscription)}
    kept = [
        {"price": item.stripe_price_id, **({} if item.is_metered else {"quantity": item.quantity or 1})}
        for item in wish.subscription.items.all()
        if item.pk not in gone
    ]
    same = _kept(wish)  # an older price that goes by the same name stays the account's own
    charged = [
        {"price": same.get(price.lookup_key, ids[price.lookup_key]), **_counted(wish, price)}
        for price in _charged(wish)
    ]
    return charged + kept


def recurring(wish: Wish, ids: dict[str, str]) -> int:
    """What every period costs from then on, in minor units: at the older price where the account has one and keeps it.

    Raises the gateway's errors.
    """
    if wish.price.meter:
        return 0
    kept = _kept(wish).get(wish.price.lookup_key)
    if kept is None or kept == ids.get(wish.price.lookup_key):
        return wish.price.charge(wish.quantity)
    older = gateway.get(f"/v1/prices/{kept}", {"expand": ["tiers", "currency_options"]})
    options = older.get("currency_options") or {}
    named = older if older["currency"] == wish.price.currency else options.get(wish.price.currency) or older
    tiers = tuple(
        Tier(tier["up_to"], tier["unit_amount"] or 0, tier["flat_amount"] or 0)
        for tier in older.get("tiers") or ()
    )
    price = replace(
        wish.price, amount=named["unit_amount"] or 0, tiers=tiers, tiers_mode=older.get("tiers_mode")
    )
    return price.charge(wish.quantity)


def replaced(subscription: Subscription) -> list[SubscriptionItem]:
    """The items that stand for the plan; what staff added beside it is not touched."""
    return [item for item in subscription.items.all() if item.plan_key == subscription.plan_key]


def is_as_we_know(document: Doc, subscription: Subscription) -> bool:
    """Whether Stripe's subscription is still what our rows, and so the page, said."""
    there = {(item["id"], item["price"]["id"], item.get("quantity")) for item in shapes.items(document)}
    here = {(item.stripe_item_id, item.stripe_price_id, item.quantity) for item in subscription.items.all()}
    return there == here and document["status"] == subscription.status


def _charged(wish: Wish) -> list[Price]:
    beside = [price for price in wish.plan.metered_prices if price.months == wish.price.months]
    return [wish.price, *(price for price in beside if price != wish.price)]


def _kept(wish: Wish) -> dict[str, str]:
    """Ids at Stripe, by lookup key, of the prices the plan is paid at now."""
    return {item.lookup_key: item.stripe_price_id for item in replaced(wish.subscription)}


def _counted(wish: Wish, price: Price) -> dict[str, int]:
    """A metered price takes no quantity: use decides."""
    return {} if price.meter else {"quantity": wish.quantity if price == wish.price else 1}


def ends_metering(wish: Wish) -> bool:
    """Whether something that is paid by the unit goes, so that what was used of it is billed with the change."""
    charged = {price.lookup_key for price in _charged(wish)}
    return any(item.is_metered and item.lookup_key not in charged for item in replaced(wish.subscription))


def _tell(wish: Wish, price: Price, *, now: datetime) -> None:
    alerts.raise_alert(
        key=f"price_missing:{price.lookup_key}",
        kind="price_missing",
        message=f"{wish.account} could not change to {wish.plan.name}: Stripe has no active price "
        f"{price.lookup_key!r} of {catalog.current().key}. Run `manage.py sync_catalog`.",
        account=wish.account,
        now=now,
    )
