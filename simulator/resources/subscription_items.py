"""Subscription items on their own: add one, change its quantity or price, remove it."""

from typing import TYPE_CHECKING

from simulator import lists
from simulator.billing_engine import items, updating
from simulator.errors import invalid
from simulator.nouns import noun
from simulator.params import Params
from simulator.resources import subscriptions
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("_item_home", found_by=("subscription",))
noun("subscription_item", "si_")

_PASSED_ON = ("proration_behavior", "proration_date", "payment_behavior", "off_session")
_OF_ITEM = ("price", "price_data", "quantity", "metadata")


@route("POST", "/v1/subscription_items")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/subscription_items."""
    params = request.params
    subscription = subscriptions.need(sim, params.need("subscription"), param="subscription", status=400)
    before = {item["id"] for item in subscription["items"]["data"]}
    _update(sim, subscription, params, {})
    return next(item for item in subscription["items"]["data"] if item["id"] not in before)


@route("GET", "/v1/subscription_items")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/subscription_items of a subscription."""
    subscription = subscriptions.need(
        sim, request.params.need("subscription"), param="subscription", status=400
    )
    return lists.of(subscription["items"]["data"], request.path, request)


@route("GET", "/v1/subscription_items/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/subscription_items/{id}."""
    return items.find(sim, name)[0]


@route("POST", "/v1/subscription_items/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/subscription_items/{id}."""
    _, subscription = items.find(sim, name)
    _update(sim, subscription, request.params, {"id": name})
    return items.find(sim, name)[0]


@route("DELETE", "/v1/subscription_items/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/subscription_items/{id}; the last one stays."""
    _, subscription = items.find(sim, name)
    if len(subscription["items"]["data"]) == 1:
        raise invalid(
            "A subscription must have at least one active plan. "
            "To cancel it, use the cancel subscription endpoint."
        )
    _update(sim, subscription, request.params, {"id": name, "deleted": "true"})
    return {"id": name, "object": "subscription_item", "deleted": True}


def _update(sim: "Simulator", subscription: Obj, params: Params, entry: Obj) -> None:
    entry = entry | {key: params.values[key] for key in _OF_ITEM if key in params}
    passed = {key: params.values[key] for key in _PASSED_ON if key in params}
    updating.update(sim, subscription, Params({"items": [entry], **passed}))
