"""Tax ids of customers (docs.stripe.com/api/customer_tax_ids), checked at once by the magic numbers of Stripe's
test mode: one that ends in 111111111 is not found, one in 222222222 stays pending
(docs.stripe.com/billing/customer/tax-ids#testing).
"""

import re
from typing import TYPE_CHECKING, Any

from simulator import events, lists, view
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import customers
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("tax_id", "txi_", found_by=("customer",))

_FORMS = {
    "eu_vat": r"[A-Z]{2}[0-9A-Z+*]{2,12}",
    "gb_vat": r"(GB|XI)?[0-9A-Z]{5,12}",
    "ch_vat": r"CHE-?[0-9.]{9,11} ?(MWST|TVA|IVA)?",
    "us_ein": r"[0-9]{2}-?[0-9]{7}",
}
_CHECKED = ("au_abn", "eu_vat", "gb_vat")


@route("POST", "/v1/customers/{id}/tax_ids")
def create(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/customers/{id}/tax_ids."""
    customer, params = customers.need(sim, name), request.params
    kind, value = params.need("type"), params.need("value")
    if not re.fullmatch(_FORMS.get(kind, r".{2,40}"), value):
        raise invalid(f"Invalid value for {kind}.", param="value", code="tax_id_invalid")
    found = new(
        "tax_id",
        country=value[:2] if kind == "eu_vat" else kind[:2].upper(),
        created=sim.clock.now(customer),
        customer=customer["id"],
        customer_account=None,
        owner={"type": "customer", "customer": customer["id"]},
        type=kind,
        value=value,
        verification=_verification(kind, value, customer),
    )
    sim.save(found)
    events.emit(sim, "customer.tax_id.created", found)
    return found


@route("GET", "/v1/customers/{id}/tax_ids")
def index(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/customers/{id}/tax_ids."""
    customers.need(sim, name)
    return lists.page(sim, request, "tax_id", among=of(sim, name), url=request.path)


@route("GET", "/v1/customers/{id}/tax_ids/{tax_id}")
def retrieve(sim: "Simulator", request: Request, name: str, tax_id: str) -> Obj:
    """GET /v1/customers/{id}/tax_ids/{tax_id}."""
    return _need(sim, name, tax_id)


@route("DELETE", "/v1/customers/{id}/tax_ids/{tax_id}")
def delete(sim: "Simulator", request: Request, name: str, tax_id: str) -> Obj:
    """DELETE /v1/customers/{id}/tax_ids/{tax_id}: invoices that are written keep it."""
    found = _need(sim, name, tax_id)
    sim.store.remove("tax_id", tax_id)
    events.emit(sim, "customer.tax_id.deleted", found)
    return {"id": tax_id, "object": "tax_id", "deleted": True}


def of(sim: "Simulator", customer: str) -> list[Obj]:
    """A customer's tax ids, in the order they were written."""
    return sim.store.find("tax_id", "customer", customer)


@view.grows("customer", "tax_ids")
def _grow(sim: "Simulator", customer: Obj) -> Any:
    return lists.of(reversed(of(sim, customer["id"])), f"/v1/customers/{customer['id']}/tax_ids")


def _need(sim: "Simulator", customer: str, name: str) -> Obj:
    found = sim.store.get("tax_id", name)
    if found is None or found["customer"] != customers.need(sim, customer)["id"]:
        raise no_such("tax_id", name)
    return found


def _verification(kind: str, value: str, customer: Obj) -> Obj:
    if kind not in _CHECKED:
        return {"status": "unavailable", "verified_address": None, "verified_name": None}
    if value.endswith("111111111"):
        return {"status": "unverified", "verified_address": None, "verified_name": None}
    if value.endswith("222222222"):
        return {"status": "pending", "verified_address": None, "verified_name": None}
    return {"status": "verified", "verified_address": None, "verified_name": customer["name"]}
