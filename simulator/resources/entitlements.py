"""Entitlements: features attached to products, and which a customer has by what they subscribe to
(docs.stripe.com/billing/entitlements).
"""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import customers, products
from simulator.routing import Request, route
from simulator.shapes import Obj, empty_list, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("entitlements.active_entitlement", "ent_", found_by=("_.customer",))
noun("entitlements.feature", "feat_")
noun("product_feature", "prodft_", found_by=("_.product",))

_FEATURE = "entitlements.feature"
_ACTIVE = "entitlements.active_entitlement"
_ENTITLED = ("active", "trialing", "past_due")


@route("POST", "/v1/entitlements/features")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/entitlements/features; a lookup key is taken for ever."""
    params = request.params
    key = params.need("lookup_key")
    if any(one["lookup_key"] == key for one in sim.store.all(_FEATURE)):
        raise invalid(
            f"A feature with the lookup key `{key}` already exists.",
            param="lookup_key",
            code="resource_already_exists",
        )
    return sim.save(
        new(_FEATURE, active=True, lookup_key=key, metadata=params.metadata(), name=params.need("name"))
    )


@route("GET", "/v1/entitlements/features")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/entitlements/features, by lookup key; without those put away unless `archived`."""
    params = request.params
    key, archived = params.text("lookup_key"), params.flag("archived")
    return lists.page(
        sim,
        request,
        _FEATURE,
        where=lambda one: key in (None, one["lookup_key"]) and one["active"] != archived,
    )


@route("GET", "/v1/entitlements/features/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/entitlements/features/{id}."""
    return _need(sim, name)


@route("POST", "/v1/entitlements/features/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/entitlements/features/{id}: name, metadata, put away with `active=false`."""
    feature, params = _need(sim, name), request.params
    if "name" in params:
        feature["name"] = params.need("name")
    if "active" in params:
        feature["active"] = params.flag("active")
    feature["metadata"] = params.metadata(feature["metadata"])
    return sim.save(feature)


@route("POST", "/v1/products/{id}/features")
def attach(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/products/{id}/features: subscribers have it from their subscription's next change."""
    product = products.need(sim, name)
    feature = _need(sim, request.params.need("entitlement_feature"), param="entitlement_feature", status=400)
    if any(one["_"]["feature"] == feature["id"] for one in _attached(sim, name)):
        raise invalid("This feature is already attached to the product.", param="entitlement_feature")
    link = new("product_feature", entitlement_feature={})
    link["_"] = {"product": product["id"], "feature": feature["id"]}
    return _shown(sim, sim.save(link))


@route("GET", "/v1/products/{id}/features")
def index_of_product(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/products/{id}/features."""
    products.need(sim, name)
    return lists.of((_shown(sim, one) for one in reversed(_attached(sim, name))), request.path, request)


@route("GET", "/v1/products/{id}/features/{feature}")
def retrieve_of_product(sim: "Simulator", request: Request, name: str, feature: str) -> Obj:
    """GET /v1/products/{id}/features/{feature}."""
    return _shown(sim, _link(sim, name, feature))


@route("DELETE", "/v1/products/{id}/features/{feature}")
def detach(sim: "Simulator", request: Request, name: str, feature: str) -> Obj:
    """DELETE /v1/products/{id}/features/{feature}."""
    sim.store.remove("product_feature", _link(sim, name, feature)["id"])
    return {"id": feature, "object": "product_feature", "deleted": True}


@route("GET", "/v1/entitlements/active_entitlements")
def active(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/entitlements/active_entitlements of a customer."""
    customer = customers.need(sim, request.params.need("customer"), param="customer", status=400)
    return lists.page(sim, request, _ACTIVE, among=sim.store.find(_ACTIVE, "_.customer", customer["id"]))


@route("GET", "/v1/entitlements/active_entitlements/{id}")
def retrieve_active(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/entitlements/active_entitlements/{id}."""
    found = sim.store.get(_ACTIVE, name)
    if found is None:
        raise no_such(_ACTIVE, name)
    return found


@events.follows("customer.subscription.")
def refresh(sim: "Simulator", subscription: Obj) -> None:
    """After anything happened to a subscription: what its customer may do, and an event if that changed."""
    customer = subscription["customer"]
    before = {one["feature"]: one for one in sim.store.find(_ACTIVE, "_.customer", customer)}
    if not before and not sim.store.shelf("product_feature").rows:
        return
    now = _earned(sim, customer)
    if before.keys() == now.keys():
        return
    for feature in before.keys() - now.keys():
        sim.store.remove(_ACTIVE, before[feature]["id"])
    for feature in now.keys() - before.keys():
        gained = new(_ACTIVE, feature=feature, lookup_key=now[feature]["lookup_key"])
        gained["_"] = {"customer": customer}
        sim.save(gained)
    url = f"/v1/customer/{customer}/entitlements"
    summary = new("entitlements.active_entitlement_summary", customer=customer, entitlements=empty_list(url))
    summary["entitlements"]["data"] = sim.store.find(_ACTIVE, "_.customer", customer)
    old = {"entitlements": {**empty_list(url), "data": [_plain(one) for one in before.values()]}}
    events.emit(sim, "entitlements.active_entitlement_summary.updated", summary, old)


def _earned(sim: "Simulator", customer: str) -> dict[str, Obj]:
    found: dict[str, Obj] = {}
    for subscription in sim.store.find("subscription", "customer", customer):
        if subscription["status"] not in _ENTITLED:
            continue
        for item in subscription["items"]["data"]:
            price = sim.store.get("price", item["price"]) or {}
            for link in _attached(sim, price.get("product")):
                feature = sim.store.get(_FEATURE, link["_"]["feature"])
                if feature is not None:
                    found[feature["id"]] = feature
    return found


def _attached(sim: "Simulator", product: str | None) -> list[Obj]:
    return sim.store.find("product_feature", "_.product", product)


def _shown(sim: "Simulator", link: Obj) -> Obj:
    return {**link, "entitlement_feature": _need(sim, link["_"]["feature"])}


def _plain(entitlement: Obj) -> Obj:
    return {key: value for key, value in entitlement.items() if key != "_"}


def _link(sim: "Simulator", product: str, name: str) -> Obj:
    found = sim.store.get("product_feature", name)
    if found is None or found["_"]["product"] != product:
        raise no_such("product_feature", name)
    return found


def _need(sim: "Simulator", name: str, *, param: str = "id", status: int = 404) -> Obj:
    found = sim.store.get(_FEATURE, name)
    if found is None:
        raise no_such(_FEATURE, name, param=param, status=status)
    return found
