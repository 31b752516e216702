"""Checkout sessions: what a customer is offered on the hosted page, until paid or a day has passed."""

from typing import TYPE_CHECKING, Any

from simulator import agenda, events, lists, view
from simulator.billing_engine import basket, receipting, taxing, till
from simulator.billing_engine.terms import missing_payment_method
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.resources import customers
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("checkout.session", "cs_test_", found_by=("customer", "subscription", "payment_intent"))
noun("item", "li_")

OPEN_SECONDS = 24 * 3600
_COPIED = (
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "customer_creation",
    "locale",
    "return_url",
    "submit_type",
    "success_url",
)


def need(sim: "Simulator", name: str | None) -> Obj:
    """The session with this id, or Stripe's refusal."""
    found = sim.store.get("checkout.session", name)
    if found is None:
        raise no_such("checkout.session", str(name), param="session")
    return found


@route("POST", "/v1/checkout/sessions")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/checkout/sessions for `subscription`, `payment` or `setup`."""
    params = request.params
    mode = params.choice("mode", ("payment", "setup", "subscription"), "payment")
    customer = params.text("customer")
    if customer is not None:
        customers.need(sim, customer, param="customer", status=400)
        if "customer_email" in params:
            raise invalid(
                "You may only specify one of these parameters: customer, customer_email.", param="customer"
            )
    ui_mode = params.choice("ui_mode", ("hosted_page", "embedded_page", "elements", "form"), "hosted_page")
    if ui_mode == "hosted_page" and "success_url" not in params:
        raise invalid("Missing required param: success_url.", param="success_url", code="parameter_missing")
    now = sim.clock.now(customer)
    expires = params.integer("expires_at", now + OPEN_SECONDS) or 0
    if not now + 1800 <= expires <= now + OPEN_SECONDS + 60:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from Checkout "
            "Session creation.",
            param="expires_at",
        )
    session = _frame(params, mode, ui_mode, customer, now, expires)
    session["id"] = new_id("cs_test_", 58)
    bought = basket.read(sim, params, mode, params.text("currency"))
    session["url"] = f"{sim.base_url}/c/pay/{session['id']}" if ui_mode == "hosted_page" else None
    session["_"] = {
        "line_items": bought,
        "subscription_data": _subscription_data(sim, params),
        "promotion_code": None,
    }
    session["_"]["payment_intent_data"] = params.inner("payment_intent_data").values
    _discounts(sim, session, params, customer)
    till.total_up(sim, session)
    return sim.save(session)


@route("GET", "/v1/checkout/sessions")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/checkout/sessions, by customer, status, subscription, payment intent, e-mail."""
    params = request.params
    among = None
    for key in ("customer", "subscription", "payment_intent"):
        if key in params:
            among = sim.store.find("checkout.session", key, params.text(key))
            break
    status, email = params.text("status"), params.inner("customer_details").text("email")

    def wanted(session: Obj) -> bool:
        if status not in (None, session["status"]):
            return False
        return email is None or (session["customer_details"] or {}).get("email") == email

    return lists.page(sim, request, "checkout.session", among=among, where=wanted)


