"""Stripe's meters: one for each metered feature, found by its event name."""

from __future__ import annotations

from dataclasses import dataclass, field

from billing.catalog import Catalog, Feature
from billing.stripe import gateway
from billing.stripe.catalog_push.diff import MANY, CannotPush, Change, Doc, post_once, update

PATH = "/v1/billing/meters"


@dataclass(frozen=True)
class Meters:
    """The changes, and the ids by event name; a meter that is only now made adds its id when it is."""

    changes: list[Change] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)


def changes(catalog: Catalog) -> Meters:
    """What is to be done so that every metered feature has its meter."""
    meters = Meters()
    features = [feature for feature in catalog.features.values() if feature.meter_event_name]
    there = {meter["event_name"]: meter for meter in gateway.pages(PATH, at_most=MANY)} if features else {}
    for feature in features:
        name = feature.meter_event_name or ""
        meters.changes.append(_change(feature, name, there.get(name), meters.ids))
    return meters


def _change(feature: Feature, name: str, there: Doc | None, ids: dict[str, str]) -> Change:
    wish = {"display_name": feature.name, "event_name": name, **_counting()}
    if there is None:

        def create() -> None:
            ids[name] = post_once(PATH, wish)["id"]

        return Change("create", "meter", name, f"counts {feature.unit_many}", create)
    _insist_on_counting(feature, there)
    ids[name] = there["id"]
    path = f"{PATH}/{there['id']}"
    if there["status"] == "inactive":
        return update("change", "meter", name, f"{path}/reactivate", {}, "counts again")
    if there["display_name"] != feature.name:
        detail = f"{there['display_name']} → {feature.name}"
        return update("change", "meter", name, path, {"display_name": feature.name}, detail)
    return Change("unchanged", "meter", name)


def _counting() -> Doc:
    """How we report: so many units of this customer (https://docs.stripe.com/api/billing/meter/create)."""
    return {
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }


def _insist_on_counting(feature: Feature, there: Doc) -> None:
    for key, value in _counting().items():
        if {name: there[key].get(name) for name in value} != value:
            raise CannotPush(
                f"Stripe's meter {there['event_name']!r} ({there['id']}) counts in another way ({key}), "
                f"which cannot be changed. Give features.{feature.key}.meter_event_name another name, or "
                "deactivate that meter at Stripe."
            )
