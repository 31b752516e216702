"""Payment links: a checkout anybody can open; each visit is a session of its own
(docs.stripe.com/payment-links).
"""

from typing import TYPE_CHECKING, Any

from simulator import events, lists, view
from simulator.billing_engine import basket
from simulator.errors import invalid, missing_param, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.resources import checkout_sessions
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("payment_link", "plink_")

# What a link says about each checkout it opens.
_PASSED_ON = (
    "allow_promotion_codes",
    "automatic_tax",
    "billing_address_collection",
    "consent_collection",
    "currency",
    "customer_creation",
    "line_items",
    "payment_intent_data",
    "payment_method_collection",
    "payment_method_types",
    "phone_number_collection",
    "submit_type",
    "subscription_data",
    "tax_id_collection",
)


@route("POST", "/v1/payment_links")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/payment_links for prices that can be sold together."""
    params = request.params
    if not params.each("line_items"):
        raise missing_param("line_items")
    mode = _mode(sim, params)
    bought = basket.read(sim, params, mode, params.text("currency"))
    link = new(
        "payment_link",
        id=new_id("plink_"),
        active=True,
        allow_promotion_codes=params.flag("allow_promotion_codes"),
        currency=bought[0]["currency"],
        inactive_message=params.text("inactive_message"),
        metadata=params.metadata(),
    )
    link["url"] = f"{sim.base_url}/payment-links/{link['id']}"
    link.pop("line_items", None)
    link["_"] = {
        "line_items": bought,
        "checkout": {key: params.values[key] for key in _PASSED_ON if key in params} | {"mode": mode},
    }
    _fill(link, params)
    return events.created(sim, link)


@route("GET", "/v1/payment_links")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/payment_links, by `active`."""
    params = request.params
    return lists.page(
        sim,
        request,
        "payment_link",
        where=lambda one: "active" not in params or one["active"] == params.flag("active"),
    )


@route("GET", "/v1/payment_links/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/payment_links/{id}."""
    return need(sim, name)


@route("POST", "/v1/payment_links/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_links/{id}: active, promotion codes, what comes after, metadata."""
    link, params = need(sim, name), request.params
    with events.change(sim, link, "payment_link.updated"):
        for key in ("active", "allow_promotion_codes"):
            if key in params:
                link[key] = params.flag(key)
        if "allow_promotion_codes" in params:
            link["_"]["checkout"]["allow_promotion_codes"] = params.text("allow_promotion_codes")
        if "inactive_message" in params:
            link["inactive_message"] = params.text("inactive_message")
        _fill(link, params)
        link["metadata"] = params.metadata(link["metadata"])
    return link


@route("GET", "/v1/payment_links/{id}/line_items")
def line_items(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/payment_links/{id}/line_items."""
    return lists.of(need(sim, name)["_"]["line_items"], request.path, request)


@view.grows("payment_link", "line_items")
def _grow_line_items(sim: "Simulator", link: Obj) -> Any:
    return lists.of(link["_"]["line_items"], f"/v1/payment_links/{link['id']}/line_items")


def need(sim: "Simulator", name: str) -> Obj:
    """The link with this id, or Stripe's refusal."""
    found = sim.store.get("payment_link", name)
    if found is None:
        raise no_such("payment_link", name, param="payment_link")
    return found


def follow(sim: "Simulator", name: str, *, email: str | None = None, reference: str | None = None) -> Obj:
    """Somebody opens the link: a new checkout session, whose page they are to be led to.

    `email` and `reference` are what the link's URL may carry as `prefilled_email` and `client_reference_id`
    (docs.stripe.com/payment-links/url-parameters). Raises 404 for no such link, 400 for one switched off.
    """
    link = need(sim, name)
    if not link["active"]:
        raise invalid(link["inactive_message"] or "This link is no longer active.", param="payment_link")
    elsewhere = link["after_completion"]["redirect"] or {}
    asked: dict[str, Any] = link["_"]["checkout"] | {
        "metadata": dict(link["metadata"]),
        "success_url": elsewhere.get("url") or f"{link['url']}/thanks",
    }
    asked |= {"customer_email": email} if email else {}
    asked |= {"client_reference_id": reference} if reference else {}
    session = checkout_sessions.create(sim, Request("POST", "/v1/checkout/sessions", Params(asked)))
    session["payment_link"] = link["id"]
    return sim.save(session)


def _mode(sim: "Simulator", params: Params) -> str:
    for given in params.each("line_items"):
        price = sim.store.get("price", given.text("price"))
        recurs = price["recurring"] if price else given.inner("price_data").inner("recurring").values
        if recurs:
            return "subscription"
    return "payment"


def _fill(link: Obj, params: Params) -> None:
    if "after_completion" not in params:
        return
    given = params.inner("after_completion")
    kind = given.choice("type", ("hosted_confirmation", "redirect"), "hosted_confirmation")
    message = given.inner("hosted_confirmation").text("custom_message")
    link["after_completion"] = {
        "hosted_confirmation": {"custom_message": message} if kind == "hosted_confirmation" else None,
        "redirect": {"url": given.inner("redirect").need("url")} if kind == "redirect" else None,
        "type": kind,
    }
