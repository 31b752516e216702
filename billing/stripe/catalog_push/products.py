"""Stripe's products: one for each plan that has prices."""

from __future__ import annotations

from collections.abc import Iterator

from billing.catalog import Catalog, Plan
from billing.stripe import gateway
from billing.stripe.catalog_push.diff import (
    CATALOG_KEY,
    MANY,
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
    """The products of this catalog by id, those of plans that are gone from the file too."""
    wanted = {id_of(catalog, plan) for plan in _sold(catalog)}
    return {
        product["id"]: product
        for product in gateway.pages(PATH, at_most=MANY)
        if product["metadata"].get(CATALOG_KEY) == catalog.key or product["id"] in wanted
    }


def id_of(catalog: Catalog, plan: Plan) -> str:
    """Ours to choose at Stripe, so that a product is never made twice."""
    return f"tallyhouse_{catalog.key}_{plan.key}"


def changes(catalog: Catalog, there: dict[str, Doc]) -> Iterator[Change]:
    """What is to be done so that every plan with prices has its product."""
    for plan in _sold(catalog):
        id, wish = id_of(catalog, plan), _wish(plan, catalog)
        if id not in there:
            yield create("product", plan.key, PATH, {"id": id, **wish}, wish["name"])
        elif differs(wish, there[id]):
            yield update("change", "product", plan.key, f"{PATH}/{id}", wish, different(wish, there[id]))
        else:
            yield Change("unchanged", "product", plan.key)


def left_over(catalog: Catalog, there: dict[str, Doc]) -> Iterator[Change]:
    """Products of plans that the file does not have any more."""
    kept = {id_of(catalog, plan) for plan in _sold(catalog)}
    for id, product in there.items():
        if id not in kept and product["active"]:
            name = product["metadata"].get(PLAN_KEY) or id
            yield update("archive", "product", name, f"{PATH}/{id}", {"active": False}, product["name"])


def _sold(catalog: Catalog) -> list[Plan]:
    return [plan for plan in catalog.plans.values() if plan.prices]


def _wish(plan: Plan, catalog: Catalog) -> Doc:
    label = next((price.unit_label for price in plan.prices if price.unit_label), "")
    return {
        "name": f"{catalog.name} {plan.name}",
        "description": plan.summary or plan.name,
        "active": not plan.retired,
        "metadata": {CATALOG_KEY: catalog.key, PLAN_KEY: plan.key},
        **({"unit_label": label} if label else {}),
    }
