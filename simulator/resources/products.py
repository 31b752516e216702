"""Products: what is sold."""

from typing import TYPE_CHECKING

from simulator import events, lists, search
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("product", "prod_")

_TEXTS = ("name", "description", "statement_descriptor", "unit_label", "url", "tax_code")


def need(sim: "Simulator", name: str | None, *, param: str = "id", status: int = 404) -> Obj:
    """The product with this id, or Stripe's refusal."""
    found = sim.store.get("product", name)
    if found is None or found.get("deleted"):
        raise no_such("product", str(name), param=param, status=status)
    return found


@route("POST", "/v1/products")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/products, with `default_price_data` if given."""
    params = request.params
    product = make(sim, params, name=params.need("name"))
    if "default_price_data" in params:
        from simulator.resources import prices

        price = prices.make(sim, params.inner("default_price_data"), product=product["id"])
        with events.change(sim, product, "product.updated"):
            product["default_price"] = price["id"]
    return product


def make(sim: "Simulator", params: Params, *, name: str) -> Obj:
    """A new product from parameters; also behind `product_data` of prices and checkout."""
    wanted = params.text("id")
    if wanted and sim.store.get("product", wanted):
        raise invalid(f"Product already exists: {wanted}", param="id", code="resource_already_exists")
    now = sim.clock.now()
    product = new(
        "product",
        id=wanted or new_id("prod_", 14),
        active=params.flag("active", True),
        created=now,
        updated=now,
        type="service",
        name=name,
        metadata=params.metadata(),
    )
    _fill(product, params)
    return events.created(sim, product)


@route("GET", "/v1/products")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/products, by `active`, `ids`, `url`."""
    params = request.params
    ids = params.list("ids")

    def wanted(product: Obj) -> bool:
        if "active" in params and product["active"] != params.flag("active"):
            return False
        return not ids or product["id"] in ids

    return lists.page(sim, request, "product", where=wanted)


@route("GET", "/v1/products/search")
def find(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/products/search: by metadata and the fields docs.stripe.com/search names."""
    fields = ("active", "description", "name", "shippable", "url")
    return search.page(sim, request, "product", fields)


@route("GET", "/v1/products/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/products/{id}."""
    return need(sim, name)


@route("POST", "/v1/products/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/products/{id}."""
    product, params = need(sim, name), request.params
    with events.change(sim, product, "product.updated"):
        _fill(product, params)
        if "active" in params:
            product["active"] = params.flag("active")
        if "default_price" in params:
            product["default_price"] = params.text("default_price")
        product["metadata"] = params.metadata(product["metadata"])
        product["updated"] = sim.clock.now()
    return product


@route("DELETE", "/v1/products/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/products/{id}; refused while it has prices."""
    product = need(sim, name)
    if sim.store.find("price", "product", name):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    sim.store.remove("product", name)
    events.emit(sim, "product.deleted", product)
    return {"id": name, "object": "product", "deleted": True}


def _fill(product: Obj, params: Params) -> None:
    for key in _TEXTS:
        if key in params:
            product[key] = params.text(key)
    if "images" in params:
        product["images"] = params.list("images")
    if "marketing_features" in params:
        product["marketing_features"] = [
            {"name": each.text("name")} for each in params.each("marketing_features")
        ]
    if "shippable" in params:
        product["shippable"] = params.flag("shippable")
