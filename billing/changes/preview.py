"""A receipt before the fact: Stripe's own invoice of the change, asked for without making it, and sealed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from accounts.models import Account, User
from billing import money
from billing.catalog import Price
from billing.changes import request, tokens, wishes
from billing.changes.tokens import Promise
from billing.changes.wishes import Wish
from billing.models import Subscription
from billing.signals import subscription_about_to_change
from billing.stripe import gateway, shapes
from billing.stripe.shapes import Doc


@dataclass(frozen=True)
class Line:
    """One line of the receipt, in Stripe's words; below zero it is a credit."""

    text: str
    amount: int


@dataclass(frozen=True)
class Sums:
    """What a change costs at once, in minor units: credit + charge - discount + tax = total."""

    lines: tuple[Line, ...] = ()
    credit: int = 0
    charge: int = 0
    discount: int = 0
    tax: int = 0
    total: int = 0
    # Taken from the customer's balance with us, and what of a negative total is kept there.
    from_balance: int = 0
    kept: int = 0
    due: int = 0

    @property
    def minus_discount(self) -> int:
        return -self.discount

    @property
    def minus_balance(self) -> int:
        return -self.from_balance


@dataclass(frozen=True)
class Receipt:
    """What the page shows and the token seals."""

    wish: Wish
    sums: Sums
    # Per period from then on, without tax, discounts and what is paid by the unit.
    recurring: int
    # How much more than now that is, where a lesser plan was asked for: its seats may be cheaper, and more of them.
    more_than_now: int
    # When it takes effect, and when the next payment is due; None: by use, at the period's end.
    effective_at: datetime
    next_at: datetime | None
    token: str

    @property
    def currency(self) -> str:
        return self.wish.price.currency

    @property
    def period(self) -> str:
        return money.period_phrase(self.wish.price)


def show(
    *, account: Account, price: Price, quantity: int, user: User, now: datetime, wall: datetime
) -> Receipt:
    """What changing to `price` × `quantity` costs now and from then on; good for ten minutes.

    `now` is the account's time, `wall` everybody's. Raises NothingBought, ChangeRefused with its way out, and the
    gateway's errors. Nothing is changed.
    """
    wish = wishes.of(account=account, price=price, quantity=quantity, now=now, wall=wall)
    price = wish.price  # in the currency the account pays in
    prorated_at = _prorated_at(wish, now=now)
    sums = Sums()
    document: Doc = {}
    ids = request.price_ids(wish, now=now)
    if not wish.is_later:
        bring_use_to_stripe(wish, now=now)
        document = ask(wish, ids, prorated_at=prorated_at)
        sums = add_up(document)
    promise = Promise(
        subscription=wish.subscription.stripe_subscription_id,
        from_price=wish.subscription.price_lookup_key,
        from_quantity=wish.subscription.quantity,
        to_price=price.lookup_key,
        to_quantity=quantity,
        due=sums.due,
        currency=price.currency,
        prorated_at=prorated_at,
        recurring=request.recurring(wish, ids),
    )
    return Receipt(
        wish=wish,
        sums=sums,
        recurring=promise.recurring,
        more_than_now=_more_than_now(wish, promise.recurring, ids),
        effective_at=ends_at(wish.subscription, now=now) if wish.is_later else now,
        next_at=_next_at(wish, document, now=now),
        token=tokens.seal(promise, account=account, user=user, wall=wall),
    )


def _more_than_now(wish: Wish, recurring: int, ids: dict[str, str]) -> int:
    """0 where it is not a lesser plan, not more, or not to be compared: another rhythm, or paid by the unit."""
    before = wish.price_before
    if (
        not wish.is_later
        or before is None
        or before.meter
        or before.months != wish.price.months
        or wish.price.meter
    ):
        return 0
    present = replace(wish, plan=wish.before, price=before, quantity=wish.subscription.quantity)
    return max(recurring - request.recurring(present, ids), 0)


def ask(wish: Wish, ids: dict[str, str], *, prorated_at: int) -> dict[str, Any]:
    """Stripe's invoice of the change, as it would be (https://docs.stripe.com/api/invoices/create_preview)."""
    return gateway.ask(
        "/v1/invoices/create_preview",
        {
            "subscription": wish.subscription.stripe_subscription_id,
            "subscription_details": request.update(wish, ids, prorated_at=prorated_at),
        },
    )


def add_up(invoice: Doc) -> Sums:
    """An invoice in the receipt's terms."""
    lines = tuple(
        Line(text=line.get("description") or "", amount=line["amount"])
        for line in shapes.entries(invoice.get("lines"))
    )
    discount = sum(entry["amount"] for entry in invoice.get("total_discount_amounts") or [])
    total, due = invoice["total"], invoice["amount_due"]
    credit = -sum(line.amount for line in lines if line.amount < 0)
    charge = sum(line.amount for line in lines if line.amount > 0)
    return Sums(
        lines=lines,
        credit=credit,
        charge=charge,
        discount=discount,
        # Tax that is in the prices already is no further line.
        tax=total - (charge - credit - discount),
        total=total,
        from_balance=max(total, 0) - due,
        kept=max(-total, 0),
        due=due,
    )


def bring_use_to_stripe(wish: Wish, *, now: datetime) -> None:
    """What was used and Stripe does not know yet would be missing on the invoice of the change."""
    if any(item.is_metered for item in wish.subscription.items.all()):
        subscription_about_to_change.send(Subscription, account=wish.account, now=now)


def ends_at(subscription: Subscription, *, now: datetime) -> datetime:
    """The end of what is paid for."""
    return subscription.current_period_end or now


def _prorated_at(wish: Wish, *, now: datetime) -> int:
    """The second from which time is counted; never before the period, whose start may be a fraction ahead of us."""
    start = wish.subscription.current_period_start
    return int(max(now, start).timestamp()) if start else int(now.timestamp())


def _next_at(wish: Wish, document: Doc, *, now: datetime) -> datetime | None:
    if wish.is_later:
        return None if wish.price.meter else ends_at(wish.subscription, now=now)
    if wish.is_trial and not wish.ends_trial:
        return wish.subscription.trial_end
    if wish.price.meter:
        return None
    is_as_long = wish.price_before is not None and wish.price.months == wish.price_before.months
    if not is_as_long or wish.ends_trial or request.ends_metering(wish):
        lines = [line for line in shapes.entries(document.get("lines")) if line.get("period")]
        # Credits are for what is given up, to whose end nothing runs any more.
        return shapes.moment(
            max((line["period"]["end"] for line in lines if line["amount"] >= 0), default=None)
        )
    return wish.subscription.current_period_end