@route("GET", "/v1/checkout/sessions/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/checkout/sessions/{id}."""
    return need(sim, name)


@route("POST", "/v1/checkout/sessions/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/checkout/sessions/{id}: metadata."""
    session = need(sim, name)
    session["metadata"] = request.params.metadata(session["metadata"])
    return sim.save(session)


@route("GET", "/v1/checkout/sessions/{id}/line_items")
def line_items(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/checkout/sessions/{id}/line_items."""
    return lists.of(need(sim, name)["_"]["line_items"], request.path, request)


@route("POST", "/v1/checkout/sessions/{id}/expire")
def expire(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/checkout/sessions/{id}/expire."""
    session = need(sim, name)
    if session["status"] != "open":
        raise invalid(
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of {session['status']}."
        )
    _expire(sim, session)
    return session


@view.grows("checkout.session", "line_items")
def _grow_line_items(sim: "Simulator", session: Obj) -> Any:
    return lists.of(session["_"]["line_items"], f"/v1/checkout/sessions/{session['id']}/line_items")


@view.grows("checkout.session", "total_details.breakdown")
def _grow_breakdown(sim: "Simulator", session: Obj) -> Any:
    subscription = sim.store.get("subscription", session["subscription"])
    names = sim.store.find("discount", "subscription", subscription["id"]) if subscription else []
    taken = (session["total_details"] or {}).get("amount_discount", 0)
    return {"discounts": [{"amount": taken, "discount": found} for found in names[:1]], "taxes": []}


def _frame(params: Params, mode: str, ui_mode: str, customer: str | None, now: int, expires: int) -> Obj:
    collects = params.choice("payment_method_collection", ("always", "if_required"), "always")
    tax = params.inner("automatic_tax").flag("enabled")
    session = new(
        "checkout.session",
        adaptive_pricing={"enabled": False},
        allow_promotion_codes=params.flag("allow_promotion_codes")
        if "allow_promotion_codes" in params
        else None,
        automatic_tax={
            "enabled": tax,
            "liability": {"type": "self"} if tax else None,
            "provider": "stripe" if tax else None,
            "status": "complete" if tax else None,
        },
        created=now,
        currency=params.text("currency") or ("usd" if mode == "setup" else None),
        customer=customer,
        customer_email=params.text("customer_email"),
        expires_at=expires,
        invoice_creation=receipting.asked(params) if mode == "payment" else None,
        metadata=params.metadata(),
        mode=mode,
        payment_method_collection=collects if mode == "subscription" else None,
        payment_method_options={"card": {"request_three_d_secure": "automatic"}},
        payment_method_types=params.list("payment_method_types") or ["card"],
        payment_status="no_payment_required" if mode == "setup" else "unpaid",
        phone_number_collection={"enabled": params.inner("phone_number_collection").flag("enabled")},
        status="open",
        ui_mode=ui_mode,
    )
    for key in _COPIED:
        if key in params:
            session[key] = params.text(key)
    if "consent_collection" in params:
        asked = params.inner("consent_collection")
        session["consent_collection"] = {
            "payment_method_reuse_agreement": None,
            "promotions": asked.text("promotions") or "none",
            "terms_of_service": asked.text("terms_of_service") or "none",
        }
    if "saved_payment_method_options" in params:
        saved = params.inner("saved_payment_method_options")
        session["saved_payment_method_options"] = {
            "allow_redisplay_filters": saved.list("allow_redisplay_filters") or ["always"],
            "payment_method_remove": saved.text("payment_method_remove") or "disabled",
            "payment_method_save": saved.text("payment_method_save"),
        }
    if "tax_id_collection" in params:
        enabled = params.inner("tax_id_collection").flag("enabled")
        session["tax_id_collection"] = {"enabled": enabled, "required": "never"}
    if params.text("customer_email") or customer:
        session["customer_details"] = _details(params.text("customer_email"))
    return session


def _details(email: str | None) -> Obj:
    nothing = dict.fromkeys(("address", "business_name", "individual_name", "name", "phone", "tax_ids"))
    return {**nothing, "email": email, "tax_exempt": "none"}


def _subscription_data(sim: "Simulator", params: Params) -> Obj:
    data = params.inner("subscription_data")
    days = data.integer("trial_period_days")
    if days is not None and not 1 <= days <= 730:
        raise invalid("This value must be between 1 and 730.", param="subscription_data[trial_period_days]")
    return {
        "trial_days": days,
        "trial_end": data.integer("trial_end"),
        "metadata": data.metadata(),
        "description": data.text("description"),
        "missing_payment_method": missing_payment_method(data),
        "billing_mode": data.inner("billing_mode").text("type") or "flexible",
        "default_tax_rates": taxing.asked_for(sim, data, "default_tax_rates"),
    }


def _discounts(sim: "Simulator", session: Obj, params: Params, customer: str | None) -> None:
    session["currency"] = session["currency"] or next(
        (x["currency"] for x in session["_"]["line_items"]), None
    )
    if "discounts" not in params:
        return
    if "allow_promotion_codes" in params:
        raise invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            param="discounts",
        )
    found = []
    for given in params.each("discounts"):
        for key, kind in (("coupon", "coupon"), ("promotion_code", "promotion_code")):
            if key in given and sim.store.get(kind, given.text(key)) is None:
                raise no_such(kind, given.need(key), param=given.name(key), status=400)
        found.append({"coupon": given.text("coupon"), "promotion_code": given.text("promotion_code")})
    session["discounts"] = found


def _expire(sim: "Simulator", session: Obj) -> None:
    session["status"] = "expired"
    session["url"] = None
    sim.save(session)
    events.emit(sim, "checkout.session.expired", session)


def _when(sim: "Simulator", session: Obj) -> int | None:
    return int(session["expires_at"]) if session["status"] == "open" else None


agenda.duty("checkout.session", _when, _expire)
