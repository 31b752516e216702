"""What goes in and what comes out of gauges and slots, field by field, with the units."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from ninja import Schema
from pydantic import AwareDatetime, Field, WithJsonSchema

from usage.api.shapes import Body
from usage.standing import gauges

_WHOLE = {"type": "integer", "maximum": gauges.MOST_UNITS}


class ClaimIn(Body):
    """More of something."""

    # Checked by gauges, which know what a unit is; the schema says the same to readers.
    units: Annotated[Any, WithJsonSchema({**_WHOLE, "minimum": 1, "default": 1})] = Field(
        1, description="Whole units (bytes for storage); all of them are counted, or none."
    )
    key: str | None = Field(
        None,
        description="Names the thing: claimed again while it is held, it is counted once.",
        min_length=1,
        max_length=200,
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class ReleaseIn(Body):
    """Less of something."""

    units: Annotated[Any, WithJsonSchema({**_WHOLE, "minimum": 1})] = Field(
        None, description="Without a key: how many; 1 when not said."
    )
    key: str | None = Field(
        None,
        description="What was claimed by this key goes, whole; when nothing is held by it, nothing changes.",
        min_length=1,
        max_length=200,
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class CountIn(Body):
    """How many there really are."""

    value: Annotated[Any, WithJsonSchema({**_WHOLE, "minimum": 0})] = Field(
        description="The whole count, taken also when it is above the limit."
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class GaugeOut(Schema):
    """How much of a feature is held."""

    account: uuid.UUID
    feature: str
    name: str
    used: int
    limit: int | None = Field(description="null: unlimited.")
    remaining: int | None
    is_over: bool = Field(
        description="More is held than the plan gives: show it, let it be removed, add and change nothing."
    )
    over_since: AwareDatetime | None = Field(description="When that was first seen.")


class GaugesOut(Schema):
    """Every standing limit of the price list."""

    account: uuid.UUID
    gauges: list[GaugeOut]


class SlotIn(Body):
    """A run, by its key."""

    key: str = Field(description="Names the run, such as its id.", min_length=1, max_length=200)
    ttl_seconds: int = Field(
        300, ge=1, le=86_400, description="How long the slot is kept without a heartbeat."
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class SlotOut(Schema):
    """A run that is going on, until it is given back or silent for too long."""

    feature: str
    key: str
    taken_at: AwareDatetime
    expires_at: AwareDatetime


class SlotsOut(Schema):
    """The runs that are going on, oldest first."""

    account: uuid.UUID
    feature: str
    used: int
    limit: int | None
    remaining: int | None
    slots: list[SlotOut]


class HeartbeatOut(Schema):
    key: str
    expires_at: AwareDatetime


class GivenBackOut(Schema):
    key: str
    was_held: bool = Field(description="False: it had been given back before, or its time was over.")
