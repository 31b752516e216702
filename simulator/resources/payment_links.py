"""Payment links: a checkout anybody can open, as an object; its page is not simulated."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.errors import missing_param, no_such
from simulator.resources import prices
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator


@route("POST", "/v1/payment_links")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/payment_links for prices that exist."""
    params = request.params
    bought = [
        prices.need(sim, item.need("price"), param=f"line_items[{at}][price]", status=400)
        for at, item in enumerate(params.each("line_items"))
    ]
    if not bought:
        raise missing_param("line_items")
    link = new(
        "payment_link",
        id=new_id("plink_"),
        active=True,
        allow_promotion_codes=params.flag("allow_promotion_codes"),
        currency=bought[0]["currency"],
        metadata=params.metadata(),
    )
    link["url"] = f"{sim.base_url}/payment-links/{link['id']}"
    link.pop("line_items", None)
    return events.created(sim, link)


@route("GET", "/v1/payment_links")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/payment_links."""
    return lists.page(sim, request, "payment_link")


@route("GET", "/v1/payment_links/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/payment_links/{id}."""
    return _need(sim, name)


@route("POST", "/v1/payment_links/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_links/{id}: active, promotion codes, metadata."""
    link, params = _need(sim, name), request.params
    with events.change(sim, link, "payment_link.updated"):
        for key in ("active", "allow_promotion_codes"):
            if key in params:
                link[key] = params.flag(key)
        link["metadata"] = params.metadata(link["metadata"])
    return link


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("payment_link", name)
    if found is None:
        raise no_such("payment_link", name, param="payment_link")
    return found
