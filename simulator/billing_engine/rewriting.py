"""The lines of a draft, put on, changed and taken off by hand."""

from copy import deepcopy
from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import asking, extras, invoicing, lines, money, taxing
from simulator.errors import StripeError, invalid, no_such
from simulator.params import Params
from simulator.resources import prices
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


# What a line and the invoice item behind it both say.
_SHARED = ("amount", "description", "discountable", "metadata", "quantity")


def add(sim: "Simulator", invoice: Obj, wanted: list[Params]) -> None:
    """New lines: pending invoice items by their ids, or such as are made here from an amount or a price; all
    of them, or none and a refusal.
    """
    customer = sim.store.get("customer", invoice["customer"]) or {}
    found: list[tuple[Obj, Obj]] = []
    for given in wanted:
        if "invoice_item" in given:
            item = _pending(sim, invoice, given)
        else:
            item = extras.draft(sim, given, customer=customer, currency=invoice["currency"])
        line = invoicing.item_line(sim, item)
        if "tax_amounts" in given:
            line["_"]["tax_amounts"] = taxing.by_hand(sim, given)
        found.append((item, line))
    for item, line in found:
        is_new = sim.store.get("invoiceitem", item["id"]) is None
        item["invoice"] = line["invoice"] = invoice["id"]
        if is_new:
            extras.keep(sim, [item])
        else:
            sim.save(item)
        invoice["lines"]["data"].append(line)


def change(sim: "Simulator", invoice: Obj, wanted: list[tuple[str, Params]]) -> list[Obj]:
    """Lines by id, and what becomes of each; all of them, or none and a refusal."""
    kept = invoice["lines"]["data"]
    invoice["lines"]["data"] = deepcopy(kept)
    try:
        changed = [_change(sim, find(invoice, name), given) for name, given in wanted]
    except StripeError:
        invoice["lines"]["data"] = kept
        raise
    for line in changed:
        item = _item(sim, line)
        if item is not None:
            item |= {key: line[key] for key in _SHARED}
            sim.save(item)
    return changed


def remove(sim: "Simulator", invoice: Obj, given: Params) -> None:
    """`delete` forgets the line and its invoice item, `unassign` lets the item wait for another invoice."""
    line = find(invoice, given.need("id"), param=given.name("id"))
    behavior = given.choice("behavior", ("delete", "unassign"), "delete")
    item = _item(sim, line)
    if behavior == "unassign" and item is None:
        raise invalid("This line has no invoice item that could be unassigned.", param=given.name("behavior"))
    if item is not None and behavior == "unassign":
        item["invoice"] = None
        sim.save(item)
    elif item is not None:
        sim.store.remove("invoiceitem", item["id"])
        events.emit(sim, "invoiceitem.deleted", item)
    invoice["lines"]["data"].remove(line)


def find(invoice: Obj, name: str, *, param: str = "line_item_id") -> Obj:
    """The line of an invoice with this id, or Stripe's refusal."""
    for line in invoice["lines"]["data"]:
        if line["id"] == name:
            found: Obj = line
            return found
    raise no_such("line_item", name, param=param)


def _change(sim: "Simulator", line: Obj, given: Params) -> Obj:
    """What is given holds, the rest stays; a usage line changed by hand is not counted again."""
    if "description" in given:
        line["description"] = given.text("description")
    if "discountable" in given:
        line["discountable"] = given.flag("discountable")
    if "period" in given:
        period = given.inner("period")
        line["period"] = {key: period.integer(key) for key in ("start", "end")}
    if "tax_rates" in given:
        line["_"]["tax_rates"] = taxing.asked_for(sim, given, "tax_rates")
    if "tax_amounts" in given:
        line["_"]["tax_amounts"] = taxing.by_hand(sim, given)
    line["metadata"] = given.metadata(line["metadata"])
    _charge(sim, line, given)
    return line


def _charge(sim: "Simulator", line: Obj, given: Params) -> None:
    if not {"amount", "quantity", "pricing", "price_data"} & set(given):
        return
    quantity = given.integer("quantity", line["quantity"]) or 0
    amount = given.integer("amount")
    price = _price(sim, line, given)
    if amount is None and price is None:
        each = money.share(line["amount"], 1, line["quantity"] or 1)
        amount = each * quantity
    elif amount is None and price is not None:
        amount = money.cost(price, quantity)
        line["pricing"] = lines.pricing(price)
    line["_"].pop("usage", None)
    line |= {"amount": amount, "subtotal": amount, "quantity": quantity, "quantity_decimal": str(quantity)}


def _price(sim: "Simulator", line: Obj, given: Params) -> Obj | None:
    if "price_data" in given:
        data = given.inner("price_data")
        return asking.whole(prices.make(sim, data, product=data.need("product")))
    name = given.inner("pricing").text("price")
    if name is None and line["pricing"] and "amount" not in given:
        name = line["pricing"]["price_details"]["price"]
    if name is None:
        return None
    found = prices.need(sim, name, param=given.name("pricing[price]"), status=400)
    return asking.whole(found, line["currency"])


def _pending(sim: "Simulator", invoice: Obj, given: Params) -> Obj:
    name = given.need("invoice_item")
    item = sim.store.get("invoiceitem", name)
    if item is None or item["customer"] != invoice["customer"]:
        raise no_such("invoiceitem", name, param=given.name("invoice_item"), status=400)
    if item["invoice"] is not None:
        raise invalid(
            "This invoice item is already on an invoice.",
            param=given.name("invoice_item"),
            code="invoice_not_editable",
        )
    return item


def _item(sim: "Simulator", line: Obj) -> Obj | None:
    details = line["parent"]["invoice_item_details"] or line["parent"]["subscription_item_details"] or {}
    return sim.store.get("invoiceitem", details.get("invoice_item"))
