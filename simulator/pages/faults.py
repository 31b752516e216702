"""What goes wrong on request, as forms: the post, the calls, the rate, the way back. The levers are control's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from simulator import control
from simulator.pages import html
from simulator.pages.html import esc

if TYPE_CHECKING:
    from simulator.core import Answer
    from simulator.front_door import FrontDoor

# name, label; chances between 0 and 1
CHANCES = (
    ("drop", "Lost (chance)"),
    ("double", "Sent twice (chance)"),
    ("delay", "Late (chance)"),
    ("reorder", "Out of order (chance)"),
    ("corrupt", "Garbled (chance)"),
    ("delay_seconds", "How late, in seconds"),
    ("skew_seconds", "Signing clock ahead by, in seconds"),
    ("seed", "Seed"),
)
# The choices of the form for calls: what is said, and what the lever is given.
WAYS = (
    ("error 500", {"how": "error", "status": "500"}),
    ("error 503", {"how": "error", "status": "503"}),
    ("error 429, too many requests", {"how": "error", "status": "429"}),
    ("error 409, key in use", {"how": "error", "status": "409"}),
    ("error 402", {"how": "error", "status": "402"}),
    ("no answer, the connection closes", {"how": "error", "status": "0"}),
    ("garbage instead of JSON", {"how": "garbage"}),
    ("the true answer, but slow", {"how": "slow"}),
)


def show(door: FrontDoor, _: str, given: dict[str, str]) -> Answer:
    """All four forms, filled with what holds now."""
    parts = [
        "<h1>What goes wrong</h1>",
        html.said(given),
        _post(door),
        _calls(door),
        _rate(door),
        _returns(door),
    ]
    return html.page("Faults", "\n".join(parts), wide=True)


def press(door: FrontDoor, button: str, given: dict[str, str]) -> Answer:
    """Set one of them; an answer in words, on the page."""
    act = button.rpartition("/")[2]
    filled = {name: value for name, value in given.items() if value != ""}
    try:
        if act == "calls":
            filled |= dict(WAYS[int(filled.pop("way", "0"))][1])
            control.pull(door, "POST", "failures", filled)
            said = "Calls like that will fail now."
        elif act == "none":
            control.pull(door, "DELETE", "failures", {})
            said = "No call will fail on purpose."
        elif act == "returns":
            names = [name for name in control.RETURNS if name in filled]
            control.pull(door, "POST", "returns", {"forget": names})
            said = "Visitors of these pages never come back." if names else "Everybody comes back."
        elif act in ("faults", "rate_limit"):
            control.pull(door, "POST", act, filled)
            said = "That holds from now on."
        else:
            return html.message(
                "There is no such button", "Go back.", status=404, link=("/_page/faults", "Faults")
            )
    except (control.Refused, IndexError, ValueError) as trouble:
        said = f"Nothing was changed: {trouble}"
    return html.see_other("/_page/faults?" + urlencode({"said": said}))


def _post(door: FrontDoor) -> str:
    now = control.pull(door, "GET", "faults", {})
    inputs = "".join(_input(name, label, str(now[name])) for name, label in CHANCES)
    return _card(
        "Webhooks on their way",
        "Chances between 0 and 1. The same seed makes the same mishaps. A lost letter is not tried again.",
        f'<form method="post" action="/press/faults/faults" class="stack"><div class="grid">{inputs}</div>'
        '<div class="row"><button class="btn go">Set</button></div></form>'
        + html.button("/press/faults/faults", "Nothing goes wrong"),
    )


def _calls(door: FrontDoor) -> str:
    rows = [
        [esc(f.method), esc(f.path), esc(f.how), esc(f.status), esc(f.when), str(f.skip), str(f.times)]
        for f in door.failures
    ]
    ways = "".join(f'<option value="{at}">{esc(said)}</option>' for at, (said, _) in enumerate(WAYS))
    form = f"""<form method="post" action="/press/faults/calls" class="stack"><div class="grid">
{_choice("method", "Method", ("*", "GET", "POST", "DELETE"))}
{_input("path", "Path, * for any text", "/v1/subscriptions*")}
<div><label for="way">How</label><select class="in" id="way" name="way">{ways}</select></div>
{_choice("when", "Before or after it took effect", ("before", "after"))}
{_input("skip", "Let this many through first", "0")}
{_input("times", "How many fail", "1")}
{_input("delay_seconds", "Wait first, in seconds", "0", given="wait")}
</div><div class="row"><button class="btn go">Let them fail</button></div></form>"""
    table = html.table(
        "Calls that will fail", ["Method", "Path", "How", "Status", "When", "Let through", "Times"], rows
    )
    off = html.button("/press/faults/none", "Call it off") if rows else ""
    return (
        _card("Calls to the API", "Only the API; this page and the levers always work.", form) + table + off
    )


def _rate(door: FrontDoor) -> str:
    form = f"""<form method="post" action="/press/faults/rate_limit" class="row">
{_input("per_second", "Calls a second, 0 for no limit", str(door.limit.per_second))}
<button class="btn go">Set limit</button></form>"""
    return _card("Rate limit", "Calls beyond it are answered with 429, as Stripe does.", form)


def _returns(door: FrontDoor) -> str:
    ticks = "".join(
        f'<label class="tick"><input type="checkbox" name="{name}" value="1"'
        f"{' checked' if name in door.forgotten_returns else ''}> {said}</label>"
        for name, said in (("checkout", "After paying in Checkout"), ("portal", "After a flow in the portal"))
    )
    form = f"""<form method="post" action="/press/faults/returns" class="stack"><div>{ticks}</div>
<div class="row"><button class="btn go">Set returns</button></div></form>"""
    sentence = "As if the window was closed: what was done counts, but nobody is led back to the shop."
    return _card("The way back", sentence, form)


def _card(title: str, sentence: str, body: str) -> str:
    return f'<section class="card"><h2>{esc(title)}</h2><p class="soft">{esc(sentence)}</p>{body}</section>'


def _input(name: str, label: str, value: str, *, given: str | None = None) -> str:
    html_id = given or name
    return (
        f'<div><label for="{html_id}">{esc(label)}</label>'
        f'<input class="in" id="{html_id}" name="{name}" value="{esc(value)}" autocomplete="off"></div>'
    )


def _choice(name: str, label: str, values: tuple[str, ...]) -> str:
    options = "".join(f'<option value="{value}">{value}</option>' for value in values)
    chooser = f'<select class="in" id="{name}" name="{name}">{options}</select>'
    return f'<div><label for="{name}">{esc(label)}</label>{chooser}</div>'
