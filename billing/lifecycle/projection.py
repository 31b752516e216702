"""From Stripe's documents to the values of our rows: pure, so that any order of letters ends in the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billing.catalog import Catalog, Price
from billing.deals import discounts
from billing.models import Subscription
from billing.models.subscriptions import Status
from billing.stripe import shapes
from billing.stripe.catalog_push.diff import PLAN_KEY, PRICE_KEY
from billing.stripe.shapes import Doc, id_of, known_moment, moment
from billing.stripe.truth import Truth, is_live

DELINQUENT = ("past_due", "unpaid")
# The subscription's metadata key that holds the Unix time from which a customer's pause counts.
PAUSED_FROM = "tallyhouse_paused_from"
# The metadata key of a price, and of a subscription, that was agreed in an offer.
OFFER_KEY = "tallyhouse_offer"
# Finds the lookup key a Stripe price was last known by; "" when never seen.
Remember = Callable[[str], str]


@dataclass(frozen=True)
class SubscriptionValues:
    """One Subscription row and its items, ready to be written."""

    stripe_subscription_id: str
    row: dict[str, Any]
    items: dict[str, dict[str, Any]] = field(default_factory=dict)


def of_subscription(
    subscription: Doc,
    *,
    truth: Truth,
    known: Subscription | None,
    prices: Catalog,
    remember: Remember,
    now: datetime,
) -> SubscriptionValues:
    """The row of one subscription. `known` is the row as it stands; `now` the account's time."""
    sold = {
        item["id"]: _price_of(item, prices=prices, remember=remember) for item in shapes.items(subscription)
    }
    plan_item = _plan_item(subscription, sold, prices)
    price = sold[plan_item["id"]] if plan_item else None
    invoices = [
        invoice for invoice in truth.invoices if shapes.invoice_subscription_id(invoice) == subscription["id"]
    ]
    return SubscriptionValues(
        stripe_subscription_id=subscription["id"],
        row={
            **_status(subscription, truth=truth, known=known, now=now),
            **_plan(subscription, plan_item, price, truth=truth, known=known, prices=prices),
            **_times(subscription, plan_item),
            **_money(subscription, invoices, truth=truth, known=known, now=now),
        },
        items={
            item["id"]: _item(item, sold[item["id"]], subscription) for item in shapes.items(subscription)
        },
    )


def _status(subscription: Doc, *, truth: Truth, known: Subscription | None, now: datetime) -> dict[str, Any]:
    status = subscription["status"]
    before = known.last_known_status if known else ""
    return {
        "stripe_customer_id": id_of(subscription["customer"]),
        "status": status,
        "status_since": known.status_since if known and known.status == status else now,
        "last_known_status": status if status in Status.values else before,
        "is_live": is_live(dict(subscription)) and not _is_surplus(subscription, truth),
        **_pause(subscription),
        "collection_method": subscription["collection_method"],
    }


def _pause(subscription: Doc) -> dict[str, Any]:
    """A pause asked for on our page says in the metadata from when; one made at Stripe does not, and costs nothing."""
    pause = subscription.get("pause_collection") or {}
    since = (subscription.get("metadata") or {}).get(PAUSED_FROM) or ""
    return {
        "pause_collection": pause.get("behavior") or "",
        "paused_from": moment(int(since)) if pause and since.isdigit() else None,
        "pause_resumes_at": moment(pause.get("resumes_at")),
    }


def _plan(
    subscription: Doc,
    item: Doc | None,
    price: Price | None,
    *,
    truth: Truth,
    known: Subscription | None,
    prices: Catalog,
) -> dict[str, Any]:
    """Plan and price in the catalog's words; of an unknown price the last known plan stays, and staff are told (D7)."""
    review = ""
    if price is None:
        names = ", ".join(
            entry["price"].get("lookup_key") or entry["price"]["id"] for entry in shapes.items(subscription)
        )
        review = f"The catalog does not know {names or 'a subscription without prices'}."
    elif _is_surplus(subscription, truth):
        review = "It is live beside another one, and only one counts."
    elif subscription["status"] not in Status.values:
        review = f"Stripe's status {subscription['status']!r} is new to us."
    if price is not None:
        plan_key, lookup_key = price.plan_key, price.lookup_key
    elif known is not None:
        plan_key, lookup_key = known.plan_key, known.price_lookup_key
    else:
        plan_key, lookup_key = prices.default_plan.key, ""
    return {
        "plan_key": plan_key,
        "price_lookup_key": lookup_key,
        "quantity": ((item or {}).get("quantity") or 1) if price or known is None else known.quantity,
        "currency": subscription["currency"],
        "discounts": discounts.read(subscription),
        "needs_review": bool(review),
        "review_reason": review[:200],
    }


