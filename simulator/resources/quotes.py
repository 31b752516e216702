"""Quotes: an offer written down, finalized, and turned into a subscription when it is accepted
(docs.stripe.com/api/quotes), as far as an enterprise offer needs them.
"""

from typing import TYPE_CHECKING, Any

from simulator import agenda, events, lists, view
from simulator.billing_engine import basket, discounts, items, money, periods, subscribing, taxing
from simulator.billing_engine.terms import Terms
from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.resources import customers, prices
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

_OPEN_DAYS = 30


@route("POST", "/v1/quotes")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/quotes: a draft."""
    params = request.params
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    now = sim.clock.now(customer)
    quote = new(
        "quote",
        created=now,
        customer=customer["id"],
        default_tax_rates=[],
        expires_at=params.integer("expires_at") or now + _OPEN_DAYS * periods.DAY,
        metadata=params.metadata(),
        status="draft",
        test_clock=customer["test_clock"],
    )
    quote["invoice_settings"]["issuer"] = {"type": "self"}
    quote["subscription_data"] |= {
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"}
    }
    quote.pop("line_items")
    quote["_"] = {"line_items": [], "discounts": []}
    _fill(sim, quote, params)
    return events.created(sim, quote)


@route("GET", "/v1/quotes")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/quotes, by customer and status."""
    customer, status = request.params.text("customer"), request.params.text("status")
    among = sim.store.find("quote", "customer", customer) if customer else None
    return lists.page(sim, request, "quote", among=among, where=lambda one: status in (None, one["status"]))


