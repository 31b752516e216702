"""Invoices: list, read, make by hand, finalize, pay, void, preview."""

from typing import TYPE_CHECKING, Any

from simulator import events, lists, search, view
from simulator.billing_engine import collection, discounts, finalizing, invoicing, periods, previewing, taxing
from simulator.errors import card as card_error
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import customers, payment_methods, subscriptions
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("invoice", "in_", found_by=("customer", "parent.subscription_details.subscription"))

_BY_SUBSCRIPTION = "parent.subscription_details.subscription"


def need(sim: "Simulator", name: str | None, *, param: str = "invoice", status: int = 404) -> Obj:
    """The invoice with this id, or Stripe's refusal."""
    found = sim.store.get("invoice", name)
    if found is None:
        raise no_such("invoice", str(name), param=param, status=status)
    return found


@route("POST", "/v1/invoices/create_preview")
def create_preview(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/invoices/create_preview: what would be charged, to the cent, without charging."""
    return previewing.preview(sim, request.params)


@route("POST", "/v1/invoices")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/invoices: a draft by hand; pending invoice items come in only when asked."""
    params = request.params
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    subscription = None
    if "subscription" in params:
        if "pending_invoice_items_behavior" in params:
            raise invalid(
                "You may only specify one of these parameters: subscription, pending_invoice_items_behavior."
            )
        subscription = subscriptions.need(sim, params.need("subscription"), param="subscription", status=400)
    invoice = invoicing.draft(
        sim,
        customer=customer,
        found_lines=[],
        reason="manual",
        subscription=subscription,
        currency=params.text("currency"),
        takes_pending=params.text("pending_invoice_items_behavior") == "include" or subscription is not None,
    )
    invoice["auto_advance"] = params.flag("auto_advance")
    invoice["collection_method"] = params.text("collection_method") or "charge_automatically"
    if invoice["collection_method"] == "send_invoice":
        days = params.integer("days_until_due")
        due = (
            params.integer("due_date")
            or invoice["created"] + (days if days is not None else 30) * periods.DAY
        )
        invoice["due_date"] = due
    if "automatic_tax" in params:
        invoice["automatic_tax"] = invoicing.automatic_tax(
            {"automatic_tax": {"enabled": params.inner("automatic_tax").flag("enabled")}}
        )
    if invoice["auto_advance"]:
        invoice["automatically_finalizes_at"] = invoice["created"] + invoicing.DRAFT_SECONDS
    if "discounts" in params:
        invoice["discounts"] = discounts.asked_for(sim, params, customer=customer["id"])
    _fill(sim, invoice, request)
    invoicing.total_up(sim, invoice)
    return events.created(sim, invoice)


@route("GET", "/v1/invoices")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/invoices, by customer, subscription, status, collection method."""
    params = request.params
    among = None
    if "subscription" in params:
        among = sim.store.find("invoice", _BY_SUBSCRIPTION, params.text("subscription"))
    elif "customer" in params:
        among = sim.store.find("invoice", "customer", params.text("customer"))

    def wanted(invoice: Obj) -> bool:
        if any(
            key in params and invoice[key] != params.text(key)
            for key in ("customer", "status", "collection_method")
        ):
            return False
        return lists.within(params, "due_date", invoice["due_date"])

    return lists.page(sim, request, "invoice", among=among, where=wanted)


@route("GET", "/v1/invoices/search")
def find(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/invoices/search: by metadata and the fields docs.stripe.com/search names."""
    fields = (
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
    )
    return search.page(sim, request, "invoice", fields)


@route("GET", "/v1/invoices/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/invoices/{id}."""
    return need(sim, name)


@route("POST", "/v1/invoices/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}: metadata, description, card, whether it advances by itself."""
    invoice = need(sim, name)
    with events.change(sim, invoice, "invoice.updated"):
        if "auto_advance" in request.params:
            invoice["auto_advance"] = request.params.flag("auto_advance")
        if "days_until_due" in request.params:
            invoice["due_date"] = (
                invoice["created"] + (request.params.integer("days_until_due") or 0) * periods.DAY
            )
        if "discounts" in request.params and invoice["status"] == "draft":
            invoice["discounts"] = discounts.asked_for(sim, request.params, customer=invoice["customer"])
            invoicing.total_up(sim, invoice)
        _fill(sim, invoice, request)
    return invoice


@route("DELETE", "/v1/invoices/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/invoices/{id}: only a draft made by hand."""
    invoice = need(sim, name)
    is_of_subscription = (invoice["parent"] or {}).get("type") == "subscription_details"
    if invoice["status"] != "draft" or invoice["billing_reason"] != "manual" or is_of_subscription:
        raise invalid("You can only delete draft invoices that were not created by a subscription.")
    for item in sim.store.find("invoiceitem", "invoice", name):
        item["invoice"] = None
        sim.save(item)
    sim.store.remove("invoice", name)
    events.emit(sim, "invoice.deleted", invoice)
    return {"id": name, "object": "invoice", "deleted": True}


@route("POST", "/v1/invoices/{id}/finalize")
def finalize(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/finalize."""
    invoice = need(sim, name)
    if invoice["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    return finalizing.finalize(sim, invoice)


@route("POST", "/v1/invoices/{id}/pay")
def pay(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/pay: finalizes a draft first; 402 when the card refuses."""
    invoice, params = need(sim, name), request.params
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid")
    if invoice["status"] in ("void", "uncollectible") and not params.flag("paid_out_of_band"):
        raise invalid(f"This invoice can't be paid: it is {invoice['status']}.", code="invoice_not_editable")
    if invoice["status"] == "draft":
        finalizing.finalize(sim, invoice)
    if invoice["status"] == "paid":
        return invoice
    if params.flag("paid_out_of_band"):
        collection.settle(sim, invoice, outside=True)
        return invoice
    method = None
    if "payment_method" in params:
        method = payment_methods.need(sim, params.need("payment_method"), status=400)
    outcome = collection.attempt(sim, invoice, method=method, off_session=params.flag("off_session", True))
    if outcome.error is not None:
        raise outcome.error
    if outcome.status == "requires_action":
        # The kind of error is the one the official CLI's fixture expects.
        raise card_error(
            "This payment requires additional user action before it can be completed successfully.",
            "invoice_payment_intent_requires_action",
        )
    return invoice


@route("POST", "/v1/invoices/{id}/void")
def void(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/void."""
    return _close(sim, name, "void")


@route("POST", "/v1/invoices/{id}/mark_uncollectible")
def mark_uncollectible(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/mark_uncollectible."""
    return _close(sim, name, "uncollectible")


@route("POST", "/v1/invoices/{id}/send")
def send(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/send: no mail is sent, the event is."""
    invoice = need(sim, name)
    if invoice["status"] == "draft":
        return finalizing.finalize(sim, invoice)
    events.emit(sim, "invoice.sent", invoice)
    return invoice


@view.grows("invoice", "payments")
def _grow_payments(sim: "Simulator", invoice: Obj) -> Any:
    return lists.of(
        sim.store.find("invoice_payment", "invoice", invoice["id"]), f"/v1/invoices/{invoice['id']}/payments"
    )


@view.grows("invoice", "confirmation_secret")
def _grow_confirmation_secret(sim: "Simulator", invoice: Obj) -> Any:
    payment = invoicing.payment_of(sim, invoice)
    return {"client_secret": payment["client_secret"], "type": "payment_intent"} if payment else None


def _close(sim: "Simulator", name: str, status: str) -> Obj:
    invoice = need(sim, name)
    if invoice["status"] not in ("open", "uncollectible"):
        raise invalid(
            f"This invoice is {invoice['status']}: only an open invoice can be closed.",
            code="invoice_not_editable",
        )
    return finalizing.void(sim, invoice, status)


def _fill(sim: "Simulator", invoice: Obj, request: Request) -> None:
    params = request.params
    for key in ("description", "footer", "statement_descriptor"):
        if key in params:
            invoice[key] = params.text(key)
    if "default_payment_method" in params:
        name = params.text("default_payment_method")
        invoice["default_payment_method"] = (
            payment_methods.need(sim, name, status=400)["id"] if name else None
        )
    if "default_tax_rates" in params and invoice["status"] == "draft":
        invoice["default_tax_rates"] = taxing.asked_for(sim, params, "default_tax_rates")
        invoicing.total_up(sim, invoice)
    if "metadata" in params:
        invoice["metadata"] = params.metadata(invoice["metadata"])
