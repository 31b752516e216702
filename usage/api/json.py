"""JSON out: times in ISO 8601 with their zone, ids as text, compact."""

from __future__ import annotations

from typing import Any

import orjson
from django.http import HttpRequest
from ninja.renderers import BaseRenderer


def as_json(body: Any) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


class Renderer(BaseRenderer):
    """For ninja's own answers."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return as_json(data)
