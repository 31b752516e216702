"""Webhook endpoints: where events go, and the secret that seals them, shown only once."""

from typing import TYPE_CHECKING

from simulator import lists
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.routing import Request, route
from simulator.shapes import API_VERSION, Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("webhook_endpoint", "we_")


@route("POST", "/v1/webhook_endpoints")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/webhook_endpoints; only this answer carries the secret."""
    params = request.params
    url = params.need("url")
    if not url.startswith(("http://", "https://")):
        raise invalid(
            "Invalid URL: An explicit scheme (such as https) must be provided.",
            param="url",
            code="url_invalid",
        )
    secret = new_id("whsec_", 32)
    endpoint = new(
        "webhook_endpoint",
        api_version=params.text("api_version") or API_VERSION,
        created=sim.clock.now(),
        description=params.text("description"),
        enabled_events=params.list("enabled_events"),
        metadata=params.metadata(),
        status="enabled",
        url=url,
    )
    endpoint.pop("secret", None)
    # The post office reads the secret here; `view` never shows it.
    endpoint["_"] = {"secret": secret}
    sim.save(endpoint)
    return {**endpoint, "secret": secret}


@route("GET", "/v1/webhook_endpoints")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/webhook_endpoints."""
    return lists.page(sim, request, "webhook_endpoint")


@route("GET", "/v1/webhook_endpoints/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/webhook_endpoints/{id}."""
    return _need(sim, name)


@route("POST", "/v1/webhook_endpoints/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/webhook_endpoints/{id}: url, events, enabled or not."""
    endpoint, params = _need(sim, name), request.params
    for key in ("url", "description"):
        if key in params:
            endpoint[key] = params.text(key)
    if "enabled_events" in params:
        endpoint["enabled_events"] = params.list("enabled_events")
    if "disabled" in params:
        endpoint["status"] = "disabled" if params.flag("disabled") else "enabled"
    endpoint["metadata"] = params.metadata(endpoint["metadata"])
    return sim.save(endpoint)


@route("DELETE", "/v1/webhook_endpoints/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/webhook_endpoints/{id}."""
    _need(sim, name)
    sim.store.remove("webhook_endpoint", name)
    return {"id": name, "object": "webhook_endpoint", "deleted": True}


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("webhook_endpoint", name)
    if found is None:
        raise no_such("webhook_endpoint", name)
    return found
