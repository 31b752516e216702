"""The customer portal: configurations, and sessions that open its page for one customer."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.resources import customers, subscriptions
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("billing_portal.configuration", "bpc_")
noun("billing_portal.session", "bps_")

_REASONS = [
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "low_quality",
    "other",
]


@route("POST", "/v1/billing_portal/configurations")
def create_configuration(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/billing_portal/configurations."""
    configuration = _configuration(sim, is_default=False)
    features = configuration["features"]
    # Unlike in the default configuration, what is not asked for is off.
    for feature in features.values():
        feature["enabled"] = False
    features["customer_update"]["allowed_updates"] = []
    features["subscription_cancel"]["cancellation_reason"]["enabled"] = False
    _fill(configuration, request.params)
    return events.created(sim, configuration)


@route("GET", "/v1/billing_portal/configurations")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/billing_portal/configurations, by `active`, `is_default`."""
    params = request.params

    def wanted(configuration: Obj) -> bool:
        return all(
            key not in params or configuration[key] == params.flag(key) for key in ("active", "is_default")
        )

    return lists.page(sim, request, "billing_portal.configuration", where=wanted)


@route("GET", "/v1/billing_portal/configurations/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/billing_portal/configurations/{id}."""
    return _need(sim, name)


@route("POST", "/v1/billing_portal/configurations/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/billing_portal/configurations/{id}."""
    configuration = _need(sim, name)
    with events.change(sim, configuration, "billing_portal.configuration.updated"):
        _fill(configuration, request.params)
        configuration["updated"] = sim.clock.now()
    return configuration


@route("POST", "/v1/billing_portal/sessions")
def create_session(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/billing_portal/sessions, with `flow_data` to open on one act."""
    params = request.params
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    name = params.text("configuration")
    configuration = _need(sim, name) if name else _default(sim)
    session = new(
        "billing_portal.session",
        configuration=configuration["id"],
        created=sim.clock.now(customer),
        customer=customer["id"],
        flow=_flow(sim, params.inner("flow_data"), customer) if "flow_data" in params else None,
        locale=params.text("locale"),
        return_url=params.text("return_url") or configuration["default_return_url"],
    )
    session["url"] = f"{sim.base_url}/p/session/{session['id']}"
    sim.save(session)
    events.emit(sim, "billing_portal.session.created", session)
    return session


def _default(sim: "Simulator") -> Obj:
    for configuration in sim.store.all("billing_portal.configuration"):
        if configuration["is_default"]:
            return configuration
    return sim.save(_configuration(sim, is_default=True))


def _configuration(sim: "Simulator", *, is_default: bool) -> Obj:
    now = sim.clock.now()
    features = {
        "customer_update": {"allowed_updates": ["email", "address", "tax_id"], "enabled": True},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {"enabled": True, "feedback_options": None, "options": list(_REASONS)},
            "enabled": True,
            "mode": "at_period_end",
            "proration_behavior": "none",
        },
        "subscription_update": {
            "billing_cycle_anchor": None,
            "default_allowed_updates": [],
            "enabled": False,
            "products": None,
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }
    return new(
        "billing_portal.configuration",
        active=True,
        business_profile={"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        created=now,
        features=features,
        is_default=is_default,
        login_page={"enabled": False, "url": None},
        metadata={},
        updated=now,
    )


def _fill(configuration: Obj, params: Params) -> None:
    for key in ("default_return_url", "name"):
        if key in params:
            configuration[key] = params.text(key)
    if "active" in params:
        configuration["active"] = params.flag("active")
    profile = params.inner("business_profile")
    configuration["business_profile"] |= {key: profile.text(key) for key in profile}
    if "login_page" in params:
        configuration["login_page"]["enabled"] = params.inner("login_page").flag("enabled")
    features = params.inner("features")
    for name in features:
        given, feature = features.inner(name), configuration["features"].get(name)
        if feature is None:
            raise invalid(f"Received unknown parameter: features[{name}]", code="parameter_unknown")
        _fill_feature(feature, given)
    configuration["metadata"] = params.metadata(configuration["metadata"])


def _fill_feature(feature: Obj, given: Params) -> None:
    for key in given:
        if key == "enabled":
            feature[key] = given.flag(key)
        elif key == "cancellation_reason":
            reason = given.inner(key)
            feature[key] |= {"enabled": reason.flag("enabled")}
            feature[key]["options"] = reason.list("options") or feature[key]["options"]
        elif key in ("allowed_updates", "default_allowed_updates"):
            feature[key] = given.list(key)
        elif key == "products":
            feature[key] = [
                {
                    "adjustable_quantity": {"enabled": False, "maximum": None, "minimum": 1},
                    "prices": each.list("prices"),
                    "product": each.need("product"),
                }
                for each in given.each(key)
            ]
        elif key == "schedule_at_period_end":
            feature[key] = {"conditions": [each.values for each in given.inner(key).each("conditions")]}
        else:
            feature[key] = given.text(key)


def _flow(sim: "Simulator", params: Params, customer: Obj) -> Obj:
    kind = params.need("type")
    flow: Obj = dict.fromkeys(
        ("customer_update", "subscription_cancel", "subscription_update", "subscription_update_confirm")
    )
    after = params.inner("after_completion")
    redirect = after.inner("redirect").text("return_url")
    message = after.inner("hosted_confirmation").text("custom_message")
    flow["type"] = kind
    flow["after_completion"] = {
        "hosted_confirmation": {"custom_message": message} if message else None,
        "redirect": {"return_url": redirect} if redirect else None,
        "type": after.text("type") or "portal_homepage",
    }
    if kind in ("subscription_cancel", "subscription_update", "subscription_update_confirm"):
        given = params.inner(kind)
        name = given.need("subscription")
        subscription = subscriptions.need(sim, name, param=f"flow_data[{kind}][subscription]", status=400)
        if subscription["customer"] != customer["id"]:
            raise no_such("subscription", name, param=f"flow_data[{kind}][subscription]", status=400)
        flow[kind] = {"subscription": name}
        if kind == "subscription_cancel":
            flow[kind]["retention"] = None
        if kind == "subscription_update_confirm":
            flow[kind]["discounts"] = None
            flow[kind]["items"] = [
                {"id": each.text("id"), "price": each.text("price"), "quantity": each.integer("quantity")}
                for each in given.each("items")
            ]
    return flow


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("billing_portal.configuration", name)
    if found is None:
        raise no_such("billing_portal.configuration", name, param="configuration")
    return found