@route("GET", "/v1/quotes/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/quotes/{id}."""
    return _need(sim, name)


@route("POST", "/v1/quotes/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/quotes/{id}: anything while a draft, then metadata and the last day."""
    quote, params = _need(sim, name), request.params
    if quote["status"] not in ("draft", "open"):
        raise _wrong(quote, "updated")
    if quote["status"] == "open" and set(params) - {"metadata", "expires_at", "expand"}:
        raise _wrong(quote, "updated")
    quote["metadata"] = params.metadata(quote["metadata"])
    quote["expires_at"] = params.integer("expires_at", quote["expires_at"])
    if quote["status"] == "draft":
        _fill(sim, quote, params)
    return sim.save(quote)


@route("POST", "/v1/quotes/{id}/finalize")
def finalize(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/quotes/{id}/finalize: from now on it can be accepted."""
    quote = _need(sim, name)
    if quote["status"] != "draft":
        raise _wrong(quote, "finalized")
    if not quote["_"]["line_items"]:
        raise invalid("A quote needs line items before it can be finalized.", param="line_items")
    count = sum(1 for other in sim.store.all("quote") if other["number"]) + 1
    quote |= {"status": "open", "number": f"QT-{count:06d}"}
    quote["expires_at"] = request.params.integer("expires_at", quote["expires_at"])
    quote["status_transitions"]["finalized_at"] = sim.clock.now(quote)
    sim.save(quote)
    events.emit(sim, "quote.finalized", quote)
    return quote


@route("POST", "/v1/quotes/{id}/accept")
def accept(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/quotes/{id}/accept: the subscription begins, billed as the quote says."""
    quote = _need(sim, name)
    if quote["status"] != "open":
        raise _wrong(quote, "accepted")
    customer = customers.need(sim, quote["customer"], param="customer", status=400)
    data, days = quote["subscription_data"], quote["subscription_data"]["trial_period_days"]
    now = sim.clock.now(customer)
    bought = [
        items.Wanted(prices.need(sim, one["price"]), one["quantity"], tax_rates=one["_"]["tax_rates"])
        for one in quote["_"]["line_items"]
    ]
    found = [discounts.redeem(sim, customer=customer["id"], **each)["id"] for each in quote["_"]["discounts"]]
    subscription = subscribing.begin(
        sim,
        customer,
        Terms(
            wanted=bought,
            trial_end=now + days * periods.DAY if days else None,
            behavior="default_incomplete"
            if customer["invoice_settings"]["default_payment_method"] is None
            else "allow_incomplete",
            collection_method=quote["collection_method"],
            days_until_due=quote["invoice_settings"]["days_until_due"],
            metadata=dict(data["metadata"]),
            description=data["description"],
            discounts=found,
            automatic_tax=quote["automatic_tax"]["enabled"],
        ),
    )
    quote |= {
        "status": "accepted",
        "subscription": subscription["id"],
        "invoice": subscription["latest_invoice"],
    }
    quote["status_transitions"]["accepted_at"] = now
    sim.save(quote)
    events.emit(sim, "quote.accepted", quote)
    return quote


@route("POST", "/v1/quotes/{id}/cancel")
def cancel(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/quotes/{id}/cancel."""
    quote = _need(sim, name)
    if quote["status"] not in ("draft", "open"):
        raise _wrong(quote, "canceled")
    return _cancel(sim, quote)


@route("GET", "/v1/quotes/{id}/line_items")
def list_line_items(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/quotes/{id}/line_items."""
    return lists.of(_need(sim, name)["_"]["line_items"], request.path, request)


@route("GET", "/v1/quotes/{id}/computed_upfront_line_items")
def list_upfront(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/quotes/{id}/computed_upfront_line_items: what is due on acceptance."""
    return lists.of(_need(sim, name)["_"]["line_items"], request.path, request)


@view.grows("quote", "line_items")
def _grow_line_items(sim: "Simulator", quote: Obj) -> Any:
    return lists.of(quote["_"]["line_items"], f"/v1/quotes/{quote['id']}/line_items")


def _fill(sim: "Simulator", quote: Obj, params: Params) -> None:
    for key in ("description", "footer", "header"):
        if key in params:
            quote[key] = params.text(key)
    if "collection_method" in params:
        quote["collection_method"] = params.choice(
            "collection_method", ("charge_automatically", "send_invoice"), "charge_automatically"
        )
    days = params.inner("invoice_settings").integer("days_until_due")
    if days is not None:
        quote["invoice_settings"]["days_until_due"] = days
    if "automatic_tax" in params:
        is_on = params.inner("automatic_tax").flag("enabled")
        quote["automatic_tax"] = {
            "enabled": is_on,
            "liability": {"type": "self"} if is_on else None,
            "provider": "stripe" if is_on else None,
            "status": "complete" if is_on else None,
        }
    data = params.inner("subscription_data")
    if "description" in data:
        quote["subscription_data"]["description"] = data.text("description")
    quote["subscription_data"]["trial_period_days"] = data.integer(
        "trial_period_days", quote["subscription_data"]["trial_period_days"]
    )
    quote["subscription_data"]["metadata"] = data.metadata(quote["subscription_data"]["metadata"])
    if "line_items" in params:
        quote["_"]["line_items"] = basket.read(sim, params, "subscription")
    if "discounts" in params:
        quote["_"]["discounts"] = [
            {"coupon": one.text("coupon"), "promotion_code": one.text("promotion_code")}
            for one in params.each("discounts")
        ]
    if quote["collection_method"] == "send_invoice" and quote["invoice_settings"]["days_until_due"] is None:
        quote["invoice_settings"]["days_until_due"] = 30
    _total_up(sim, quote)


def _total_up(sim: "Simulator", quote: Obj) -> None:
    """What is offered, by the same arithmetic as the invoice on acceptance."""
    bought = quote["_"]["line_items"]
    if not bought:
        return
    parts = [int(one["amount_subtotal"]) for one in bought]
    taken = _taken(sim, quote, parts)
    customer = sim.store.get("customer", quote["customer"]) or {}
    taxes = [
        taxing.automatic(sim, part - off, prices.need(sim, one["price"]), customer.get("tax_exempt"))
        if quote["automatic_tax"]["enabled"]
        else 0
        for one, part, off in zip(bought, parts, taken, strict=True)
    ]
    for one, part, off, tax in zip(bought, parts, taken, taxes, strict=True):
        one |= {"amount_discount": off, "amount_tax": tax, "amount_total": part - off + tax}
    sums = {
        "amount_subtotal": sum(parts),
        "amount_total": sum(parts) - sum(taken) + sum(taxes),
    }
    details = {
        "amount_discount": sum(taken),
        "amount_shipping": 0,
        "amount_tax": sum(taxes),
    }
    rhythms = [prices.need(sim, one["price"])["recurring"] for one in bought]
    recurring = next(rhythm for rhythm in rhythms if rhythm)
    quote |= {**sums, "currency": bought[0]["currency"], "total_details": dict(details)}
    quote["computed"] = {
        "recurring": {
            **sums,
            "interval": recurring["interval"],
            "interval_count": recurring["interval_count"],
            "total_details": dict(details),
        },
        "upfront": {**sums, "total_details": dict(details)},
    }


def _taken(sim: "Simulator", quote: Obj, parts: list[int]) -> list[int]:
    for each in quote["_"]["discounts"]:
        code = sim.store.get("promotion_code", each["promotion_code"])
        name = code["promotion"]["coupon"] if code else each["coupon"]
        coupon = sim.store.get("coupon", name)
        if coupon is None:
            raise no_such("coupon", str(name), param="discounts[0][coupon]", status=400)
        if coupon["percent_off"] is not None:
            return [money.share(part, round(coupon["percent_off"] * 100), 10_000) for part in parts]
        return money.spread(min(coupon["amount_off"], sum(parts)), parts)
    return [0] * len(parts)


def _cancel(sim: "Simulator", quote: Obj) -> Obj:
    quote["status"] = "canceled"
    quote["status_transitions"]["canceled_at"] = sim.clock.now(quote)
    sim.save(quote)
    events.emit(sim, "quote.canceled", quote)
    return quote


def _wrong(quote: Obj, act: str) -> Exception:
    return invalid(f"This quote cannot be {act} because it is {quote['status']}.")


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("quote", name)
    if found is None:
        raise no_such("quote", name, param="quote")
    return found


def _when(sim: "Simulator", quote: Obj) -> int | None:
    return int(quote["expires_at"]) if quote["status"] in ("draft", "open") else None


def _expire(sim: "Simulator", quote: Obj) -> None:
    _cancel(sim, quote)


agenda.duty("quote", _when, _expire)
