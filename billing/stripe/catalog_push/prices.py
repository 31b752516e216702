"""Stripe's prices, found by lookup key.

A price cannot change at Stripe: another amount is a new price that takes the lookup key over. The old one is
archived, and whoever pays it goes on paying it (https://docs.stripe.com/products-prices/manage-prices#edit-price).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from billing import money
from billing.catalog import Catalog, Pack, Plan, Price, Tier
from billing.stripe import gateway
from billing.stripe.catalog_push import products
from billing.stripe.catalog_push.diff import (
    CATALOG_KEY,
    PACK_KEY,
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


@dataclass(frozen=True)
class Wanted:
    """One price of the file, in Stripe's words."""

    lookup_key: str
    phrase: str
    product: str
    # What cannot change once a price is made; `meter` is the event name of the meter it reads.
    fixed: Doc
    tiers: tuple[Tier, ...]
    # What it asks in other currencies.
    currencies: Mapping[str, int]
    meter: str | None
    # What can.
    loose: Doc
    # Where in the file it stands.
    place: str


def changes(catalog: Catalog, meters: dict[str, str]) -> Iterator[Change]:
    """What is to be done so that every price is there. `meters`: ids by event name, filled while pushing."""
    wanted = _wanted(catalog)
    there = _by_lookup_key([price.lookup_key for price in wanted])
    for price in wanted:
        yield from _changes(price, catalog, there.get(price.lookup_key), meters)


def left_over(catalog: Catalog, made: dict[str, Doc]) -> Iterator[Change]:
    """Prices of an earlier push that are still for sale at Stripe and not in the file any more."""
    wanted = {price.lookup_key for price in _wanted(catalog)}
    for product in made:
        for price in gateway.pages(PATH, {"product": product, "active": True}):
            if price["metadata"].get(CATALOG_KEY) == catalog.key and price["lookup_key"] not in wanted:
                yield _archive(price, name=price["lookup_key"] or price["id"])


def _wanted(catalog: Catalog) -> list[Wanted]:
    recurring = [_of_plan(price, plan, catalog) for plan in catalog.plans.values() for price in plan.prices]
    return [*recurring, *(_of_pack(pack, catalog) for pack in catalog.packs)]


def _of_plan(price: Price, plan: Plan, catalog: Catalog) -> Wanted:
    phrase = money.price_phrase(price)
    return Wanted(
        lookup_key=price.lookup_key,
        phrase=phrase,
        product=products.id_of(catalog, plan),
        fixed={
            "currency": price.currency,
            **_scheme(price),
            "recurring": {
                "interval": price.interval,
                "interval_count": price.interval_count,
                "usage_type": "metered" if price.meter else "licensed",
            },
        },
        tiers=price.tiers,
        currencies=price.currencies,
        meter=catalog.feature(price.meter).meter_event_name if price.meter else None,
        loose={
            "nickname": f"{plan.name}, {phrase}",
            "metadata": {CATALOG_KEY: catalog.key, PLAN_KEY: plan.key, PRICE_KEY: price.lookup_key},
            "active": not plan.retired,
        },
        place=f"plans.{plan.key}",
    )


def _of_pack(pack: Pack, catalog: Catalog) -> Wanted:
    phrase = f"{money.text(pack.amount, pack.currency)} once"
    return Wanted(
        lookup_key=pack.lookup_key,
        phrase=phrase,
        product=products.id_of(catalog, pack),
        fixed={
            "currency": pack.currency,
            "unit_amount": pack.amount,
            "billing_scheme": "per_unit",
            "recurring": None,
        },
        tiers=(),
        currencies={},
        meter=None,
        loose={
            "nickname": f"{pack.name}, {phrase}",
            "metadata": {CATALOG_KEY: catalog.key, PACK_KEY: pack.lookup_key, PRICE_KEY: pack.lookup_key},
            "active": True,
        },
        place="packs",
    )


def _scheme(price: Price) -> Doc:
    if price.tiers:
        return {"billing_scheme": "tiered", "tiers_mode": price.tiers_mode}
    return {"billing_scheme": "per_unit", "unit_amount": price.amount}


