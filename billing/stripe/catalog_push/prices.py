"""Stripe's prices, found by lookup key.

A price cannot change at Stripe: another amount is a new price that takes the lookup key over. The old one is
archived, and whoever pays it goes on paying it (https://docs.stripe.com/products-prices/manage-prices#edit-price).
"""

from __future__ import annotations

from collections.abc import Iterator

from billing import money
from billing.catalog import Catalog, Plan, Price
from billing.stripe import gateway
from billing.stripe.catalog_push import products
from billing.stripe.catalog_push.diff import (
    CATALOG_KEY,
    PLAN_KEY,
    PRICE_KEY,
    CannotPush,
    Change,
    Doc,
    differs,
    post_once,
    update,
)

PATH = "/v1/prices"
# Stripe's limit: https://docs.stripe.com/api/prices/list#list_prices-lookup_keys
LOOKUP_KEYS_AT_ONCE = 10


def changes(catalog: Catalog, meters: dict[str, str]) -> Iterator[Change]:
    """What is to be done so that every price is there. `meters`: ids by event name, filled while pushing."""
    there = _by_lookup_key([price.lookup_key for price in catalog.prices()])
    for plan in catalog.plans.values():
        for price in plan.prices:
            yield from _changes(price, plan, catalog, there.get(price.lookup_key), meters)


def left_over(catalog: Catalog, made: dict[str, Doc]) -> Iterator[Change]:
    """Prices of an earlier push that are still for sale at Stripe and not in the file any more."""
    wanted = {price.lookup_key for price in catalog.prices()}
    for product in made:
        for price in gateway.pages(PATH, {"product": product, "active": True}):
            if price["metadata"].get(CATALOG_KEY) == catalog.key and price["lookup_key"] not in wanted:
                yield _archive(price, name=price["lookup_key"] or price["id"])


def _by_lookup_key(keys: list[str]) -> dict[str, Doc]:
    found = {}
    for start in range(0, len(keys), LOOKUP_KEYS_AT_ONCE):
        for price in gateway.pages(PATH, {"lookup_keys": keys[start : start + LOOKUP_KEYS_AT_ONCE]}):
            found[price["lookup_key"]] = price
    return found


def _changes(
    price: Price, plan: Plan, catalog: Catalog, there: Doc | None, meters: dict[str, str]
) -> Iterator[Change]:
    name, phrase, loose = price.lookup_key, money.price_phrase(price), _loose(price, plan, catalog)

    def make() -> None:
        wish = {**_fixed(price, catalog, meters), **loose, "lookup_key": name, "transfer_lookup_key": True}
        wish["product"] = products.id_of(catalog, plan)
        post_once(PATH, wish, instead_of=there["id"] if there else "")

    if there is None:
        if not plan.retired:
            yield Change("create", "price", name, phrase, make)
    elif _fits(price, plan, catalog, there, meters):
        if not differs(loose, there):
            yield Change("unchanged", "price", name)
            return
        for_sale = "for sale again" if loose["active"] else "not for sale any more"
        detail = for_sale if there["active"] != loose["active"] else "its name and marks"
        yield update("change", "price", name, f"{PATH}/{there['id']}", loose, detail)
    elif there["metadata"].get(CATALOG_KEY) is None:
        raise CannotPush(
            f"Stripe has a price with the lookup key {name!r} ({there['id']}, {_phrase(there)}) that did not "
            f"come from a price list. Write the same amount and period in plans.{plan.key} to take it over, "
            "or another lookup_key."
        )
    else:
        yield Change(
            "change", "price", name, f"{_phrase(there)} → {phrase}; who pays the old one keeps it", make
        )
        yield _archive(there, name=there["id"])


def _fits(price: Price, plan: Plan, catalog: Catalog, there: Doc, meters: dict[str, str]) -> bool:
    # A price made by hand keeps its own product when it is taken over; one of ours belongs to its plan.
    same_plan = there["metadata"].get(PLAN_KEY) in (None, plan.key)
    return same_plan and not differs(_fixed(price, catalog, meters), there)


def _fixed(price: Price, catalog: Catalog, meters: dict[str, str]) -> Doc:
    """What cannot change once a price is made."""
    recurring: Doc = {
        "interval": price.interval,
        "interval_count": price.interval_count,
        "usage_type": "metered" if price.meter else "licensed",
    }
    if price.meter:
        recurring["meter"] = meters.get(catalog.feature(price.meter).meter_event_name or "", "")
    return {
        "currency": price.currency,
        "unit_amount": price.amount,
        "billing_scheme": "per_unit",
        "recurring": recurring,
    }


def _loose(price: Price, plan: Plan, catalog: Catalog) -> Doc:
    """What can."""
    return {
        "nickname": f"{plan.name}, {money.price_phrase(price)}",
        "metadata": {CATALOG_KEY: catalog.key, PLAN_KEY: plan.key, PRICE_KEY: price.lookup_key},
        "active": not plan.retired,
    }


def _archive(there: Doc, *, name: str) -> Change:
    return update("archive", "price", name, f"{PATH}/{there['id']}", {"active": False}, _phrase(there))


def _phrase(there: Doc) -> str:
    """A price of Stripe's in words."""
    amount = money.text(there["unit_amount"] or 0, there["currency"])
    recurring = there["recurring"] or {}
    if recurring.get("usage_type") == "metered":
        return f"{amount} a unit"
    return f"{amount} a {recurring['interval']}" if recurring else f"{amount} once"
