"""Prices that are sold no more and still paid: Stripe takes them by name only while they are active."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from billing.stripe import gateway


@contextmanager
def usable(price_ids: Iterable[str]) -> Iterator[None]:
    """For the block, the archived ones among them are active; nobody is sold one meanwhile, as it has no lookup key.

    A crash in between leaves one active, until the next `sync_catalog`. Raises the gateway's errors.
    https://docs.stripe.com/products-prices/manage-prices#archive-price
    """
    archived = [one for one in sorted(set(price_ids)) if not gateway.get(f"/v1/prices/{one}")["active"]]
    for price_id in archived:
        _set_active(price_id, True)
    try:
        yield
    finally:
        for price_id in archived:
            _set_active(price_id, False)


def _set_active(price_id: str, active: bool) -> None:
    # A key of its own each time: on and off again are two acts.
    gateway.post(f"/v1/prices/{price_id}", {"active": active}, idempotency_key=f"active:{uuid.uuid4()}")
