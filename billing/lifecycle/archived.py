"""Prices that are sold no more and still paid: Stripe takes them by name only while they are active."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from billing.models import PriceUse
from billing.stripe import gateway

# Longer than any act takes, a campaign that is undone among them.
USE = timedelta(hours=1)
# Two calls to Stripe with their retries.
TURN = timedelta(seconds=90)
PATIENCE_SECONDS = 10.0


@contextmanager
def usable(price_ids: Iterable[str]) -> Iterator[None]:
    """For the block, the archived ones among them are active; nobody is sold one meanwhile, as it has no lookup key.

    Several may use the same price at once: the last to finish archives it. A crash in between leaves one active, until
    it is used again or the next `sync_catalog`. Raises the gateway's errors; StripeUnavailable too when others open
    and archive it for longer than anybody waits.
    https://docs.stripe.com/products-prices/manage-prices#archive-price
    """
    with ExitStack() as opened:
        for price_id in sorted(set(price_ids)):
            opened.enter_context(_open(price_id))
        yield


@contextmanager
def _open(price_id: str) -> Iterator[None]:
    use = _begin(price_id)
    try:
        yield
    finally:
        if use is not None:
            _end(use)


def _begin(price_id: str) -> PriceUse | None:
    """None for a price that is for sale: nobody archives it."""
    with _turn(price_id):
        # Also of somebody who was killed, and could not archive it.
        uses = PriceUse.objects.filter(stripe_price_id=price_id, is_turn=False)
        is_active = gateway.get(f"/v1/prices/{price_id}")["active"]
        if is_active and not uses.exists():
            return None
        uses.filter(expires_at__lte=Now()).delete()
        use: PriceUse = PriceUse.objects.create(stripe_price_id=price_id, expires_at=Now() + USE)
        if not is_active:
            _set_active(price_id, True)
        return use


def _end(use: PriceUse) -> None:
    with _turn(use.stripe_price_id):
        PriceUse.objects.filter(pk=use.pk).delete()
        others = PriceUse.objects.filter(stripe_price_id=use.stripe_price_id, is_turn=False)
        if not others.filter(expires_at__gt=Now()).exists():
            _set_active(use.stripe_price_id, False)
            others.delete()


@contextmanager
def _turn(price_id: str) -> Iterator[None]:
    """One at a time looks who uses a price and opens or archives it: else one would archive what another has just
    found active.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (turn := _take(price_id)) is None:
        if time.monotonic() > deadline:
            raise gateway.StripeUnavailable("An older price is being opened for other changes just now.")
        time.sleep(0.02 + random.random() * 0.05)
    try:
        yield
    finally:
        PriceUse.objects.filter(pk=turn.pk).delete()


def _take(price_id: str) -> PriceUse | None:
    PriceUse.objects.filter(stripe_price_id=price_id, is_turn=True, expires_at__lte=Now()).delete()
    try:
        with transaction.atomic():
            turn: PriceUse = PriceUse.objects.create(
                stripe_price_id=price_id, is_turn=True, expires_at=Now() + TURN
            )
    except IntegrityError:
        return None
    return turn


def _set_active(price_id: str, active: bool) -> None:
    # A key of its own each time: on and off again are two acts.
    gateway.post(f"/v1/prices/{price_id}", {"active": active}, idempotency_key=f"active:{uuid.uuid4()}")
