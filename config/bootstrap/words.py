"""How `./run` speaks: lines on the terminal, and one exception whose text is for the person before it."""

import sys


class CannotStart(Exception):
    """Something a person must change; the text says what happened and what to do."""


def say(line: str = "") -> None:
    """A line, at once, also when the terminal is a pipe."""
    print(line, flush=True)


def complain(line: str) -> None:
    """A line for somebody who has to do something."""
    print(line, file=sys.stderr, flush=True)
