"""All that a new subscription may be told, and how it is read from a request."""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from simulator.billing_engine import discounts, items, periods, taxing
from simulator.errors import invalid
from simulator.params import Params
from simulator.resources import payment_methods
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")
PENDING = "pending_if_incomplete"


@dataclass
class Terms:
    """What a subscription begins with; every field but the items has Stripe's own default."""

    wanted: list[items.Wanted]
    trial_end: int | None = None
    behavior: str = "allow_incomplete"
    off_session: bool = False
    default_payment_method: str | None = None
    collection_method: str = "charge_automatically"
    days_until_due: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    discounts: list[str] = field(default_factory=list)
    anchor: int | None = None
    prorates_stub: bool = True
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    missing_payment_method: str = "create_invoice"
    billing_mode: str = "flexible"
    automatic_tax: bool = False
    default_tax_rates: list[Obj] = field(default_factory=list)
    payment_settings: Obj | None = None
    schedule: str | None = None
    currency: str | None = None
    """The price's own by default."""
    extras: Params | None = None
    """Where `add_invoice_items[]` is to be read from."""
    authenticated_intent: str | None = None
    """A payment intent the customer has already proven themselves for, on the checkout page."""


def read(sim: "Simulator", customer: Obj, params: Params) -> Terms:
    """The terms of `POST /v1/subscriptions`; raises 400 for what cannot be."""
    now = sim.clock.now(customer)
    method = params.text("default_payment_method")
    if method is not None:
        method = payment_methods.need(sim, method, param="default_payment_method", status=400)["id"]
    return Terms(
        wanted=items.read(sim, params),
        trial_end=trial_end(params, now),
        behavior=_behavior(params),
        off_session=params.flag("off_session"),
        default_payment_method=method,
        collection_method=params.choice(
            "collection_method", ("charge_automatically", "send_invoice"), "charge_automatically"
        ),
        days_until_due=params.integer("days_until_due"),
        metadata=params.metadata(),
        description=params.text("description"),
        discounts=discounts.asked_for(sim, params, customer=customer["id"]),
        anchor=anchor(params, now),
        prorates_stub=params.text("proration_behavior") != "none",
        cancel_at=params.integer("cancel_at"),
        cancel_at_period_end=params.flag("cancel_at_period_end"),
        missing_payment_method=missing_payment_method(params),
        billing_mode=params.inner("billing_mode").text("type") or "flexible",
        automatic_tax=params.inner("automatic_tax").flag("enabled"),
        default_tax_rates=taxing.asked_for(sim, params, "default_tax_rates"),
        payment_settings=_payment_settings(params.inner("payment_settings")),
        currency=params.text("currency"),
        extras=params if "add_invoice_items" in params else None,
    )


def trial_end(params: Params, now: int) -> int | None:
    """When a new trial ends, from `trial_end` (or `now`) and `trial_period_days`."""
    if params.text("trial_end") == "now":
        return None
    given, days = params.integer("trial_end"), params.integer("trial_period_days")
    if given is not None and given <= now:
        raise invalid(
            "Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end"
        )
    if days is not None and not 1 <= days <= 730:
        raise invalid("This value must be between 1 and 730.", param="trial_period_days")
    return given if given is not None else (now + days * periods.DAY if days else None)


def anchor(params: Params, now: int) -> int | None:
    """`billing_cycle_anchor`, or the next moment that fits `billing_cycle_anchor_config`
    (docs.stripe.com/billing/subscriptions/billing-cycle).
    """
    given = params.integer("billing_cycle_anchor")
    if given is not None and given < now:
        raise invalid("The billing_cycle_anchor must be in the future.", param="billing_cycle_anchor")
    config = params.inner("billing_cycle_anchor_config")
    if not config.values:
        return given
    if given is not None:
        raise invalid(
            "You may only specify one of these parameters: billing_cycle_anchor, billing_cycle_anchor_config.",
            param="billing_cycle_anchor_config",
        )
    config.need("day_of_month")
    day, month = _within(config, "day_of_month", 1, 31), _within(config, "month", 1, 12)
    start = datetime.fromtimestamp(now, UTC)
    parts = {"hour": start.hour, "minute": start.minute, "second": start.second}
    for name, most in (("hour", 23), ("minute", 59), ("second", 59)):
        # Stripe takes the subscription's own time of day when none is given.
        parts[name] = _within(config, name, 0, most) if name in config else parts[name]
    for ahead in range(13):
        years, at = divmod(start.year * 12 + start.month - 1 + ahead, 12)
        if month and at + 1 != month:
            continue
        last = monthrange(years, at + 1)[1]
        found = int(datetime(years, at + 1, min(day, last), tzinfo=UTC, **parts).timestamp())
        if found >= now:
            return found
    raise invalid("The billing_cycle_anchor_config fits no day.", param="billing_cycle_anchor_config")


def missing_payment_method(params: Params) -> str:
    """What a trial without a card ends in."""
    behavior = params.inner("trial_settings").inner("end_behavior")
    return behavior.choice("missing_payment_method", ("cancel", "create_invoice", "pause"), "create_invoice")


def _behavior(params: Params) -> str:
    behavior = params.choice("payment_behavior", BEHAVIORS, "allow_incomplete")
    if behavior == PENDING:
        raise invalid(
            f"`{PENDING}` is only for updates: there is nothing yet that a new subscription could stay.",
            param="payment_behavior",
        )
    return behavior


def _within(params: Params, name: str, least: int, most: int) -> int:
    value = params.integer(name)
    if value is not None and not least <= value <= most:
        raise invalid(f"This value must be between {least} and {most}.", param=params.name(name))
    return value or 0


def _payment_settings(params: Params) -> Obj | None:
    if not params.values:
        return None
    return {
        "payment_method_options": None,
        "payment_method_types": params.list("payment_method_types") or None,
        "save_default_payment_method": params.text("save_default_payment_method") or "off",
    }
