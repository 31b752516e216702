"""Meters and meter events: usage as it is reported, added up when it is billed."""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import meter_errors, periods, usage
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("_meter_use", found_by=("customer",))
noun("billing.meter", "mtr_test_")

# docs.stripe.com/api/billing/meter-event/create: 35 days back, 5 minutes ahead, identifiers unique for 24
# hours.
OLDEST_SECONDS = 35 * periods.DAY
NEWEST_SECONDS = 5 * 60
UNIQUE_SECONDS = periods.DAY


@route("POST", "/v1/billing/meters")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/billing/meters; one active meter for an event name."""
    params = request.params
    name = params.need("event_name")
    if by_event(sim, name) is not None:
        raise invalid(
            f"There is already an active meter with the event name `{name}`.",
            param="event_name",
            code="resource_already_exists",
        )
    now = sim.clock.now()
    formula = params.inner("default_aggregation").choice("formula", ("count", "last", "sum"), "sum")
    meter = new(
        "billing.meter",
        created=now,
        customer_mapping={
            "event_payload_key": params.inner("customer_mapping").text("event_payload_key")
            or "stripe_customer_id",
            "type": "by_id",
        },
        default_aggregation={"formula": formula},
        display_name=params.need("display_name"),
        event_name=name,
        event_time_window=params.text("event_time_window"),
        status="active",
        status_transitions={"deactivated_at": None},
        updated=now,
        value_settings={
            "event_payload_key": params.inner("value_settings").text("event_payload_key") or "value"
        },
    )
    return events.created(sim, meter)


@route("GET", "/v1/billing/meters")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/billing/meters, by status."""
    status = request.params.text("status")
    return lists.page(sim, request, "billing.meter", where=lambda meter: status in (None, meter["status"]))