def _by_lookup_key(keys: list[str]) -> dict[str, Doc]:
    found = {}
    for start in range(0, len(keys), LOOKUP_KEYS_AT_ONCE):
        asked = {
            "lookup_keys": keys[start : start + LOOKUP_KEYS_AT_ONCE],
            "expand": ["data.tiers", "data.currency_options"],
        }
        for price in gateway.pages(PATH, asked):
            found[price["lookup_key"]] = price
    return found


def _changes(price: Wanted, catalog: Catalog, there: Doc | None, meters: dict[str, str]) -> Iterator[Change]:
    name = price.lookup_key

    def make() -> None:
        post_once(PATH, _new(price, meters), instead_of=there["id"] if there else "")

    if there is None:
        if price.loose["active"]:
            yield Change("create", "price", name, price.phrase, make)
    elif _fits(price, there, meters):
        if not differs(price.loose, there):
            yield Change("unchanged", "price", name)
            return
        for_sale = "for sale again" if price.loose["active"] else "not for sale any more"
        detail = for_sale if there["active"] != price.loose["active"] else "its name and marks"
        yield update("change", "price", name, f"{PATH}/{there['id']}", price.loose, detail)
    elif there["metadata"].get(CATALOG_KEY) is None:
        raise CannotPush(
            f"Stripe has a price with the lookup key {name!r} ({there['id']}, {_phrase(there)}) that did not "
            f"come from a price list. Write the same amount and period in {price.place} to take it over, "
            "or another lookup_key."
        )
    else:
        keeps = "; who pays the old one keeps it" if there["recurring"] else ""
        yield Change("change", "price", name, f"{_phrase(there)} → {price.phrase}{keeps}", make)
        yield _archive(there, name=there["id"])


def _fits(price: Wanted, there: Doc, meters: dict[str, str]) -> bool:
    # A price made by hand keeps its own product when it is taken over; one of ours belongs to its plan or pack.
    marks = price.loose["metadata"]
    is_ours = there["metadata"].get(CATALOG_KEY) is not None
    same_place = not is_ours or all(
        there["metadata"].get(key) == marks.get(key) for key in (PLAN_KEY, PACK_KEY)
    )
    tiers = tuple(
        Tier(tier["up_to"], tier["unit_amount"] or 0, tier["flat_amount"] or 0)
        for tier in there.get("tiers") or ()
    )
    return (
        same_place
        and tiers == price.tiers
        and _other_currencies(there) == dict(price.currencies)
        and not differs(_fixed(price, meters), there)
    )


def _other_currencies(there: Doc) -> dict[str, int | None]:
    """https://docs.stripe.com/api/prices/object#price_object-currency_options, which names its own currency too."""
    options = there.get("currency_options") or {}
    return {code: one["unit_amount"] for code, one in options.items() if code != there["currency"]}


def _fixed(price: Wanted, meters: dict[str, str]) -> Doc:
    """With the id of the meter, which may have been made only now."""
    if price.meter is None:
        return price.fixed
    return {**price.fixed, "recurring": {**price.fixed["recurring"], "meter": meters.get(price.meter, "")}}


def _new(price: Wanted, meters: dict[str, str]) -> Doc:
    """https://docs.stripe.com/api/prices/create"""
    wish = {key: value for key, value in _fixed(price, meters).items() if value is not None}
    if price.tiers:
        wish["tiers"] = [
            {
                "up_to": tier.up_to or "inf",
                "unit_amount": tier.amount,
                **({"flat_amount": tier.flat} if tier.flat else {}),
            }
            for tier in price.tiers
        ]
    if price.currencies:
        wish["currency_options"] = {
            code: {"unit_amount": amount} for code, amount in price.currencies.items()
        }
    return {
        **wish,
        **price.loose,
        "lookup_key": price.lookup_key,
        "transfer_lookup_key": True,
        "product": price.product,
    }


def _archive(there: Doc, *, name: str) -> Change:
    return update("archive", "price", name, f"{PATH}/{there['id']}", {"active": False}, _phrase(there))


def _phrase(there: Doc) -> str:
    """A price of Stripe's in words."""
    recurring = there["recurring"] or {}
    if there["billing_scheme"] == "tiered":
        return f"in tiers, {'a unit' if recurring.get('usage_type') == 'metered' else 'a seat'}"
    amount = money.text(there["unit_amount"] or 0, there["currency"])
    if recurring.get("usage_type") == "metered":
        return f"{amount} a unit"
    return f"{amount} a {recurring['interval']}" if recurring else f"{amount} once"
