"""What is in the house: time, customers, subscriptions, invoices, events and post, with their levers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from simulator.pages import api, html, words
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor

SHOWN = 25
DAY = 86_400
STEPS = (("1 hour", 3600), ("1 day", DAY), ("1 week", 7 * DAY), ("1 month", 31 * DAY))


SEARCH = """<form method="get" action="/_page/search" class="row" role="search">
<label for="q">Find by id or e-mail</label>
<input class="in" id="q" name="q" required autocomplete="off" placeholder="cus_…"><button class="btn">Find</button>
</form>"""


def show(door: FrontDoor, _: str, given: dict[str, str]) -> Answer:
    """The home page."""
    with door.simulator.lock:
        parts = [
            "<h1>What is in the simulator</h1>",
            html.said(given),
            SEARCH,
            _time(door),
            _customers(door),
            _subscriptions(door),
            _invoices(door),
            _post(door),
            _events(door),
        ]
    return html.page("Overview", "\n".join(parts), wide=True)


def press(door: FrontDoor, button: str, given: dict[str, str]) -> Answer:
    """A button: move a clock or everybody's time, send an event again, hold or release the post."""
    act = button.removeprefix("press/")
    if act == "advance":
        return _back(_advance(door, given.get("clock", ""), given.get("seconds", "")))
    if act == "resend":
        try:
            return _back(
                f"Sent again to {door.simulator.deliveries.resend(given.get('event', ''))} endpoint(s)."
            )
        except LookupError:
            return _back("That event is gone.")
    if act in ("hold", "release"):
        door.simulator.deliveries.set_hold(act == "hold")
        return _back("The post is held." if act == "hold" else "The post goes out.")
    return html.message(
        "There is no such button", "Go back to the overview.", status=404, link=("/", "Overview")
    )


def _advance(door: FrontDoor, clock: str, seconds: str) -> str:
    if not seconds.isdigit() or int(seconds) == 0:
        return "Time moves forwards by a whole number of seconds."
    if not clock:
        door.simulator.jump(int(seconds))
        return "Time was moved for customers without a test clock."
    try:
        found = api.get(door.simulator, f"/v1/test_helpers/test_clocks/{clock}")
        moment = found["frozen_time"] + int(seconds)
        api.post(door.simulator, f"/v1/test_helpers/test_clocks/{clock}/advance", frozen_time=moment)
    except api.Refused as problem:  # Such as: at most two billing periods at once.
        return str(problem)
    return "The clock was moved."


def _back(said: str) -> Answer:
    return html.see_other("/?" + urlencode({"said": said}))


def _time(door: FrontDoor) -> str:
    sim = door.simulator
    rows = [["everybody without a test clock", words.minute(sim.clock.now()), "", _steps("")]]
    for clock in itertools.islice(sim.store.newest("test_helpers.test_clock"), SHOWN):
        rows.append(
            [_clock(clock), words.minute(clock["frozen_time"]), esc(clock["status"]), _steps(clock["id"])]
        )
    return html.table("Time", ["Whose", "Now", "Status", "Move forwards"], rows)


def _clock(clock: dict[str, Any]) -> str:
    return f'<a href="/_page/objects/{esc(clock["id"])}">{esc(clock["name"] or clock["id"])}</a>'


def _steps(clock: str) -> str:
    return (
        '<span class="row">'
        + "".join(_button("advance", said, clock=clock, seconds=n) for said, n in STEPS)
        + "</span>"
    )


def _customers(door: FrontDoor) -> str:
    rows = [
        [html.ref(it["id"]), esc(it.get("email")), esc(it.get("name")), words.minute(it["created"])]
        for it in _newest(door, "customer")
    ]
    return html.table("Customers", ["Id", "E-mail", "Name", "Since"], rows)


def _subscriptions(door: FrontDoor) -> str:
    rows = [
        [
            html.ref(it["id"]),
            html.ref(it["customer"]),
            f'<span class="tag">{esc(it["status"])}</span>',
            _ends(it),
        ]
        for it in _newest(door, "subscription")
    ]
    return html.table("Subscriptions", ["Id", "Customer", "Status", "Period ends"], rows)


def _ends(subscription: dict[str, Any]) -> str:
    ends = [
        item["current_period_end"] for item in subscription["items"]["data"] if item.get("current_period_end")
    ]
    said = words.minute(min(ends)) if ends else "–"
    return f"{said}, then canceled" if subscription["cancel_at_period_end"] else said


def _invoices(door: FrontDoor) -> str:
    rows = [
        [
            f'<a href="/i/{esc(it["id"])}">{esc(it.get("number") or it["id"])}</a>',
            html.ref(it["id"]),
            html.ref(it["customer"]),
            esc(it["status"]),
            words.money(it["total"], it["currency"]),
            words.minute(it["created"]),
        ]
        for it in _newest(door, "invoice")
    ]
    return html.table("Invoices", ["Number", "Id", "Customer", "Status", "Total", "Made"], rows)


def _post(door: FrontDoor) -> str:
    post = door.simulator.deliveries
    lever = _button("release", "Release the post") if post.hold else _button("hold", "Hold the post")
    rows = [
        [
            esc(d.event["type"]),
            html.ref(d.event["id"]),
            esc(d.endpoint_url),
            esc(d.state),
            str(d.attempts),
            esc(d.last_error or d.last_status),
            # After a reset the letter may be remembered, its event not.
            _button("resend", "Send again", event=d.event["id"]) if post.letter(d.event["id"]) else "",
        ]
        for d in post.rows()[:SHOWN]
    ]
    return html.table(
        "Webhooks", ["Type", "Event", "To", "State", "Tries", "Last answer", "Post"], rows, above=lever
    )


def _events(door: FrontDoor) -> str:
    rows = [
        [
            esc(it["type"]),
            html.ref(it["id"]),
            words.minute(it["created"]),
            _button("resend", "Send again", event=it["id"]),
        ]
        for it in _newest(door, "event")
    ]
    heads = ["Type", "Id", "When", "Post"]
    thin = [
        [
            esc(it["type"]),
            html.ref(it["id"]),
            esc(it["created"]),
            _button("resend", "Send again", event=it["id"]),
        ]
        for it in _newest(door, "v2.core.event")
    ]
    return html.table("Events", heads, rows) + (html.table("Thin events", heads, thin) if thin else "")


def _newest(door: FrontDoor, kind: str) -> list[dict[str, Any]]:
    living = (it for it in door.simulator.store.newest(kind) if not it.get("deleted"))
    return list(itertools.islice(living, SHOWN))


def _button(act: str, said: str, **fields: object) -> str:
    return html.button(f"/press/{act}", said, look="small", **fields)
