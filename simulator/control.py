"""The levers behind the scenes, as JSON under `/_sim/`: time, post, failures, log. Stripe has none of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from simulator.delivery import Faults
from simulator.failures import HOWS, Failure, RateLimit

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor

Json = dict[str, Any]


RETURNS = ("checkout", "portal")  # pages from which a visitor may never come back
WHOLE = ("seed", "skew_seconds")


class Refused(ValueError):
    """The lever was pulled with words it does not know."""


def respond(door: FrontDoor, method: str, path: str, query: str, body: bytes) -> Answer:
    """Answer a call below `/_sim/`: 200 with JSON, 400 with what is wrong, 404 with the levers there are."""
    name = path.removeprefix("/_sim/").strip("/")
    if (method, name) not in LEVERS:
        known = sorted(f"{verb} /_sim/{noun}" for verb, noun in LEVERS)
        return _json(404, {"error": f"There is no {method} {path}.", "try": known})
    try:
        return _json(200, pull(door, method, name, dict(parse_qsl(query)) | _given(body)))
    except Refused as trouble:
        return _json(400, {"error": f"{path}: {trouble}"})


def pull(door: FrontDoor, method: str, name: str, given: Json) -> Json:
    """Pull the lever of this name, such as `POST`, `faults`. Raises `Refused` with what is wrong."""
    try:
        return LEVERS[method, name](door, given)
    except (TypeError, ValueError, LookupError) as trouble:
        raise trouble if isinstance(trouble, Refused) else Refused(str(trouble)) from trouble


def _health(door: FrontDoor, given: Json) -> Json:
    store = door.simulator.store
    with door.simulator.lock:
        counts = {
            kind: sum(1 for _ in store.all(kind)) for kind in ("customer", "subscription", "invoice", "event")
        }
    return {"ok": True, "objects": counts, "deliveries_waiting": len(door.simulator.deliveries.pending())}


def _reset(door: FrontDoor, given: Json) -> Json:
    door.simulator.reset()
    door.simulator.deliveries.forget()
    door.simulator.deliveries.set_faults(Faults())
    door.forget()
    return {"ok": True}


def _deliveries(door: FrontDoor, given: Json) -> Json:
    state = given.get("state")
    rows = [delivery.row() for delivery in door.simulator.deliveries.rows()]
    return {"data": [row for row in rows if state in (None, row["state"])][: int(given.get("limit", 200))]}


def _resend(door: FrontDoor, given: Json) -> Json:
    try:
        return {"queued": door.simulator.deliveries.resend(_text(given, "event"))}
    except LookupError as unknown:
        raise Refused(f"there is no event {unknown}.") from None


def _flush(door: FrontDoor, given: Json) -> Json:
    return {"accepted": door.simulator.deliveries.deliver_now()}


def _hold(door: FrontDoor, given: Json) -> Json:
    door.simulator.deliveries.set_hold(True)
    return {"hold": True}


def _release(door: FrontDoor, given: Json) -> Json:
    door.simulator.deliveries.set_hold(False)
    return {"hold": False}


def _faults(door: FrontDoor, given: Json) -> Json:
    return asdict(door.simulator.deliveries.faults)


def _set_faults(door: FrontDoor, given: Json) -> Json:
    known = {item.name for item in fields(Faults)}
    _only(given, known)
    chances = {name: float(value) for name, value in given.items() if name not in WHOLE}
    whole = {name: int(given[name]) for name in WHOLE if name in given}
    faults = Faults(**chances, **whole)  # type: ignore[arg-type]  # mypy cannot tell the two kinds apart
    for name in ("drop", "double", "delay", "reorder", "corrupt"):
        if not 0 <= getattr(faults, name) <= 1:
            raise Refused(f"{name} is a chance between 0 and 1, not {getattr(faults, name)}.")
    door.simulator.deliveries.set_faults(faults)
    return asdict(faults)


def _failures(door: FrontDoor, given: Json) -> Json:
    return {"data": [asdict(failure) for failure in door.failures]}


def _fail(door: FrontDoor, given: Json) -> Json:
    _only(given, {item.name for item in fields(Failure)})
    types: dict[str, Callable[[Any], Any]] = {
        "status": int,
        "times": int,
        "skip": int,
        "delay_seconds": float,
    }
    failure = Failure(**{name: types.get(name, str)(value) for name, value in given.items()})
    if failure.when not in ("before", "after"):
        raise Refused(f"when is before or after, not {failure.when}.")
    if failure.how not in HOWS:
        raise Refused(f"how is one of {', '.join(HOWS)}, not {failure.how}.")
    if failure.status != 0 and not 400 <= failure.status <= 599:
        raise Refused(f"status is 0 (hang up) or between 400 and 599, not {failure.status}.")
    door.fail(failure)
    return asdict(failure)


def _call_off(door: FrontDoor, given: Json) -> Json:
    door.failures.clear()
    return {"data": []}


def _limit(door: FrontDoor, given: Json) -> Json:
    return {"per_second": door.limit.per_second}


def _set_limit(door: FrontDoor, given: Json) -> Json:
    per_second = int(given.get("per_second", 0))
    if per_second < 0:
        raise Refused(f"per_second is 0 (no limit) or a positive whole number, not {per_second}.")
    door.limit = RateLimit(per_second)
    return _limit(door, {})


def _returns(door: FrontDoor, given: Json) -> Json:
    return {"forget": sorted(door.forgotten_returns)}


def _set_returns(door: FrontDoor, given: Json) -> Json:
    wanted = given.get("forget") or []
    names = {wanted} if isinstance(wanted, str) else set(wanted)
    if unknown := sorted(names - set(RETURNS)):
        raise Refused(f"forget is any of {', '.join(RETURNS)}, not {unknown[0]}.")
    door.forgotten_returns = names
    return _returns(door, {})


def _advance(door: FrontDoor, given: Json) -> Json:
    seconds = int(_text(given, "seconds"))
    if seconds <= 0:
        raise Refused(f"seconds must be a positive whole number, not {seconds}; time only moves forwards.")
    return {"offset": door.simulator.jump(seconds)}


def _requests(door: FrontDoor, given: Json) -> Json:
    key, path = given.get("idempotency_key"), str(given.get("path", ""))
    found = [
        entry
        for entry in door.requests()
        if path in entry["path"] and key in (None, entry["idempotency_key"])
    ]
    return {"data": found[: int(given.get("limit", 100))]}


def _endpoint(door: FrontDoor, given: Json) -> Json:
    url = _text(given, "url")
    if not url.startswith(("http://", "https://")):
        raise Refused(f"url must begin with http:// or https://, not {url}.")
    door.simulator.deliveries.add_endpoint(url, _text(given, "secret"))
    return {"url": url}


LEVERS: dict[tuple[str, str], Callable[[FrontDoor, Json], Json]] = {
    ("GET", "health"): _health,
    ("POST", "reset"): _reset,
    ("GET", "deliveries"): _deliveries,
    ("POST", "deliveries/resend"): _resend,
    ("POST", "deliveries/flush"): _flush,
    ("POST", "hold"): _hold,
    ("POST", "release"): _release,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _set_faults,
    ("GET", "failures"): _failures,
    ("POST", "failures"): _fail,
    ("DELETE", "failures"): _call_off,
    ("GET", "rate_limit"): _limit,
    ("POST", "rate_limit"): _set_limit,
    ("GET", "returns"): _returns,
    ("POST", "returns"): _set_returns,
    ("POST", "advance"): _advance,
    ("GET", "requests"): _requests,
    ("POST", "endpoint"): _endpoint,
}


def _given(body: bytes) -> Json:
    if not body:
        return {}
    if body.lstrip()[:1] == b"{":
        found: Json = json.loads(body)
        return found
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _only(given: Json, known: set[str]) -> None:
    if unknown := sorted(given.keys() - known):
        raise Refused(f"{unknown[0]} is not one of {', '.join(sorted(known))}.")


def _text(given: Json, name: str) -> str:
    if not given.get(name):
        raise Refused(f"{name} is missing.")
    return str(given[name])


def _json(status: int, answer: Json) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()
