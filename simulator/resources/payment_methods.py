"""Payment methods: cards and SEPA bank accounts, attached to a customer or not."""

import hashlib
import time
from typing import TYPE_CHECKING, Any

from simulator import cards, events, lists
from simulator.errors import card as card_error
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("payment_method", "pm_", found_by=("customer",))

_NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def need(sim: "Simulator", name: str | None, *, param: str = "payment_method", status: int = 404) -> Obj:
    """The payment method with this id; a test token such as `pm_card_visa` becomes a new one."""
    found = sim.store.get("payment_method", name)
    if found is not None:
        return found
    card = cards.by_token(name or "")
    if card is None:
        raise no_such("payment_method", str(name), param=param, status=status)
    return make(sim, card)


def make(
    sim: "Simulator",
    card: cards.Card,
    *,
    exp_month: int = 12,
    exp_year: int = 2034,
    billing: Obj | None = None,
    metadata: dict[str, str] | None = None,
    now: int | None = None,
) -> Obj:
    """A new payment method for a test card or a test bank account."""
    method = new("payment_method", type=card.kind, created=sim.clock.now() if now is None else now)
    for other in [key for key, value in method.items() if value is None and key not in _KEPT]:
        del method[other]
    method |= {
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": _NO_ADDRESS,
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        }
        | (billing or {}),
        card.kind: _card(card, exp_month, exp_year) if card.kind == "card" else _account(card),
        "metadata": metadata or {},
        "_": {"number": card.number, "is_set_up": False},
    }
    return sim.save(method)


def typed(sim: "Simulator", given: dict[str, Any], *, customer: Obj, billing: Obj | None = None) -> Obj:
    """A card as somebody typed it on a hosted page, {number, exp_month, exp_year, cvc}; raises 402
    when it cannot be.
    """
    found = cards.by_number(str(given["number"]))
    month, year = int(given["exp_month"]), int(given["exp_year"])
    check_expiry(sim, month, year)
    return make(
        sim,
        found,
        exp_month=month,
        exp_year=year if year > 99 else 2000 + year,
        billing=billing or {"email": customer["email"], "name": customer["name"]},
        now=sim.clock.now(customer),
    )


def attach_to(sim: "Simulator", method: Obj, customer: Obj) -> Obj:
    """Saves a card for a customer; most cards that decline are refused already here, as at Stripe."""
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None or method["_"].get("was_detached"):
        raise invalid(
            "The payment method you provided has already been attached to a customer."
            if method["customer"]
            else "This PaymentMethod was previously used without being attached to a Customer or "
            "was detached from a Customer, and may not be used again.",
            param="payment_method",
        )
    card = cards.behind(method)
    if card.declines and not card.attaches:
        raise cards.decline(card)
    method["customer"] = customer["id"]
    if method["type"] == "card":
        method["card"]["checks"]["cvc_check"] = "pass"
    sim.save(method)
    events.emit(sim, "payment_method.attached", method)
    return method


@route("POST", "/v1/payment_methods")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/payment_methods for a card, by number or by `card[token]`, or for a SEPA bank account."""
    params = request.params
    if "payment_method" in params:
        return make(sim, cards.behind(need(sim, params.need("payment_method"))))
    if params.need("type") == "sepa_debit":
        return _debit(sim, params)
    if params.need("type") != "card":
        raise invalid(
            f"The payment method type `{params.text('type')}` is not simulated: use `card` or `sepa_debit`.",
            param="type",
        )
    given = params.inner("card")
    token = given.text("token")
    card = cards.by_token(token) if token else cards.by_number(given.need("number"))
    if card is None:
        raise no_such("token", str(token), param="card[token]", status=400)
    month, year = given.integer("exp_month", 12) or 12, given.integer("exp_year", 2034) or 2034
    check_expiry(sim, month, year)
    return make(
        sim,
        card,
        exp_month=month,
        exp_year=year if year > 99 else 2000 + year,
        billing=_billing(params.inner("billing_details")),
        metadata=params.metadata(),
    )


def check_expiry(sim: "Simulator", month: int, year: int) -> None:
    """Refuses a month that is not one and a year gone by, in Stripe's words."""
    today = time.gmtime(sim.clock.now())
    full = year if year > 99 else 2000 + year
    if not 1 <= month <= 12:
        raise card_error(
            "Your card's expiration month is invalid.", "invalid_expiry_month", param="exp_month"
        )
    if (full, month) < (today.tm_year, today.tm_mon):
        raise card_error("Your card's expiration year is invalid.", "invalid_expiry_year", param="exp_year")


