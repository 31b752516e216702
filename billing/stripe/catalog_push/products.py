"""Stripe's products: one for each plan that has prices, and one for each pack."""

from __future__ import annotations

from collections.abc import Iterator

from billing import money
from billing.catalog import Catalog, Pack, Plan
from billing.stripe import gateway
from billing.stripe.catalog_push.diff import (
    CATALOG_KEY,
    MANY,
    PACK_KEY,
    PLAN_KEY,
    Change,
    Doc,
    create,
    different,
    differs,
    update,
)

PATH = "/v1/products"


def at_stripe(catalog: Catalog) -> dict[str, Doc]:
    """The products of this catalog by id, those of plans and packs that are gone from the file too."""
    wanted = {id for id, _, _ in _wishes(catalog)}
    return {
        product["id"]: product
        for product in gateway.pages(PATH, at_most=MANY)
        if product["metadata"].get(CATALOG_KEY) == catalog.key or product["id"] in wanted
    }


def id_of(catalog: Catalog, sold: Plan | Pack) -> str:
    """Ours to choose at Stripe, so that a product is never made twice."""
    if isinstance(sold, Pack):
        return f"tallyhouse_{catalog.key}_pack_{sold.lookup_key}"
    return f"tallyhouse_{catalog.key}_{sold.key}"


def changes(catalog: Catalog, there: dict[str, Doc]) -> Iterator[Change]:
    """What is to be done so that every plan with prices, and every pack, has its product."""
    for id, name, wish in _wishes(catalog):
        if id not in there:
            yield create("product", name, PATH, {"id": id, **wish}, wish["name"])
        elif differs(wish, there[id]):
            yield update("change", "product", name, f"{PATH}/{id}", wish, different(wish, there[id]))
        else:
            yield Change("unchanged", "product", name)


def left_over(catalog: Catalog, there: dict[str, Doc]) -> Iterator[Change]:
    """Products of plans and packs that the file does not have any more."""
    kept = {id for id, _, _ in _wishes(catalog)}
    for id, product in there.items():
        if id not in kept and product["active"]:
            marks = product["metadata"]
            name = marks.get(PLAN_KEY) or marks.get(PACK_KEY) or id
            yield update("archive", "product", name, f"{PATH}/{id}", {"active": False}, product["name"])


def _wishes(catalog: Catalog) -> Iterator[tuple[str, str, Doc]]:
    """Id, name in the diff, and what the product should be."""
    for plan in catalog.plans.values():
        if plan.prices:
            yield id_of(catalog, plan), plan.key, _wish(plan, catalog)
    for pack in catalog.packs:
        yield id_of(catalog, pack), pack.lookup_key, _wish_of_pack(pack, catalog)


def _wish(plan: Plan, catalog: Catalog) -> Doc:
    label = next((price.unit_label for price in plan.prices if price.unit_label), "")
    return {
        "name": f"{catalog.name} {plan.name}",
        "description": plan.summary or plan.name,
        "active": not plan.retired,
        "metadata": {CATALOG_KEY: catalog.key, PLAN_KEY: plan.key},
        **({"unit_label": label} if label else {}),
    }


def _wish_of_pack(pack: Pack, catalog: Catalog) -> Doc:
    return {
        "name": f"{catalog.name} {pack.name}",
        "description": money.pack_phrase(pack, catalog.feature(pack.feature)),
        "active": True,
        "metadata": {CATALOG_KEY: catalog.key, PACK_KEY: pack.lookup_key},
    }
