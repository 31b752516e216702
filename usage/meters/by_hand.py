"""What staff may do with a delivery that was refused or is in doubt: send it again, bill it, or settle it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing.leaving import last_invoice
from billing.lifecycle import subscriptions
from billing.models import Customer, Subscription
from billing.stripe import gateway
from usage.meters import periods, telling, worth, writing_off
from usage.models import MeterDelivery
from usage.models.meters import OPEN

State = MeterDelivery.State
# Written on the invoice item, so that it is found again after a crash.
METADATA_KEY = "meter_delivery"
MOST_ITEMS = 1000


class CannotBill(Exception):
    """There is no invoice item to be made of this delivery; the text says why."""


@dataclass(frozen=True)
class Proposal:
    """The invoice item that would bill a delivery. `amount` in minor units of `currency`."""

    stripe_customer_id: str
    amount: int
    currency: str
    description: str
    # No plan runs that would have a next invoice.
    on_its_own: bool


def send_again(delivery: MeterDelivery, *, now: datetime) -> bool:
    """Back among those to be sent, at once; False when it was not in a person's hands, or is a closed account's.
    Raises subscriptions.Busy.

    Under the account's lease, as `bill`: of two people who decide at once, the second finds it decided.

    What certainly did not count goes under a new identifier, because the old one may be taken. What is in doubt keeps
    its own, so that Stripe can still say that it has it. Tries go on being counted: each has an idempotency key by its
    number, and Stripe would repeat what it once answered to the same.
    """
    to_be_sent = {
        "state": State.WAITING,
        "next_attempt_at": now,
        "unknown_since": None,
        "is_in_flight": False,
    }
    # What the meter has counted already would be there twice, and billed by nobody all the same.
    rows = MeterDelivery.objects.filter(pk=delivery.pk, state__in=OPEN, is_counted=False)
    with subscriptions.acting(account=delivery.account, purpose="meter_send_again", follow=False):
        done = not writing_off.is_due(delivery) and bool(
            rows.filter(unknown_since=None).update(
                **to_be_sent, identifier=_next_identifier(delivery.identifier)
            )
            or rows.update(**to_be_sent)
        )
    if done:
        telling.forget(delivery, now=now)
    return done


def settle(delivery: MeterDelivery, *, now: datetime) -> bool:
    """A person has seen to it in another way; False when it was not in a person's hands. Raises subscriptions.Busy."""
    with subscriptions.acting(account=delivery.account, purpose="meter_settle", follow=False):
        rows = MeterDelivery.objects.filter(pk=delivery.pk, state__in=OPEN)
        done = rows.update(state=State.SETTLED) == 1
    if done:
        telling.forget(delivery, now=now)
    return done


def proposal(delivery: MeterDelivery) -> Proposal:
    """The invoice item that would bill it, for what the acts in it cost when they were counted. Raises CannotBill."""
    if delivery.state not in OPEN:
        raise CannotBill(f"It is {delivery.get_state_display().lower()}.")
    if writing_off.is_due(delivery):
        raise CannotBill("The account is closed, and nothing more is charged to it. Settle this.")
    if periods.is_waived(delivery.account_id, delivery.occurred_at):
        raise CannotBill(
            "Nobody is to pay for it: its plan was ended without a last invoice, as the money went back. Settle this."
        )
    customer = Customer.objects.filter(account_id=delivery.account_id).first()
    if customer is None or not customer.stripe_customer_id:
        raise CannotBill("The account has no customer at Stripe to bill it to.")
    price = worth.price_of(delivery)
    if price is None:
        raise CannotBill(
            "No plan of the account has a price for it. Add an invoice item at Stripe and settle this."
        )
    unit = price.unit_label or delivery.event_name
    return Proposal(
        stripe_customer_id=customer.stripe_customer_id,
        amount=worth.amount(delivery, price),
        currency=price.currency,
        description=f"{delivery.units:,} × {unit}, used until {delivery.occurred_at:%-d %B %Y %H:%M} UTC",
        on_its_own=not Subscription.objects.live().filter(account_id=delivery.account_id).exists(),
    )


def bill(delivery: MeterDelivery, *, now: datetime) -> Proposal:
    """Make the proposed invoice item at Stripe, once, for the account's next invoice, or for one of its own where no
    plan runs; answers what was billed.

    Raises CannotBill, subscriptions.Busy and the gateway's errors; trying again after one bills nothing twice.
    """
    with subscriptions.acting(account=delivery.account, purpose="meter_invoice_item"):
        delivery.refresh_from_db()
        proposed = proposal(delivery)
        made = (
            _made_before(delivery, proposed)
            or gateway.post(
                "/v1/invoiceitems",
                {
                    "customer": proposed.stripe_customer_id,
                    "amount": proposed.amount,
                    "currency": proposed.currency,
                    "description": proposed.description,
                    "metadata": {METADATA_KEY: delivery.identifier},
                },
                idempotency_key=f"meter-invoice-item:{delivery.identifier}",
            )["id"]
        )
        if proposed.on_its_own:
            _invoice(delivery, proposed)
        MeterDelivery.objects.filter(pk=delivery.pk, state__in=OPEN).update(
            state=State.BILLED, stripe_invoice_item_id=made
        )
    telling.forget(delivery, now=now)
    return proposed


def _invoice(delivery: MeterDelivery, proposed: Proposal) -> None:
    """An item waits for the next invoice of a plan, and without one for ever. Stripe finalizes it in an hour.
    https://docs.stripe.com/api/invoices/create#create_invoice-pending_invoice_items_behavior
    """
    gateway.post(
        "/v1/invoices",
        {
            "customer": proposed.stripe_customer_id,
            "currency": proposed.currency,
            "pending_invoice_items_behavior": "include",
            "auto_advance": True,
            **last_invoice.as_the_plan_was(delivery.account),
        },
        idempotency_key=f"meter-invoice:{delivery.identifier}",
    )


def _next_identifier(identifier: str) -> str:
    name, _, number = identifier.partition("~")
    return f"{name}~{int(number or 1) + 1}"


def _made_before(delivery: MeterDelivery, proposed: Proposal) -> str:
    """The invoice item of an earlier try whose answer was lost; Stripe forgets idempotency keys after a day."""
    items = gateway.pages("/v1/invoiceitems", {"customer": proposed.stripe_customer_id}, at_most=MOST_ITEMS)
    names = delivery.identifier, delivery.identifier.partition("~")[0]
    for item in items:
        if (item.get("metadata") or {}).get(METADATA_KEY) in names:
            return str(item["id"])
    return ""
