"""Search: the nouns that can be searched, and the fields each can be searched by (docs.stripe.com/search)."""

from typing import TYPE_CHECKING

from simulator import search
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

_FIELDS = {
    "customers": ("customer", ("created", "email", "name", "phone")),
    "subscriptions": ("subscription", ("created", "status", "canceled_at", "customer")),
    "invoices": (
        "invoice",
        (
            "created",
            "currency",
            "customer",
            "last_finalization_error_code",
            "last_finalization_error_type",
            "number",
            "receipt_number",
            "status",
            "subscription",
            "total",
        ),
    ),
    "prices": ("price", ("active", "currency", "lookup_key", "product", "type")),
    "products": ("product", ("active", "description", "name", "shippable", "url")),
    "charges": ("charge", ("amount", "created", "currency", "customer", "disputed", "refunded", "status")),
    "payment_intents": ("payment_intent", ("amount", "created", "currency", "customer", "status")),
}


@route("GET", "/v1/customers/search")
@route("GET", "/v1/subscriptions/search")
@route("GET", "/v1/invoices/search")
@route("GET", "/v1/prices/search")
@route("GET", "/v1/products/search")
@route("GET", "/v1/charges/search")
@route("GET", "/v1/payment_intents/search")
def find(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/<noun>/search."""
    kind, fields = _FIELDS[request.path.split("/")[2]]
    return search.page(sim, request, kind, fields)
