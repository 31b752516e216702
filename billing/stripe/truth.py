"""Everything we follow Stripe for, about one customer, asked anew: the opposite of reading a webhook's payload."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from billing.models import Customer
from billing.models.subscriptions import LIVE_STATUSES
from billing.stripe import gateway
from billing.stripe.shapes import id_of, invoice_payment_intent_ids, known_moment

NEWEST_INVOICES = 20
MOST_OPEN_INVOICES = 100
MOST_SUBSCRIPTIONS = 300
MOST_INTENTS = 3
NEWEST_CHARGES = 100
# Of several live subscriptions the one counts that grants access before one that does not, then the oldest.
WORTH = ("active", "trialing", "past_due", "unpaid", "paused", "incomplete")
TERMINAL_STATUSES = ("canceled", "incomplete_expired")


@dataclass(frozen=True)
class Disputes:
    """What banks ask back. `payments`: the charges and payment intents that were asked about; `is_all`: none that ever
    counted is missing.
    """

    found: list[dict[str, Any]]
    payments: frozenset[str]
    is_all: bool


@dataclass(frozen=True)
class Truth:
    """What Stripe said, in its own documents. `customer` None: this account is not at Stripe, or not any more."""

    customer: dict[str, Any] | None = None
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    invoices: list[dict[str, Any]] = field(default_factory=list)
    # Were open when last seen, and are wiped with all test data: nobody can pay them any more.
    unknown_invoices: list[str] = field(default_factory=list)
    charges: list[dict[str, Any]] = field(default_factory=list)
    # Checkout sessions of ours that were open when last seen, by id.
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    # The next invoice of a live subscription, by subscription id.
    previews: dict[str, dict[str, Any]] = field(default_factory=dict)
    # What waits for a live subscription's period's end, by subscription id.
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    # What an open invoice was last tried with, by invoice id: whether the bank waits for its customer.
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    # None: what Stripe said does not tell whether there are any.
    disputes: Disputes | None = None
    clock_now: datetime | None = None

    @property
    def is_deleted(self) -> bool:
        """The customer was deleted at Stripe, and its subscriptions with it."""
        return self.customer is not None and bool(self.customer.get("deleted"))

    def live(self) -> list[dict[str, Any]]:
        """Subscriptions that are not over; a status we do not know counts as live."""
        return [sub for sub in self.subscriptions if is_live(sub)]

    def surplus(self) -> list[dict[str, Any]]:
        """The live subscriptions beside the one that counts; an account is meant to have one."""
        # Stripe lists the newest first; turned round, those of the same second stay as they were made.
        oldest_first = self.live()[::-1]
        return sorted(oldest_first, key=_worth)[1:]

    def documents(self) -> Iterator[dict[str, Any]]:
        """All of it in the order in which one refers to the other, for the mirror."""
        if self.customer is not None:
            yield self.customer
        for subscription in self.subscriptions:
            if isinstance(subscription.get("default_payment_method"), dict):
                yield subscription["default_payment_method"]
        yield from self.subscriptions
        yield from reversed(self.invoices)
        yield from reversed(self.charges)


def _worth(subscription: dict[str, Any]) -> tuple[int, int]:
    status = subscription["status"]
    rank = WORTH.index(status) if status in WORTH else len(WORTH)
    return rank, subscription["created"]


def is_live(subscription: dict[str, Any]) -> bool:
    return subscription["status"] not in TERMINAL_STATUSES


def fetch(
    customer: Customer,
    *,
    open_sessions: Iterable[str] = (),
    open_invoices: Iterable[str] = (),
    between: Callable[[], None],
) -> Truth:
    """Ask Stripe about one customer, in some five calls; `between` is called after each (to renew a lease).

    `open_sessions` and `open_invoices` are ids that were open when last seen: they are asked about by name.

    Raises the gateway's errors.
    """
    if not customer.stripe_customer_id:
        left, unknown = _by_name(open_invoices)
        return Truth(invoices=left, charges=_charges_of(left), unknown_invoices=unknown)
    stripe_id = customer.stripe_customer_id
    about = _customer(stripe_id)
    between()
    if about.get("deleted"):
        # Its open invoices stay, to be paid or voided; a list of them is not to be had.
        left, unknown = _by_name(open_invoices)
        return Truth(customer=about, invoices=left, charges=_charges_of(left), unknown_invoices=unknown)
    # Before what it is about: were it moved while that is read, a trial of then would be judged by the time of now. A
    # clock that was deleted took the customer along.
    clock_now = _clock_now(customer)
    subscriptions = _subscriptions(stripe_id)
    between()
    invoices, unknown = _invoices(stripe_id, open_invoices)
    between()
    charges = list(gateway.pages("/v1/charges", {"customer": stripe_id}, at_most=NEWEST_CHARGES))
    between()
    return Truth(
        customer=about,
        subscriptions=subscriptions,
        invoices=invoices,
        unknown_invoices=unknown,
        charges=charges,
        sessions={name: gateway.get(f"/v1/checkout/sessions/{name}") for name in open_sessions},
        previews=_previews(subscriptions),
        schedules=_schedules(subscriptions),
        intents=_intents(invoices),
        clock_now=clock_now,
    )


def _customer(stripe_customer_id: str) -> dict[str, Any]:
    try:
        return gateway.get(
            f"/v1/customers/{stripe_customer_id}", {"expand": ["invoice_settings.default_payment_method"]}
        )
    except gateway.NotFound:
        # Test data is wiped at will. In live mode an unknown id means that the key is another account's, and
        # believing it would take every customer's plan away.
        if settings.STRIPE_LIVE_MODE:
            raise
        return {"id": stripe_customer_id, "object": "customer", "deleted": True}


def subscriptions_at_stripe(stripe_customer_id: str) -> list[dict[str, Any]]:
    """All of a customer's subscriptions, ended ones too, newest first."""
    return _subscriptions(stripe_customer_id)


