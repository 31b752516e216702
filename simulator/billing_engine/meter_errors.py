"""Meter events that were taken in and could not be counted: reported later in a thin event
(docs.stripe.com/billing/subscriptions/usage-based/recording-usage#handle-meter-event-errors).
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulator.shapes import Obj, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

_KIND = "v1.billing.meter.error_report_triggered"
_NO_METER = "v1.billing.meter.no_meter_found"


def report(sim: "Simulator", meter: Obj | None, *, code: str, message: str, identifier: str) -> Obj:
    """Tells of one event that did not count; `meter` None: there is no meter of that name.

    Stripe gathers the errors of some minutes into one report; here each has its own, at once.
    """
    now = sim.clock.now()
    begins = now - now % 300
    event: Obj = {
        "id": new_id("evt_test_", 24),
        "object": "v2.core.event",
        "changes": None,
        "context": None,
        "created": _moment(now),
        "livemode": False,
        "reason": None,
        "type": _KIND if meter else _NO_METER,
    }
    if meter is not None:
        event["related_object"] = {
            "id": meter["id"],
            "type": "billing.meter",
            "url": f"/v1/billing/meters/{meter['id']}",
        }
    sample = {"error_message": message, "request": {"identifier": identifier}}
    data: dict[str, Any] = {
        "developer_message_summary": f"There is 1 invalid event: {message}",
        "reason": {
            "error_count": 1,
            "error_types": [{"code": code, "error_count": 1, "sample_errors": [sample]}],
        },
        "validation_end": _moment(begins + 300),
        "validation_start": _moment(begins),
    }
    # The letter is thin: only who asks for the event by its id is told what went wrong.
    letter = {key: value for key, value in event.items() if key not in ("changes",)}
    sim.store.put("v2.core.event", {**event, "data": data})
    sim.deliveries.enqueue(letter)
    letter.pop("pending_webhooks", None)
    return event


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
