"""A small browser: it keeps to links and forms, follows redirects inside the simulator, and reads text."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit


@dataclass
class Form:
    """A form of a page with the fields a browser would send."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.text: list[str] = []
        self._link: str | None = None
        self._is_button = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given["action"], given["method"]))
        elif tag == "input" and self.forms and "name" in given:
            if given.get("type") != "radio" or "checked" in given:
                self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "select" and self.forms:
            self.forms[-1].fields[given["name"]] = ""
        elif tag == "button":
            self._is_button = True
        elif tag == "a":
            self._link = given["href"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = None
        elif tag == "button":
            self._is_button = False

    def handle_data(self, data: str) -> None:
        said = " ".join(data.split())
        if said:
            self.text.append(said)
            if self._link is not None:
                self.links[said] = self._link
            if self._is_button and self.forms:
                self.forms[-1].buttons.append(said)


class Visitor:
    """Where somebody is, and what they see there."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.url = base
        self.status = 0
        self.headers: dict[str, str] = {}
        self.source = ""

    @property
    def text(self) -> str:
        """Everything readable, in order."""
        return " ".join(self._read().text)

    @property
    def buttons(self) -> list[str]:
        """What the buttons say."""
        return [said for form in self._read().forms for said in form.buttons]

    def open(self, url: str) -> Visitor:
        """Follow a link; stop at the first redirect that leaves the simulator."""
        here = self.url if self.url.startswith(self.base) else self.base
        return self._go("GET", urljoin(here, url))

    def follow(self, said: str) -> Visitor:
        """Click the link with these words."""
        return self.open(self._read().links[said])

    def press(self, button: str, answer: dict[str, str] | None = None, **typed: str) -> Visitor:
        """Fill in the form of the first button with these words, and press it."""
        form = next(form for form in self._read().forms if button in form.buttons)
        given = urlencode(form.fields | typed | (answer or {}))
        target = urljoin(self.url, form.action)
        if form.method == "get":
            return self._go("GET", f"{target}?{given}")
        return self._go("POST", target, given.encode())

    def _read(self) -> _Reader:
        reader = _Reader()
        reader.feed(re.sub(r"<title>.*?</title>", "", self.source))
        return reader

    def _go(self, method: str, url: str, body: bytes | None = None) -> Visitor:
        self.url = url
        if not url.startswith(self.base):
            self.source, self.status = "", 0
            return self
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.netloc, timeout=10)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        connection.request(
            method, address.path + (f"?{address.query}" if address.query else ""), body, headers
        )
        answer = connection.getresponse()
        self.source = answer.read().decode("utf-8", "replace")
        self.status, self.headers = answer.status, dict(answer.getheaders())
        connection.close()
        if answer.status == 303:
            return self._go("GET", urljoin(url, self.headers["Location"]))
        return self
