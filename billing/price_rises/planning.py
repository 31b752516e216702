"""Who pays an older price and what the new one would mean for each: seen first, then begun."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import Account, User
from billing import catalog
from billing.catalog import Price
from billing.models import PriceRise, PriceRiseStep, SubscriptionItem
from billing.stripe import gateway
from billing.stripe.shapes import Doc

LEAST_NOTICE_DAYS = 7
WITH_CURRENCIES = {"expand": ["currency_options"]}


class CannotRise(Exception):
    """This campaign cannot be begun; the text says why and what to do."""


@dataclass(frozen=True)
class Move:
    """One account's item that would move; amounts in minor units of the account's `currency`, for one of `quantity`."""

    account: Account
    item: SubscriptionItem
    old_amount: int
    new_amount: int
    currency: str
    left_out: str = ""

    @property
    def quantity(self) -> int:
        return self.item.quantity or 1

    @property
    def delta(self) -> int:
        return (self.new_amount - self.old_amount) * self.quantity


@dataclass(frozen=True)
class Plan:
    from_name: str
    to_lookup_key: str
    to_price_id: str
    moves: tuple[Move, ...]


def plan(*, from_name: str, to_lookup_key: str, held_out: Collection[uuid.UUID] = ()) -> Plan:
    """Everybody who pays `from_name` (a lookup key, or the id of one price at Stripe), and what they would pay.

    With the same lookup key on both sides it is those whose price is older than the one the key names now. Who is
    leaving, held out or in trouble is listed and left out. Raises CannotRise and the gateway's errors.
    """
    price = catalog.current().find_price(to_lookup_key)
    if price is None:
        raise CannotRise(f"The price list has no price {to_lookup_key!r}.")
    found = gateway.get(
        "/v1/prices", {"lookup_keys": [to_lookup_key], "active": True, "expand": ["data.currency_options"]}
    )["data"]
    if not found or not _is_as_listed(found[0], price):
        raise CannotRise("Stripe does not have this price as the price list has it. Run sync_catalog first.")
    new = found[0]
    items = SubscriptionItem.objects.filter(subscription__is_live=True).exclude(stripe_price_id=new["id"])
    by_id = from_name.startswith("price_")
    items = items.filter(stripe_price_id=from_name) if by_id else items.filter(lookup_key=from_name)
    old_prices = {
        price_id: gateway.get(f"/v1/prices/{price_id}", WITH_CURRENCIES)
        for price_id in sorted(set(items.values_list("stripe_price_id", flat=True)))
    }
    for old in old_prices.values():
        if _rhythm(old) != _rhythm(new):
            raise CannotRise(f"{old['id']} is billed in another rhythm than {to_lookup_key}.")
        if old.get("unit_amount") is None:
            raise CannotRise(f"{old['id']} has tiers; such a price cannot be moved by a campaign.")
    ordered = items.select_related("subscription__account").order_by("subscription__account__name", "pk")
    moves = [_move(item, old_prices[item.stripe_price_id], new, held_out=held_out) for item in ordered]
    return Plan(from_name=from_name, to_lookup_key=to_lookup_key, to_price_id=new["id"], moves=tuple(moves))


def begin(*, plan: Plan, notice_days: int, reason: str, by: User | None, now: datetime) -> PriceRise:
    """Write the campaign down; the sweeper carries it out. `now` is wall time.

    Who is in a campaign that is under way for the same price already stays in that one. Raises CannotRise.
    """
    if notice_days < LEAST_NOTICE_DAYS:
        raise CannotRise(f"Give at least {LEAST_NOTICE_DAYS} days' notice.")
    if not reason.strip():
        raise CannotRise("Say why, for whoever asks in a year.")
    going = [move for move in plan.moves if not move.left_out]
    if not going:
        raise CannotRise("Nobody would be moved.")
    with transaction.atomic():
        rise = PriceRise.objects.create(
            from_name=plan.from_name,
            to_lookup_key=plan.to_lookup_key,
            to_price_id=plan.to_price_id,
            notice_days=notice_days,
            reason=reason[:300],
            begun_by=by,
            begun_at=now,
        )
        PriceRiseStep.objects.bulk_create(
            [
                PriceRiseStep(
                    rise=rise,
                    account=move.account,
                    stripe_subscription_id=move.item.subscription.stripe_subscription_id,
                    stripe_item_id=move.item.stripe_item_id,
                    old_price_id=move.item.stripe_price_id,
                    old_amount=move.old_amount,
                    new_amount=move.new_amount,
                    currency=move.currency,
                    quantity=move.quantity,
                )
                for move in going
            ]
        )
    return rise


def _move(item: SubscriptionItem, old: Doc, new: Doc, *, held_out: Collection[uuid.UUID]) -> Move:
    """What it is for this account: in the currency it pays in, which stays
    (https://docs.stripe.com/billing/customer#currency).
    """
    subscription = item.subscription
    currency = subscription.currency
    pays, asked = _amount_in(old, currency), _amount_in(new, currency)
    left_out = _left_out(item, held_out=held_out)
    if not left_out and (pays is None or asked is None):
        left_out = f"pays in {currency.upper()}, in which the new price is not sold"
    elif not left_out and pays == asked:
        left_out = f"pays the same in {currency.upper()} already"
    pays = pays or 0
    return Move(
        account=subscription.account,
        item=item,
        old_amount=pays,
        new_amount=pays if asked is None else asked,
        currency=currency,
        left_out=left_out,
    )


def _is_as_listed(entry: Doc, price: Price) -> bool:
    others = {code: _amount_in(entry, code) for code in _options(entry) if code != entry["currency"]}
    return entry.get("unit_amount") == price.amount and others == dict(price.currencies)


def _rhythm(entry: Doc) -> tuple[str, int]:
    return entry["recurring"]["interval"], entry["recurring"]["interval_count"]


def _amount_in(entry: Doc, currency: str) -> int | None:
    """https://docs.stripe.com/api/prices/object#price_object-currency_options"""
    if entry["currency"] == currency:
        return entry["unit_amount"]  # type: ignore[no-any-return]
    return (_options(entry).get(currency) or {}).get("unit_amount")


def _options(entry: Doc) -> dict[str, Any]:
    return entry.get("currency_options") or {}


def _left_out(item: SubscriptionItem, *, held_out: Collection[uuid.UUID]) -> str:
    subscription = item.subscription
    if subscription.account_id in held_out:
        return "held out"
    if subscription.is_canceling:
        return "is leaving"
    if subscription.needs_review:
        return "is to be looked at first"
    under_way = PriceRiseStep.objects.unfinished().filter(stripe_item_id=item.stripe_item_id)
    return "is in another campaign" if under_way.exists() else ""