def _is_surplus(subscription: Doc, truth: Truth) -> bool:
    return any(other["id"] == subscription["id"] for other in truth.surplus())


def _times(subscription: Doc, item: Doc | None) -> dict[str, Any]:
    if item is not None:
        start, end = shapes.item_period(item, subscription)
    else:
        start, end = (moment(at) for at in shapes.sub_period(subscription))
    return {
        "current_period_start": start,
        "current_period_end": end,
        "billing_cycle_anchor": known_moment(subscription["billing_cycle_anchor"]),
        "started_at": known_moment(subscription["start_date"]),
        "trial_end": moment(subscription.get("trial_end")),
        "cancel_at_period_end": subscription["cancel_at_period_end"],
        "cancel_at": moment(subscription.get("cancel_at")),
        "canceled_at": moment(subscription.get("canceled_at")),
        "ended_at": moment(subscription.get("ended_at")),
    }


def _money(
    subscription: Doc,
    invoices: list[dict[str, Any]],
    *,
    truth: Truth,
    known: Subscription | None,
    now: datetime,
) -> dict[str, Any]:
    debt = _present_debt(invoices)
    still_open = next((invoice for invoice in invoices if invoice["status"] == "open"), None)
    due = [at for invoice in debt if (at := moment(invoice.get("due_date"))) is not None]
    paid = [
        paid_at
        for invoice in invoices
        if invoice["amount_paid"] > 0 and (paid_at := shapes.invoice_paid_at(invoice)) is not None
    ]
    if known is not None and known.first_paid_at is not None:
        paid.append(known.first_paid_at)
    preview = truth.previews.get(subscription["id"])
    return {
        "first_failed_at": _first_failed_at(subscription, debt, truth=truth, known=known, now=now),
        "first_paid_at": min(paid, default=None),
        "latest_invoice_id": id_of(subscription.get("latest_invoice")),
        "open_invoice_url": (still_open or {}).get("hosted_invoice_url") or "",
        # The first to fall due: a newer invoice that is not paid either gives nobody more time.
        "open_invoice_due_at": min(due, default=None) if still_open else None,
        "next_payment_attempt_at": moment((still_open or {}).get("next_payment_attempt")),
        "next_charge_amount": preview["amount_due"] if preview else None,
    }


