"""Report runs: accepted and done at once, without a file."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.errors import no_such
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator


@route("POST", "/v1/reporting/report_runs")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/reporting/report_runs: succeeds at once; `result` stays empty."""
    params, now = request.params, sim.clock.now()
    run = new(
        "reporting.report_run",
        id=new_id("frr_"),
        created=now,
        report_type=params.need("report_type"),
        status="succeeded",
        succeeded_at=now,
    )
    run["parameters"] = {
        key: int(value) if key.startswith("interval_") else value
        for key, value in params.inner("parameters").values.items()
    }
    sim.save(run)
    events.emit(sim, "reporting.report_run.succeeded", run)
    return run


@route("GET", "/v1/reporting/report_runs/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/reporting/report_runs/{id}."""
    found = sim.store.get("reporting.report_run", name)
    if found is None:
        raise no_such("reporting.report_run", name, param="report_run")
    return found
