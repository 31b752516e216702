"""Which page answers which path."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from simulator.hosted.portal import session_behind as manages
from simulator.pages import (
    checkout,
    faults,
    home,
    html,
    invoice,
    log,
    objects,
    payment_link,
    portal,
    receipt,
    three_d_secure,
)

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor

Form = dict[str, str]
Shown = Callable[["FrontDoor", str, Form], "Answer"]

ROUTES: tuple[tuple[str, str, Shown], ...] = (
    ("GET", r"/", home.show),
    ("POST", r"/(press/[a-z_]+)", home.press),
    ("GET", r"/_page/search", objects.search),
    ("GET", r"/_page/objects/([A-Za-z0-9_.\-]+)", objects.show),
    ("GET", r"/_page/requests", log.show),
    ("GET", r"/_page/faults", faults.show),
    ("POST", r"/(press/faults/[a-z_]+)", faults.press),
    ("GET", r"/c/pay/(cs_\w+)", checkout.show),
    ("POST", r"/c/pay/(cs_\w+)", checkout.submit),
    ("GET", r"/payment-links/(plink_\w+)", payment_link.show),
    ("GET", r"/payment-links/(plink_\w+)/thanks", payment_link.thanks),
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
            answer = shown(door, found.group(1) if found.groups() else "", given)
            return _lost(answer) if _is_lost(door, path, answer) else answer
    sentence = "The link may be old, or the simulator was reset since it was made."
    return html.message("There is no such page", sentence, status=404, link=("/", "What is in the simulator"))


def _is_lost(door: FrontDoor, path: str, answer: Answer) -> bool:
    """Whether this answer would lead a visitor back to the shop whose window is to be closed now."""
    where = answer[1].get("Location", "")
    if answer[0] != 303 or where.startswith("/") or not door.forgotten_returns:
        return False
    is_card_change = path.startswith("/3ds/") and manages(door.simulator, path.removeprefix("/3ds/"))
    room = "portal" if path.startswith("/p/session/") or is_card_change else "checkout"
    return room in door.forgotten_returns


def _lost(answer: Answer) -> Answer:
    sentence = "The simulator was told that visitors do not come back from here. What you did counts."
    return html.message("The window was closed", sentence, link=(answer[1]["Location"], "Go back after all"))
