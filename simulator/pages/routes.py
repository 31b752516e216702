"""Which page answers which path."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from simulator.pages import checkout, home, html, invoice, portal, receipt, three_d_secure

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor

Form = dict[str, str]
Shown = Callable[["FrontDoor", str, Form], "Answer"]

ROUTES: tuple[tuple[str, str, Shown], ...] = (
    ("GET", r"/", home.show),
    ("POST", r"/(press/[a-z_]+)", home.press),
    ("GET", r"/c/pay/(cs_\w+)", checkout.show),
    ("POST", r"/c/pay/(cs_\w+)", checkout.submit),
    ("GET", r"/3ds/(\w+)", three_d_secure.show),
    ("POST", r"/3ds/(\w+)", three_d_secure.submit),
    ("GET", r"/p/session/(bps_\w+)", portal.show),
    ("POST", r"/p/session/(bps_\w+)", portal.submit),
    ("GET", r"/i/(in_\w+)", invoice.show),
    ("POST", r"/i/(in_\w+)", invoice.submit),
    ("GET", r"/i/(in_\w+)/pdf", invoice.pdf),
    ("GET", r"/receipts/(ch_\w+)", receipt.show),
)


def respond(door: FrontDoor, method: str, path: str, query: str, body: bytes) -> Answer:
    """The page at this path, or one that says there is none."""
    if (method, path) == ("GET", "/_page/look.css"):
        return html.stylesheet()
    given = dict(parse_qsl(query)) | dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    for verb, pattern, shown in ROUTES:
        if verb == method and (found := re.fullmatch(pattern, path)):
            return shown(door, found.group(1) if found.groups() else "", given)
    sentence = "The link may be old, or the simulator was reset since it was made."
    return html.message("There is no such page", sentence, status=404, link=("/", "What is in the simulator"))
