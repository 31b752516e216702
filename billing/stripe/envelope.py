"""What is written on the outside of a letter: who sends it, about whom, of what kind. No more is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson


class Malformed(Exception):
    """Well signed, but not a letter: no JSON, or not an event."""


@dataclass(frozen=True)
class Envelope:
    """A letter's outside. Ids only: what they stand for is asked of Stripe."""

    event_id: str
    type: str
    livemode: bool
    api_version: str
    created_at: datetime
    object_id: str
    customer_id: str
    # The connected account the event comes from; empty for our own.
    foreign_account: str


def read(body: bytes) -> Envelope:
    """The envelope of a snapshot event (`event`) or a thin one (`v2.core.event`).

    Shapes: https://docs.stripe.com/api/events/object and https://docs.stripe.com/api/v2/core/events/object.

    Raises:
        Malformed: not JSON, or without an id, a type, a mode or a moment.
    """
    try:
        letter = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed("The body is not JSON.") from error
    if not isinstance(letter, dict) or letter.get("object") not in ("event", "v2.core.event"):
        raise Malformed("The body is not an event.")
    if not isinstance(letter.get("livemode"), bool):
        raise Malformed("The event does not say its mode.")
    thin = letter["object"] == "v2.core.event"
    subject, before = _subject(letter, thin)
    return Envelope(
        event_id=_word(letter, "id", longest=128),
        type=_word(letter, "type", longest=120),
        livemode=letter["livemode"],
        api_version=_short(letter.get("api_version"), 40),
        created_at=_moment(letter.get("created")),
        object_id=_short(subject.get("id"), 128),
        customer_id=_customer(subject, before),
        foreign_account=_short(letter.get("context") if thin else letter.get("account"), 128),
    )


def _subject(letter: dict[str, Any], thin: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The object the letter is about, and what it was before where the letter says so."""
    if thin:
        return _mapping(letter.get("related_object")), {}
    data = _mapping(letter.get("data"))
    return _mapping(data.get("object")), _mapping(data.get("previous_attributes"))


def _customer(subject: dict[str, Any], before: dict[str, Any]) -> str:
    if subject.get("object") == "customer":
        return _short(subject.get("id"), 64)
    # A detached card names its customer only among the previous attributes.
    for customer in (subject.get("customer"), before.get("customer")):
        if isinstance(customer, dict):
            customer = customer.get("id")
        if customer:
            return _short(customer, 64)
    return ""


def _moment(created: Any) -> datetime:
    """Seconds since 1970 on snapshot events, ISO 8601 on thin ones."""
    try:
        if isinstance(created, str):
            moment = datetime.fromisoformat(created)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(created, int) and not isinstance(created, bool):
            return datetime.fromtimestamp(created, tz=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Malformed("The event's moment cannot be read.") from error
    raise Malformed("The event does not say when it happened.")


def _word(letter: dict[str, Any], key: str, *, longest: int) -> str:
    value = letter.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
        raise Malformed(f"The event's {key} cannot be read.")
    return value


def _short(value: Any, longest: int) -> str:
    return value if isinstance(value, str) and len(value) <= longest and "\0" not in value else ""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
