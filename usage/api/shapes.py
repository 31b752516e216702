"""What goes in and what comes out, field by field, with the units: the source of the API's documentation."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Count = Annotated[int, Field(ge=0)]
CURRENCY = "What `cost` is in: what the account pays in. Where nothing costs anything, the price list's own."


class Body(BaseModel):
    """What a call carries; a word we do not know is refused rather than passed over.

    Not ninja's Schema: that one also reads rows of the database, and looks at each field as if it were one's.
    """

    model_config = ConfigDict(extra="forbid")


class UsageIn(Body):
    """Units to count."""

    feature: str = Field(
        description="A countable feature of the price list.", examples=["tokens"], max_length=60
    )
    # Checked by metering, which knows what a unit is; the schema says the same to readers.
    units: Annotated[
        Any, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "default": 1})
    ] = Field(1, description="Whole units; all of them are counted, or none.")
    idempotency_key: str | None = Field(
        None,
        description="Names this act: sent again, it is counted once. May be sent as the header Idempotency-Key.",
        min_length=1,
        max_length=200,
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class SourceOut(Schema):
    """A part of an act's units."""

    kind: Literal["allowance", "forgiven", "credits", "paid"]
    units: int
    amount: int | None = Field(
        description="What they cost, in the currency's smallest unit; null: they are not paid one by one."
    )


class ReceiptOut(Schema):
    """What was counted, where it came from and what it costs."""

    id: int = Field(description="The row in the ledger.")
    account: uuid.UUID
    feature: str
    units: int
    used: int = Field(description="Units used in the current window after this act.")
    limit: int | None = Field(description="Units per window; null: no limit.")
    remaining: int | None = Field(
        description="What may still be used; units that other work holds are not among them."
    )
    resets_at: datetime = Field(description="When the allowance comes back.")
    replayed: bool = Field(
        description="True: this key had been counted before, and this is the answer of then."
    )
    sources: list[SourceOut]
    cost: int = Field(description="In the currency's smallest unit.")
    currency: str = Field(description=CURRENCY)


class BalanceOut(Schema):
    """One feature in the current window, `period_start` included, `period_end` not."""

    feature: str
    name: str
    used: int
    reserved: int = Field(description="Held by work that is going on: neither used nor left.")
    limit: int | None
    remaining: int | None
    is_metered: bool
    period_start: datetime
    period_end: datetime


class RecordOut(Schema):
    """One act of use, as the ledger has it."""

    id: int
    feature: str
    units: int
    used_after: int
    idempotency_key: str
    recorded_at: datetime


class UsageOut(Schema):
    """Balances, and the latest acts, newest first."""

    account: uuid.UUID
    balances: list[BalanceOut]
    records: list[RecordOut]
    next_cursor: str | None = Field(description="Send it as `cursor` for older acts; null: that was all.")


class PlanNameOut(Schema):
    key: str
    name: str


class AllowanceOut(Schema):
    quantity: int | None = Field(description="Units per window; null: unlimited.")
    per: str = Field(description="day, week or month")


class EntitlementsOut(Schema):
    """What the account may do now."""

    account: uuid.UUID
    plan: PlanNameOut
    level: str = Field(description="full, grace, free or blocked")
    reason: str
    grace_until: datetime | None
    valid_until: datetime | None = Field(
        description="Without news, this answer holds until then; null: for good."
    )
    seats: int
    switches: dict[str, bool]
    limits: dict[str, int | None] = Field(description="Standing maxima; null: unlimited.")
    allowances: dict[str, AllowanceOut]
    metered: list[str] = Field(description="Paid by the unit, without a limit.")


class SubscriptionOut(Schema):
    """The subscription that counts."""

    plan: PlanNameOut
    price: str = Field(description="Lookup key of the price.")
    status: str = Field(description="Stripe's word: trialing, active, past_due, …")
    quantity: int
    trial_end: datetime | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None


class SubscriptionAnswer(Schema):
    account: uuid.UUID
    subscription: SubscriptionOut | None = Field(description="null: none is live.")


class PriceOut(Schema):
    lookup_key: str
    amount: int = Field(description="In the currency's smallest unit: cents.")
    currency: str
    interval: str
    interval_count: int
    per_seat: bool
    meter: str | None = Field(description="The feature this price charges by the unit.")


class PlanOut(Schema):
    key: str
    name: str
    summary: str
    audience: str
    is_free: bool
    contact_sales: bool
    popular: bool
    trial_days: int
    min_seats: int | None
    max_seats: int | None
    prices: list[PriceOut]
    switches: list[str]
    limits: dict[str, int | None]
    allowances: dict[str, AllowanceOut]
    metered: list[str]


class PlansOut(Schema):
    """The price list."""

    currency: str
    plans: list[PlanOut]


class ProblemOut(Schema):
    """An error (RFC 9457). Some carry more: what was used, when it comes back, where to buy more."""

    type: str
    title: str
    status: int
    code: str = Field(description="Stable, for programs.")
    detail: str = Field(description="For people: what happened and what to do.")
