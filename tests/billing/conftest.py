"""What only the tests of billing ask for."""

import json
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings

if TYPE_CHECKING:
    from simulator.core import Simulator


class Failures:
    """Stripe's bad days, by the simulator's control page: `stripe_fails(method="POST", path="/v1/refunds",
    …)`.
    """

    def __call__(self, **how: Any) -> None:
        """`status` 0 hangs up; `when` is "before" or "after" the call had its effect; `times` in a row."""
        self._press("POST", how)

    def call_off(self) -> None:
        self._press("DELETE", {})

    def _press(self, method: str, how: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{settings.STRIPE_API_BASE}/_sim/failures", data=json.dumps(how).encode(), method=method
        )
        urllib.request.urlopen(request, timeout=5).close()


@pytest.fixture
def stripe_fails(simulator: "Simulator") -> Iterator[Failures]:
    failures = Failures()
    yield failures
    failures.call_off()
