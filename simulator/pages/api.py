"""The pages read through the same door as everybody else: the API, with a key that works nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from simulator.core import Simulator

Json = dict[str, Any]
HEADERS = {"authorization": "Bearer sk_test_" + "0" * 24}


class Refused(Exception):
    """The API said no; the text is Stripe's message."""


def get(simulator: Simulator, path: str, *, expand: tuple[str, ...] = (), **params: str) -> Json:
    """Read one object or list. Raises `Refused`."""
    return _call(simulator, "GET", path, urlencode([*params.items(), *(("expand[]", e) for e in expand)]))


def post(simulator: Simulator, path: str, **params: object) -> Json:
    """Do something. Raises `Refused`."""
    return _call(simulator, "POST", path, "", urlencode(params).encode())


def _call(simulator: Simulator, method: str, path: str, query: str, body: bytes = b"") -> Json:
    status, _, answer = simulator.handle(method, path, query, body, HEADERS)
    found: Json = json.loads(answer)
    if status != 200:
        raise Refused(found["error"]["message"])
    return found
