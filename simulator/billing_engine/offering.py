"""What a quote offers: read, added up as the invoice on acceptance will be, and begun."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from simulator.billing_engine import basket, discounts, items, money, periods, scheduling, subscribing, taxing
from simulator.billing_engine.terms import Terms
from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.resources import prices
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

_COPIED = (
    "automatic_tax",
    "collection_method",
    "currency",
    "default_tax_rates",
    "description",
    "discounts",
    "footer",
    "header",
    "invoice_settings",
    "subscription_data",
)


def fill(sim: "Simulator", quote: Obj, params: Params) -> None:
    """What a request says about a draft, added up anew; raises 400 for what cannot be offered."""
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
    if "effective_date" in data:
        given = data.text("effective_date")
        moment = None if given == "current_period_end" else data.integer("effective_date")
        if given == "current_period_end" or (moment is not None and moment <= sim.clock.now(quote)):
            raise invalid(
                "`effective_date` must be a moment in the future.", param=data.name("effective_date")
            )
        quote["subscription_data"]["effective_date"] = moment
    if "default_tax_rates" in params:
        found = taxing.asked_for(sim, params, "default_tax_rates")
        quote["default_tax_rates"] = [rate["id"] for rate in found]
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


def copy(quote: Obj, source: Obj, *, is_revision: bool) -> None:
    """Makes a draft offer what another quote offers."""
    quote |= {key: deepcopy(source[key]) for key in _COPIED}
    quote["_"] = deepcopy(source["_"])
    quote["from_quote"] = {"is_revision": is_revision, "quote": source["id"]}


def begin(sim: "Simulator", quote: Obj, customer: Obj) -> None:
    """The subscription an accepted quote describes, or its schedule when it begins on a later day."""
    if int(quote["subscription_data"]["effective_date"] or 0) > sim.clock.now(customer):
        _schedule(sim, quote, customer)
        return
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
            default_tax_rates=_rates(sim, quote),
            currency=quote["currency"],
        ),
    )
    quote |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}


def _schedule(sim: "Simulator", quote: Obj, customer: Obj) -> None:
    """Accepted now, begun on its `effective_date`."""
    data = quote["subscription_data"]
    bought = [
        {"price": one["price"], "tax_rates": [rate["id"] for rate in one["_"]["tax_rates"]]}
        | ({"quantity": str(one["quantity"])} if one["quantity"] is not None else {})
        for one in quote["_"]["line_items"]
    ]
    phase: dict[str, Any] = {
        "items": bought,
        "metadata": dict(data["metadata"]),
        "default_tax_rates": list(quote["default_tax_rates"] or []),
        "discounts": [
            {key: value for key, value in each.items() if value} for each in quote["_"]["discounts"]
        ],
        "automatic_tax": {"enabled": "true" if quote["automatic_tax"]["enabled"] else "false"},
        "collection_method": quote["collection_method"],
    }
    days = quote["invoice_settings"]["days_until_due"]
    if days is not None:
        phase["invoice_settings"] = {"days_until_due": str(days)}
    if data["trial_period_days"]:
        phase["trial_end"] = str(data["effective_date"] + data["trial_period_days"] * periods.DAY)
    asked = {"start_date": str(data["effective_date"]), "end_behavior": "release", "phases": [phase]}
    schedule = scheduling.begin(sim, customer, Params(asked))
    quote["subscription_schedule"] = schedule["id"]


def _total_up(sim: "Simulator", quote: Obj) -> None:
    """What is offered, by the same arithmetic as the invoice on acceptance."""
    bought = quote["_"]["line_items"]
    if not bought:
        return
    parts = [int(one["amount_subtotal"]) for one in bought]
    taken = _taken(sim, quote, parts)
    customer = sim.store.get("customer", quote["customer"]) or {}
    exempt = customer.get("tax_exempt")
    taxes = [
        taxing.automatic(sim, part - off, prices.need(sim, one["price"]), exempt)
        if quote["automatic_tax"]["enabled"]
        else taxing.added(sim, part - off, one["_"]["tax_rates"] or _rates(sim, quote), exempt)
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


def _rates(sim: "Simulator", quote: Obj) -> list[Obj]:
    return [rate for name in quote["default_tax_rates"] or [] if (rate := sim.store.get("tax_rate", name))]
