"""Prices: an amount, a currency, and how often; found again by `lookup_key`."""

from typing import TYPE_CHECKING, Any

from simulator import events, lists, search, view
from simulator.billing_engine import asking
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.resources import products
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("price", "price_", found_by=("product", "lookup_key"))

_INTERVALS = ("day", "week", "month", "year")


def need(sim: "Simulator", name: str | None, *, param: str = "id", status: int = 404) -> Obj:
    """The price with this id, or Stripe's refusal."""
    found = sim.store.get("price", name)
    if found is None:
        raise no_such("price", str(name), param=param, status=status)
    return found


@route("POST", "/v1/prices")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/prices."""
    params = request.params
    if ("product" in params) == ("product_data" in params):
        raise invalid(
            "You must specify either `product` or `product_data` when creating a price.", param="product"
        )
    if "product" in params:
        product = products.need(sim, params.need("product"), param="product", status=400)
    else:
        data = params.inner("product_data")
        product = products.make(sim, data, name=data.need("name"))
    return make(sim, params, product=product["id"])


def make(sim: "Simulator", params: Params, *, product: str) -> Obj:
    """A new price of a product; also behind `price_data`."""
    currency = params.need("currency").lower()
    recurring = _recurring(sim, params.inner("recurring")) if "recurring" in params else None
    price = new(
        "price",
        active=params.flag("active", True),
        billing_scheme=params.choice("billing_scheme", ("per_unit", "tiered"), "per_unit"),
        created=sim.clock.now(),
        currency=currency,
        metadata=params.metadata(),
        nickname=params.text("nickname"),
        product=product,
        recurring=recurring,
        type="recurring" if recurring else "one_time",
    )
    is_tiered = price["billing_scheme"] == "tiered"
    if is_tiered:
        price["tiers_mode"] = params.need("tiers_mode")
    asked = asking.terms(params, is_tiered=is_tiered)
    price["_"] = {
        "tiers": asked.pop("tiers"),
        "currencies": asking.options(params, own=currency, is_tiered=is_tiered),
    }
    price |= asked
    if "transform_quantity" in params:
        packs = params.inner("transform_quantity")
        price["transform_quantity"] = {
            "divide_by": packs.integer("divide_by"),
            "round": packs.choice("round", ("up", "down"), "up"),
        }
    _take_lookup_key(sim, price, params)
    return events.created(sim, price)


@route("GET", "/v1/prices")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/prices, by `lookup_keys`, `product`, `active`, `type`, `currency`, `recurring`."""
    params = request.params
    keys = params.list("lookup_keys")
    among = None
    if "product" in params:
        among = sim.store.find("price", "product", params.text("product"))
    elif keys:
        among = [price for key in keys for price in sim.store.find("price", "lookup_key", key)]
    recurring = params.inner("recurring")

    def wanted(price: Obj) -> bool:
        if keys and price["lookup_key"] not in keys:
            return False
        if "active" in params and price["active"] != params.flag("active"):
            return False
        if any(key in params and price[key] != params.text(key) for key in ("type", "currency")):
            return False
        return all((price["recurring"] or {}).get(key) == recurring.text(key) for key in recurring)

    return lists.page(sim, request, "price", among=among, where=wanted)


@route("GET", "/v1/prices/search")
def find(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/prices/search: by metadata and the fields docs.stripe.com/search names."""
    fields = ("active", "currency", "lookup_key", "product", "type")
    return search.page(sim, request, "price", fields)


@route("GET", "/v1/prices/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/prices/{id}."""
    return need(sim, name)


@route("POST", "/v1/prices/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/prices/{id}: what it costs never changes, but it may be sold in more currencies."""
    price, params = need(sim, name), request.params
    with events.change(sim, price, "price.updated"):
        if "active" in params:
            price["active"] = params.flag("active")
        if "nickname" in params:
            price["nickname"] = params.text("nickname")
        if "tax_behavior" in params:
            price["tax_behavior"] = params.text("tax_behavior")
        if "currency_options" in params:
            is_tiered = price["billing_scheme"] == "tiered"
            more = asking.options(params, own=price["currency"], is_tiered=is_tiered)
            price["_"]["currencies"] = price["_"].get("currencies", {}) | more
        price["metadata"] = params.metadata(price["metadata"])
        _take_lookup_key(sim, price, params)
    return price


@view.grows("price", "tiers")
def _grow_tiers(sim: "Simulator", price: Obj) -> Any:
    return (price.get("_") or {}).get("tiers")


@view.grows("price", "currency_options")
def _grow_currencies(sim: "Simulator", price: Obj) -> Any:
    return asking.shown(price)


def _recurring(sim: "Simulator", params: Params) -> Obj:
    params.need("interval")
    usage_type = params.choice("usage_type", ("licensed", "metered"), "licensed")
    meter = params.text("meter")
    if usage_type == "metered" and meter is None:
        raise invalid(
            "Metered prices must be backed by meters: set recurring[meter].", param="recurring[meter]"
        )
    if meter is not None and sim.store.get("billing.meter", meter) is None:
        raise no_such("meter", meter, param="recurring[meter]", status=400)
    return {
        "interval": params.choice("interval", _INTERVALS, "month"),
        "interval_count": params.integer("interval_count", 1),
        "meter": meter,
        "trial_period_days": params.integer("trial_period_days"),
        "usage_type": usage_type,
    }


def _take_lookup_key(sim: "Simulator", price: Obj, params: Params) -> None:
    if "lookup_key" not in params:
        return
    key = params.text("lookup_key")
    for other in sim.store.find("price", "lookup_key", key):
        if other["id"] == price["id"]:
            continue
        if not params.flag("transfer_lookup_key"):
            raise invalid(
                f"A price (`{other['id']}`) already uses that lookup key: {key}.",
                param="lookup_key",
                code="resource_already_exists",
            )
        with events.change(sim, other, "price.updated"):
            other["lookup_key"] = None
    price["lookup_key"] = key