@route("GET", "/v1/billing/meters/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/billing/meters/{id}."""
    return _need(sim, name)


@route("POST", "/v1/billing/meters/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/billing/meters/{id}: its display name."""
    meter = _need(sim, name)
    with events.change(sim, meter, "billing.meter.updated"):
        meter["display_name"] = request.params.text("display_name") or meter["display_name"]
        meter["updated"] = sim.clock.now()
    return meter


@route("POST", "/v1/billing/meters/{id}/deactivate")
def deactivate(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/billing/meters/{id}/deactivate."""
    meter = _need(sim, name)
    meter |= {"status": "inactive", "updated": sim.clock.now()}
    meter["status_transitions"]["deactivated_at"] = sim.clock.now()
    sim.save(meter)
    events.emit(sim, "billing.meter.deactivated", meter)
    return meter


@route("POST", "/v1/billing/meters/{id}/reactivate")
def reactivate(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/billing/meters/{id}/reactivate."""
    meter = _need(sim, name)
    meter |= {"status": "active", "updated": sim.clock.now()}
    meter["status_transitions"]["deactivated_at"] = None
    sim.save(meter)
    events.emit(sim, "billing.meter.reactivated", meter)
    return meter


@route("GET", "/v1/billing/meters/{id}/event_summaries")
def event_summaries(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/billing/meters/{id}/event_summaries: one for the range, or one for each hour or day."""
    meter, params = _need(sim, name), request.params
    start, end = params.integer("start_time") or 0, params.integer("end_time") or 0
    if start % 60 or end % 60:
        raise invalid("start_time and end_time must align with minute boundaries.", param="start_time")
    if end <= start:
        raise invalid("end_time must be after start_time.", param="end_time")
    customer = params.need("customer")
    step = {"hour": 3600, "day": periods.DAY}.get(params.text("value_grouping_window") or "", end - start)
    if start % step and params.text("value_grouping_window"):
        raise invalid("start_time must align with the grouping window.", param="start_time")
    found = []
    for begins in range(start, end, step):
        ends = min(begins + step, end)
        value = usage.total(sim, meter, customer, begins, ends)
        if value or step == end - start:
            found.append(
                new(
                    "billing.meter_event_summary",
                    id=f"mtrusg_test_{meter['id'][-8:]}_{begins}",
                    aggregated_value=float(value),
                    end_time=ends,
                    meter=meter["id"],
                    start_time=begins,
                )
            )
    return lists.of(reversed(found), request.path, request)


@route("POST", "/v1/billing/meter_events")
def create_event(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/billing/meter_events; an identifier seen in the last day is refused.

    An unknown customer or a bad value is taken in all the same, and reported later as a thin event.
    """
    params = request.params
    name, payload = params.need("event_name"), params.inner("payload")
    meter = by_event(sim, name)
    if meter is None:
        raise invalid(
            f"No active meter found for event name: {name}.", param="event_name", code="resource_missing"
        )
    customer = payload.text(meter["customer_mapping"]["event_payload_key"])
    now = sim.clock.now(customer)
    at = params.integer("timestamp", now) or now
    if at < now - OLDEST_SECONDS:
        raise invalid(
            "The timestamp is too far in the past: at most 35 days.",
            param="timestamp",
            code="timestamp_too_far_in_past",
        )
    if at > now + NEWEST_SECONDS:
        raise invalid(
            "The timestamp is too far in the future: at most 5 minutes.",
            param="timestamp",
            code="timestamp_in_future",
        )
    identifier = params.text("identifier") or new_id("", 32)
    before = _known(sim, name, identifier)
    if before is not None and now - before["received"] < UNIQUE_SECONDS:
        raise invalid(
            f"An event already exists with identifier {identifier}.",
            param="identifier",
            code="duplicate_meter_event",
        )
    value = _value(payload.text(meter["value_settings"]["event_payload_key"]), meter)
    wrong = _what_is_wrong(sim, customer, value)
    if wrong is not None:
        meter_errors.report(sim, meter, code=wrong[0], message=wrong[1], identifier=identifier)
    else:
        place = f"{name}:{identifier}"
        if before is not None:  # used again after its day: both count
            place = f"{place}:{now}"
        use = {"id": place, "event_name": name, "customer": customer, "timestamp": at}
        sim.store.put("_meter_use", {**use, "value": str(value), "received": now})
        known = {"id": f"{name}:{identifier}", "received": now, "use": use["id"]}
        sim.store.put("_meter_identifier", known)
    facts = {key: str(inner) for key, inner in payload.values.items()}
    return new(
        "billing.meter_event",
        created=now,
        event_name=name,
        identifier=identifier,
        payload=facts,
        timestamp=at,
    )


@route("POST", "/v1/billing/meter_event_adjustments")
def adjust(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/billing/meter_event_adjustments: takes back one event by its identifier, within a day."""
    params = request.params
    name, identifier = params.need("event_name"), params.inner("cancel").need("identifier")
    known = _known(sim, name, identifier)
    if known is None:
        raise invalid(
            f"No event found with identifier {identifier}.",
            param="cancel[identifier]",
            code="resource_missing",
        )
    use = sim.store.get("_meter_use", known["use"]) or {}
    if sim.clock.now(use["customer"]) - known["received"] > UNIQUE_SECONDS:
        raise invalid(
            "A meter event can only be canceled within 24 hours of being received.",
            param="cancel[identifier]",
            code="timestamp_too_far_in_past",
        )
    sim.store.remove("_meter_use", use["id"])
    return new(
        "billing.meter_event_adjustment",
        cancel={"identifier": identifier},
        event_name=name,
        status="pending",
        type="cancel",
    )


def by_event(sim: "Simulator", name: str) -> Obj | None:
    """The active meter for an event name."""
    for meter in sim.store.all("billing.meter"):
        if meter["event_name"] == name and meter["status"] == "active":
            return meter
    return None


def _known(sim: "Simulator", name: str, identifier: str) -> Obj | None:
    """What an identifier last stood for, unless that was taken back."""
    known = sim.store.get("_meter_identifier", f"{name}:{identifier}")
    return known if known and sim.store.get("_meter_use", known["use"]) else None


def _value(text: str | None, meter: Obj) -> Decimal | None:
    if text is None and meter["default_aggregation"]["formula"] == "count":
        return Decimal(1)
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        return None
    return value if value.is_finite() and value >= 0 else None


def _what_is_wrong(sim: "Simulator", customer: str | None, value: Decimal | None) -> tuple[str, str] | None:
    """Code and message of an error Stripe finds only after it answered, or None."""
    if customer is None:
        return "meter_event_no_customer_defined", "The payload names no customer."
    found = sim.store.get("customer", customer)
    if found is None or found.get("deleted"):
        return "meter_event_customer_not_found", f"There is no customer {customer}."
    if value is None:
        return "meter_event_invalid_value", "The payload's value is not a non-negative number."
    return None


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("billing.meter", name)
    if found is None:
        raise no_such("meter", name)
    return found
