"""The frame of every page: escaped text, one stylesheet, headers that allow only what the page needs."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from simulator.core import Answer

LOOK = (Path(__file__).parent / "look.css").read_bytes()

TEST_CARDS = (
    ("4242 4242 4242 4242", "is accepted"),
    ("4000 0025 0000 3155", "asks for 3-D Secure, then is accepted"),
    ("4000 0027 6000 3184", "asks for 3-D Secure on every payment"),
    ("4000 0000 0000 0341", "can be saved, is declined at the next charge"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "is declined: not enough money"),
    ("4000 0000 0000 0069", "is declined: expired"),
    ("4000 0000 0000 0127", "is declined: wrong security code"),
    ("4000 0000 0000 0259", "is accepted, then disputed"),
)


NAVIGATION = (
    '<nav aria-label="Simulator"><a href="/">Overview</a> <a href="/_page/requests">Calls</a> '
    '<a href="/_page/faults">Faults</a></nav>'
)


def esc(text: object) -> str:
    """Text fit for HTML, quotes included."""
    return html.escape("" if text is None else str(text), quote=True)


def page(
    title: str, body: str, *, status: int = 200, leads_to: tuple[str | None, ...] = (), wide: bool = False
) -> Answer:
    """A whole page. `leads_to`: URLs its forms may end at after a redirect; browsers check that. `wide` pages
    are the dashboard's, with its navigation.
    """
    content = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{esc(title)} · Stripe simulator</title>
<link rel="stylesheet" href="/_page/look.css">
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="bar"><strong>Stripe simulator</strong>
<span>This is a simulation: no money moves, no card is charged.</span>{NAVIGATION if wide else ""}</header>
<main id="main"{' class="wide"' if wide else ""}>
{body}
</main>
</body>
</html>
"""
    return status, {"Content-Type": "text/html; charset=utf-8", **_headers(leads_to)}, content.encode()


def stylesheet() -> Answer:
    """The one stylesheet."""
    return 200, {"Content-Type": "text/css; charset=utf-8", "Cache-Control": "max-age=300"}, LOOK


def see_other(url: str) -> Answer:
    """Go on with a GET somewhere else."""
    return 303, {"Location": url, "Cache-Control": "no-store"}, b""


def message(title: str, sentence: str, *, status: int = 200, link: tuple[str, str] | None = None) -> Answer:
    """A page that says one thing, and where to go from here."""
    onward = f'<p><a class="btn" href="{esc(link[0])}">{esc(link[1])}</a></p>' if link else ""
    return page(
        title, f'<div class="card"><h1>{esc(title)}</h1><p>{esc(sentence)}</p>{onward}</div>', status=status
    )


def problem(heading: str, sentence: str, *, field: str | None = None) -> str:
    """What went wrong, at the top of a form, taking the focus, with a link to the field to blame."""
    said = f'<a href="#{esc(field)}">{esc(sentence)}</a>' if field else esc(sentence)
    return (
        '<div class="note bad" id="trouble" role="alert" tabindex="-1" autofocus><div>'
        f"<strong>{esc(heading)}</strong>"
        f"<p>{said}</p></div></div>"
    )


def said(given: dict[str, str]) -> str:
    """What the button that led here has done, from `?said=`."""
    return f'<p class="note" role="status">{esc(given["said"])}</p>' if given.get("said") else ""


def ref(name: str | None) -> str:
    """An id as a link to its object."""
    return f'<a href="/_page/objects/{esc(name)}">{esc(name)}</a>' if name else "–"


def button(action: str, said: str, *, look: str = "", **fields: object) -> str:
    """A form that is one button, with hidden fields."""
    hidden = "".join(f'<input type="hidden" name="{esc(k)}" value="{esc(v)}">' for k, v in fields.items())
    pressed = f'<button class="btn {look}">{esc(said)}</button>'
    return f'<form method="post" action="{esc(action)}">{hidden}{pressed}</form>'


def receipt(rows: list[tuple[str, str]], total: tuple[str, str] | None = None) -> str:
    """Lines with their amounts, and their sum."""
    lines = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in rows)
    if total:
        lines += f'<div class="sum"><dt>{esc(total[0])}</dt><dd>{esc(total[1])}</dd></div>'
    return f'<dl class="receipt">{lines}</dl>'


def table(title: str, heads: list[str], rows: list[list[str]], *, above: str = "") -> str:
    """A titled table that scrolls by itself on a narrow screen. `rows` and `above` are HTML already."""
    name = title.lower().replace(" ", "-")
    if not rows:
        said = '<p class="soft">None yet.</p>'
        return f'<section class="card"><h2 id="{name}">{title}</h2>{above}{said}</section>'
    head = "".join(f'<th scope="col">{said}</th>' for said in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<section class="card"><h2 id="{name}">{title}</h2>{above}'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def test_cards() -> str:
    """The cards that do something, folded away."""
    rows = "".join(f"<tr><td>{esc(number)}</td><td>{esc(does)}</td></tr>" for number, does in TEST_CARDS)
    return (
        "<details><summary>Test cards</summary><p>Any future date, any three digits, any name.</p>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Test cards"><table><thead><tr>'
        '<th scope="col">Number</th><th scope="col">What it does</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _headers(leads_to: tuple[str | None, ...]) -> dict[str, str]:
    origins = {"'self'"} | {
        f"{parts.scheme}://{parts.netloc}"
        for parts in map(urlsplit, filter(None, leads_to))
        if parts.netloc  # a path of our own is 'self'
    }
    policy = (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {' '.join(sorted(origins))}"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