@route("GET", "/v1/payment_methods")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/payment_methods, of a customer."""
    customer, kind = request.params.text("customer"), request.params.text("type")
    among = sim.store.find("payment_method", "customer", customer) if customer else []
    return lists.page(
        sim, request, "payment_method", among=among, where=lambda method: kind in (None, method["type"])
    )


@route("GET", "/v1/payment_methods/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/payment_methods/{id}."""
    return need(sim, name)


@route("POST", "/v1/payment_methods/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_methods/{id}: billing details, expiry, metadata."""
    method, params = need(sim, name), request.params
    with events.change(sim, method, "payment_method.updated"):
        given = params.inner("card")
        for key in ("exp_month", "exp_year"):
            if key in given:
                method["card"][key] = given.integer(key)
        method["billing_details"] |= _billing(params.inner("billing_details"))
        if "allow_redisplay" in params:
            method["allow_redisplay"] = params.text("allow_redisplay")
        method["metadata"] = params.metadata(method["metadata"])
    return method


@route("POST", "/v1/payment_methods/{id}/attach")
def attach(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_methods/{id}/attach."""
    from simulator.resources import customers

    customer = customers.need(sim, request.params.need("customer"), param="customer", status=400)
    return attach_to(sim, need(sim, name), customer)


@route("POST", "/v1/payment_methods/{id}/detach")
def detach(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_methods/{id}/detach: nobody's default any more."""
    method = need(sim, name)
    owner = method["customer"]
    if owner is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    customer = sim.store.get("customer", owner) or {}
    settings = customer.get("invoice_settings")
    if settings and settings["default_payment_method"] == name:
        with events.change(sim, customer, "customer.updated"):
            settings["default_payment_method"] = None
    for subscription in sim.store.find("subscription", "customer", owner):
        if subscription["default_payment_method"] == name:
            with events.change(sim, subscription, "customer.subscription.updated"):
                subscription["default_payment_method"] = None
    with events.change(sim, method, "payment_method.detached"):
        method["customer"] = None
        method["_"]["was_detached"] = True
    return method


def listed(sim: "Simulator", request: Request, customer: str) -> Obj:
    """The payment methods of a customer, for `/v1/customers/{id}/payment_methods`."""
    kind = request.params.text("type")
    among = sim.store.find("payment_method", "customer", customer)
    return lists.page(
        sim, request, "payment_method", among=among, where=lambda method: kind in (None, method["type"])
    )


def _debit(sim: "Simulator", params: Params) -> Obj:
    billing = params.inner("billing_details")
    for key in ("name", "email"):
        billing.need(key)
    account = cards.by_iban(params.inner("sepa_debit").need("iban"))
    return make(sim, account, billing=_billing(billing), metadata=params.metadata())


_KEPT = frozenset(("customer", "customer_account", "allow_redisplay", "metadata"))


def _card(card: cards.Card, exp_month: int, exp_year: int) -> Obj:
    checks = dict.fromkeys(("address_line1_check", "address_postal_code_check"))
    return {
        "brand": card.brand,
        "checks": {**checks, "cvc_check": "unchecked"},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year,
        # The same number has the same fingerprint, which is what one-trial-per-card rules rest on.
        "fingerprint": hashlib.sha256(card.number.encode()).hexdigest()[:16],
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _account(account: cards.Card) -> Obj:
    return {
        "bank_code": account.number[4:9],
        "branch_code": "",
        "country": account.country,
        "fingerprint": hashlib.sha256(account.number.encode()).hexdigest()[:16],
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": account.number[-4:],
    }


def _billing(params: Params) -> Obj:
    found: Obj = {key: params.text(key) for key in ("email", "name", "phone", "tax_id") if key in params}
    if "address" in params:
        found["address"] = _NO_ADDRESS | params.inner("address").values
    return found