def _present_debt(invoices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is unpaid since the last invoice that was paid; an older one that Stripe gave up on is another story.

    By when they were final, not when they were begun: a change that is paid in the hour in which a renewal is still a
    draft says nothing about the renewal.
    """
    debt = []
    for invoice in sorted(invoices, key=_final_at, reverse=True):
        if shapes.invoice_is_paid(invoice):
            break
        if invoice["status"] in ("open", "uncollectible"):
            debt.append(invoice)
    return debt


def _final_at(invoice: Doc) -> datetime:
    return shapes.invoice_finalized_at(invoice) or known_moment(invoice["created"])


def _first_failed_at(
    subscription: Doc,
    debt: list[dict[str, Any]],
    *,
    truth: Truth,
    known: Subscription | None,
    now: datetime,
) -> datetime | None:
    """When the open delinquency began. Set once, not moved by retries, gone when paid (INV20)."""
    if subscription["status"] not in DELINQUENT:
        return None
    first = known.first_failed_at if known else None
    # Everything unpaid is younger than the failure we know: that one was paid while nobody looked.
    is_over = first is not None and debt and known_moment(debt[-1]["created"]) > first
    if first is not None and not is_over:
        return first
    moments = [_failed_at(invoice, truth) for invoice in debt]
    return min((at for at in moments if at is not None), default=now)


def _failed_at(invoice: Doc, truth: Truth) -> datetime | None:
    """The first refused charge; without one, the moment payment was first tried or due."""
    if invoice.get("collection_method") == "send_invoice":
        return moment(invoice.get("due_date"))
    intents = set(shapes.invoice_payment_intent_ids(invoice))
    refused = [
        known_moment(charge["created"])
        for charge in truth.charges
        if charge["status"] == "failed" and id_of(charge.get("payment_intent")) in intents
    ]
    return min(refused, default=None) or shapes.invoice_finalized_at(invoice)


def _plan_item(subscription: Doc, sold: Mapping[str, Price | None], prices: Catalog) -> dict[str, Any] | None:
    """The item that names the plan: a price per period before one per unit, then the better plan."""
    candidates = [item for item in shapes.items(subscription) if sold[item["id"]] is not None]

    def worth(item: dict[str, Any]) -> tuple[bool, int]:
        price = sold[item["id"]]
        assert price is not None
        return price.meter is None, prices.plan(price.plan_key).rank

    return max(candidates, key=worth, default=None)


def _price_of(item: Doc, *, prices: Catalog, remember: Remember) -> Price | None:
    price = item["price"]
    for name in (
        price.get("lookup_key") or "",
        (price.get("metadata") or {}).get(PRICE_KEY) or "",
        remember(price["id"]),
    ):
        found = prices.find_price(name) if name else None
        if found is not None:
            return found
    return _agreed(price, prices)


def _agreed(price: Doc, prices: Catalog) -> Price | None:
    """A price made for one customer's offer is in no price list, and says itself which plan it is for."""
    marks = price.get("metadata") or {}
    plan = prices.plans.get(marks.get(PLAN_KEY) or "") if marks.get(OFFER_KEY) else None
    rhythm = price.get("recurring")
    if plan is None or not rhythm:
        return None
    return Price(
        lookup_key="",
        plan_key=plan.key,
        amount=price["unit_amount"],
        currency=price["currency"],
        interval=rhythm["interval"],
        interval_count=rhythm["interval_count"],
        per_seat=True,
    )


def _item(item: Doc, price: Price | None, subscription: Doc) -> dict[str, Any]:
    start, end = shapes.item_period(item, subscription)
    return {
        "stripe_price_id": item["price"]["id"],
        "stripe_product_id": id_of(item["price"]["product"]),
        "lookup_key": price.lookup_key if price else (item["price"].get("lookup_key") or ""),
        "plan_key": price.plan_key if price else "",
        "quantity": item.get("quantity"),
        "is_metered": shapes.is_metered(item["price"]),
        "current_period_start": start,
        "current_period_end": end,
    }


def of_payment(invoice: Doc, *, charges: list[dict[str, Any]]) -> dict[str, Any]:
    """The Payment row of one invoice; `charges` are the customer's, for what was given back."""
    intents = shapes.invoice_payment_intent_ids(invoice)
    named = set(shapes.invoice_charge_ids(invoice))
    ours = [
        charge
        for charge in charges
        if charge["id"] in named or (id_of(charge.get("payment_intent")) in intents and intents)
    ]
    paid = next((charge for charge in ours if charge["status"] == "succeeded"), None)
    start, end = shapes.invoice_period(invoice)
    # Of an old invoice whose charges are not among the newest, what was seen of them before stays.
    charged = {
        "stripe_charge_id": paid["id"] if paid else "",
        # More than was paid on this invoice cannot be given back for it (a charge may pay several).
        "amount_refunded": min(sum(charge["amount_refunded"] for charge in ours), invoice["amount_paid"]),
    }
    return {
        **(charged if ours else {}),
        "stripe_subscription_id": shapes.invoice_subscription_id(invoice),
        "stripe_payment_intent_id": intents[-1] if intents else "",
        "number": invoice.get("number") or "",
        "status": invoice["status"],
        "billing_reason": invoice.get("billing_reason") or "",
        "description": _description(invoice),
        "currency": invoice["currency"],
        "amount_due": invoice["amount_due"],
        "amount_paid": invoice["amount_paid"],
        "attempt_count": invoice["attempt_count"],
        "next_payment_attempt_at": moment(invoice.get("next_payment_attempt")),
        "due_at": moment(invoice.get("due_date")),
        "period_start": start,
        "period_end": end,
        "created_at": known_moment(invoice["created"]),
        "paid_at": shapes.invoice_paid_at(invoice),
        "hosted_invoice_url": invoice.get("hosted_invoice_url") or "",
        "invoice_pdf_url": invoice.get("invoice_pdf") or "",
    }


def _description(invoice: Doc) -> str:
    lines = [line["description"] for line in shapes.entries(invoice.get("lines")) if line.get("description")]
    return str(invoice.get("description") or "; ".join(lines))[:300]


def of_card(customer: Doc, subscriptions: list[dict[str, Any]]) -> dict[str, Any]:
    """The default card's face, for the Customer row; empty when there is none or it is not a card."""
    method = shapes.default_card(customer, subscriptions) or {}
    card = method.get("card") or {}
    return {
        "card_brand": card.get("brand") or (method.get("type") or "" if method else ""),
        "card_last4": card.get("last4") or "",
        "card_exp_month": card.get("exp_month"),
        "card_exp_year": card.get("exp_year"),
    }
