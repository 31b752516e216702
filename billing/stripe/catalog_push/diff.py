"""The words of a push: a change, what counts as different, and the keys that make creating safe twice."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from billing.stripe import gateway

Doc = dict[str, Any]
Verb = Literal["create", "change", "archive", "unchanged"]

# Metadata on everything pushed: whose it is; and on prices the lookup key they were made for, which a newer
# price may have taken over since.
CATALOG_KEY = "tallyhouse_catalog"
PLAN_KEY = "tallyhouse_plan"
PACK_KEY = "tallyhouse_pack"
PRICE_KEY = "tallyhouse_price"
# More than any price list has; a bound so that no loop runs for ever.
MANY = 10_000


class CannotPush(Exception):
    """Stripe has something of this name that cannot be made to fit; says what and what to do."""


@dataclass(frozen=True)
class Change:
    """One line of the diff. `act` does it; None where nothing is to be done."""

    verb: Verb
    what: str
    name: str
    detail: str = ""
    act: Callable[[], object] | None = None


def create(what: str, name: str, path: str, wish: Doc, detail: str = "") -> Change:
    """Make something new; a repeated wish makes it once."""
    return Change("create", what, name, detail, lambda: post_once(path, wish))


def update(verb: Verb, what: str, name: str, path: str, wish: Doc, detail: str = "") -> Change:
    """Set fields of something that is there."""
    return Change(verb, what, name, detail, lambda: post_again(path, wish))


def post_once(path: str, wish: Doc, *, instead_of: str = "") -> Doc:
    """Create by a key made of the wish, so that a push repeated after a lost answer makes nothing twice.

    `instead_of`: the id of what is replaced; it lets the same thing be made again after a change to and fro.
    """
    content = json.dumps([path, wish, instead_of], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:40]
    return gateway.post(path, wish, idempotency_key=f"catalog:{digest}")


def post_again(path: str, wish: Doc) -> Doc:
    """Update. Setting fields twice is harmless; a key used twice would be answered without setting them."""
    return gateway.post(path, wish, idempotency_key=f"catalog:{uuid.uuid4().hex}")


def differs(wanted: Any, actual: Any) -> bool:
    """Whether `actual` lacks anything of `wanted`; fields not wanted and the order of lists do not matter."""
    if isinstance(wanted, Mapping):
        return not isinstance(actual, Mapping) or any(
            differs(value, actual.get(key)) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return sorted(wanted) != sorted(actual or [])
    return bool(wanted != actual)


def different(wanted: Doc, actual: Doc) -> str:
    """The names of the fields that differ."""
    return ", ".join(key for key, value in wanted.items() if differs(value, actual.get(key)))
