"""Is it true what the simulator says? Its answers, letters and refusals are held against the SDK and recordings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from simulator import sdk
from simulator.core import Simulator
from simulator.delivery import Deliveries
from tests.simulator import recorded

# What real answers carry although the SDK no longer declares it, each with its reason.
BEYOND_THE_SDK = frozenset(
    (
        "subscription.plan",  # recorded answers of a subscription with one item still have the legacy plan
        "subscription.quantity",  # and its quantity
    )
)


@contextmanager
def watched() -> Iterator[None]:
    """While this lasts every simulator of the process is listened to; what was untrue fails the test at the end."""
    found: set[str] = set()
    handle, enqueue = Simulator.handle, Deliveries.enqueue

    def answered(self: Simulator, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        answer = handle(self, method, path, *args, **kwargs)
        if answer[1].get("Content-Type") == "application/json":
            shown = json.loads(answer[2])
            problems = _problems(shown) if answer[0] == 200 else sdk.refusal_problems(shown)
            if problems:
                route = f"{method} {re.sub(r'_[A-Za-z0-9_]{8,}', '_…', path)}"
                found.update(f"{route}: {problem}" for problem in problems)
        return answer

    def written(self: Deliveries, event: dict[str, Any]) -> None:
        enqueue(self, event)
        found.update(f"event {event['type']}: {problem}" for problem in _problems(event))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Simulator, "handle", answered)
        patch.setattr(Deliveries, "enqueue", written)
        yield
    assert not found, "\n".join(sorted(found)[:40])


def _problems(shown: dict[str, Any]) -> list[str]:
    return sdk.problems(shown, extras=BEYOND_THE_SDK) + recorded.missing(shown)