def _subscriptions(stripe_customer_id: str) -> list[dict[str, Any]]:
    return list(
        gateway.pages(
            "/v1/subscriptions",
            {
                "customer": stripe_customer_id,
                "status": "all",
                "expand": [
                    "data.default_payment_method",
                    "data.discounts.promotion_code",
                    "data.discounts.source.coupon",
                ],
            },
            at_most=MOST_SUBSCRIPTIONS,
        )
    )


def _invoices(
    stripe_customer_id: str, open_when_last_seen: Iterable[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The newest, every open one however old, and those that were open: they may have been paid since."""
    wanted = {
        "customer": stripe_customer_id,
        "limit": NEWEST_INVOICES,
        # dj-stripe fails on discounts that came as mere ids.
        "expand": ["data.payments", "data.discounts", "data.lines.data.discounts"],
    }
    page = gateway.get("/v1/invoices", wanted)
    found = {invoice["id"]: invoice for invoice in page["data"]}
    if page["has_more"]:
        still_open = gateway.pages("/v1/invoices", {**wanted, "status": "open"}, at_most=MOST_OPEN_INVOICES)
        found = {**{invoice["id"]: invoice for invoice in still_open}, **found}
    others, unknown = _by_name(set(open_when_last_seen) - found.keys())
    return sorted([*found.values(), *others], key=lambda invoice: -invoice["created"]), unknown


def _by_name(invoices: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Those that Stripe has, and the names of those that it does not know any more."""
    expand = {"expand": ["payments", "discounts", "lines.data.discounts"]}
    found, unknown = [], []
    for name in invoices:
        try:
            found.append(gateway.get(f"/v1/invoices/{name}", expand))
        except gateway.NotFound:
            # As with a customer: test data is wiped at will.
            if settings.STRIPE_LIVE_MODE:
                raise
            unknown.append(name)
    return found, unknown


def _charges_of(invoices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What paid them, asked by the payment's name: a deleted customer's charges are not to be had as a list."""
    intents = [
        name
        for invoice in invoices
        if invoice["status"] == "paid"
        for name in invoice_payment_intent_ids(invoice)
    ]
    asked = (gateway.get(f"/v1/payment_intents/{name}", {"expand": ["latest_charge"]}) for name in intents)
    return [intent["latest_charge"] for intent in asked if isinstance(intent.get("latest_charge"), dict)]


def _previews(subscriptions: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The next charge of what will renew, as Stripe itself computes it."""
    found = {}
    for subscription in subscriptions:
        will_renew = not subscription["cancel_at_period_end"] and not subscription["cancel_at"]
        if will_renew and subscription["status"] in LIVE_STATUSES and subscription["status"] != "incomplete":
            try:
                found[subscription["id"]] = gateway.ask("/v1/invoices/create_preview", _asked(subscription))
            except gateway.InvalidRequest:
                # Nothing to preview, for example no upcoming invoice at all: the page then shows no amount.
                continue
    return found


def _asked(subscription: dict[str, Any]) -> dict[str, str]:
    """By the schedule where there is one: what it will change is part of the next invoice."""
    schedule = id_of(subscription.get("schedule"))
    return {"schedule": schedule} if schedule else {"subscription": subscription["id"]}


def _schedules(subscriptions: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Most have none, and cost no call. One that was let go of while we asked is none either."""
    found = {}
    for subscription in subscriptions:
        name = id_of(subscription.get("schedule")) if is_live(subscription) else ""
        if name:
            schedule = gateway.get(f"/v1/subscription_schedules/{name}", {"expand": ["phases.items.price"]})
            if schedule["status"] in ("not_started", "active"):
                found[subscription["id"]] = schedule
    return found


def _intents(invoices: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of the newest open invoices that were tried; who pays as agreed has none, and costs no call."""
    tried = [invoice for invoice in invoices if invoice["status"] == "open" and invoice["attempted"]]
    found = {}
    for invoice in tried[:MOST_INTENTS]:
        if names := invoice_payment_intent_ids(invoice):
            found[invoice["id"]] = gateway.get(f"/v1/payment_intents/{names[-1]}")
    return found


def _clock_now(customer: Customer) -> datetime | None:
    if not customer.test_clock_id:
        return None
    return known_moment(gateway.get(f"/v1/test_helpers/test_clocks/{customer.test_clock_id}")["frozen_time"])
