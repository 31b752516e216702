"""A call to an address that a customer typed: never into our own network, never for long, never elsewhere.

The name is resolved here, every address it has is judged, and the connection goes to the very address that was
judged, so a name that answers differently the second time gains nothing. Redirects are answers like any other.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

# Connecting, sending and reading the answer, all together.
SECONDS = 5.0
MOST_BYTES = 65_536
LONGEST_URL = 500
# Networks that are somewhere else's doors to an IPv4 address: what is inside counts.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotAllowed(Exception):
    """An address we do not call; the text says which part of it and what to do."""


class NotReached(Exception):
    """No answer that counts. `status_code` is the answer's, if there was one."""

    def __init__(self, explanation: str, *, status_code: int | None = None, milliseconds: int = 0) -> None:
        super().__init__(explanation)
        self.status_code = status_code
        self.milliseconds = milliseconds


@dataclass(frozen=True)
class Answer:
    """A 2xx. What it said is of no concern, and is not kept."""

    status_code: int
    milliseconds: int


def check(url: str) -> None:
    """Whether we would call `url`, as its name resolves now. Raises NotAllowed; NotReached when it has no address."""
    _addresses(_parse(url))


def post(url: str, *, body: bytes, headers: dict[str, str]) -> Answer:
    """POST once. Raises NotAllowed, NotReached (no answer in time, or one that is not 2xx)."""
    parts = _parse(url)
    started = time.monotonic()
    connection = _Pinned(parts, _addresses(parts)[0])
    # A socket's timeout is for one read; whoever answers a byte at a time is cut off by this.
    alarm = threading.Timer(SECONDS, connection.cut)
    alarm.daemon = True
    alarm.start()
    try:
        connection.request("POST", _path(parts), body=body, headers=headers)
        answer = connection.getresponse()
        answer.read(MOST_BYTES)
        status = answer.status
        if connection.was_cut:  # which looks like the end of an answer
            raise TimeoutError
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotReached(_explained(error), milliseconds=_since(started)) from error
    finally:
        alarm.cancel()
        connection.close()
    if not 200 <= status < 300:
        raise NotReached(f"It answered {status}.", status_code=status, milliseconds=_since(started))
    return Answer(status_code=status, milliseconds=_since(started))


def _parse(url: str) -> SplitResult:
    if len(url) > LONGEST_URL or not url.isascii() or any(ord(sign) <= 32 for sign in url) or "\\" in url:
        raise NotAllowed("Enter one web address without spaces, of at most 500 plain characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotAllowed(
            "This is not a web address. It should look like https://example.com/hook."
        ) from error
    schemes = ("https", "http") if settings.OUTGOING_TO_PRIVATE_ADDRESSES else ("https",)
    if parts.scheme not in schemes or not parts.hostname:
        raise NotAllowed("The address must begin with https:// and name a server.")
    if parts.username is not None or parts.password is not None:
        raise NotAllowed("Leave out the user name and password; messages are signed instead.")
    if port is not None and port != 443 and port < 1024:
        raise NotAllowed("Use port 443, or one from 1024 on.")
    return parts


def _addresses(parts: SplitResult) -> list[Address]:
    """Every address of the name, each judged: one in our network among them spoils all."""
    assert parts.hostname is not None
    try:
        found = socket.getaddrinfo(parts.hostname, _port(parts), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotReached("This name has no address. Check its spelling.") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses:
        raise NotReached("This name has no address. Check its spelling.")
    if not settings.OUTGOING_TO_PRIVATE_ADDRESSES and not all(_is_public(address) for address in addresses):
        raise NotAllowed(
            "This name leads into a private network, where we do not call. Name a public server."
        )
    return addresses


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address in _SIX_TO_FOUR or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)


def _explained(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "Its certificate is not valid for this name, or the connection could not be secured."
    if isinstance(error, TimeoutError | http.client.RemoteDisconnected | http.client.BadStatusLine):
        return f"It did not answer properly within {SECONDS:.0f} seconds."
    if isinstance(error, ConnectionRefusedError):
        return "It refused the connection."
    return f"The connection broke off ({type(error).__name__})."


class _Pinned(http.client.HTTPConnection):
    """Connects to one address and speaks to it by its name: Host header, certificate and all."""

    def __init__(self, parts: SplitResult, address: Address) -> None:
        assert parts.hostname is not None
        super().__init__(parts.hostname, parts.port, timeout=SECONDS)
        self.default_port = 443 if parts.scheme == "https" else 80
        self._pinned = (str(address), _port(parts))
        self._is_secure = parts.scheme == "https"
        self.was_cut = False

    def connect(self) -> None:
        self.sock = socket.create_connection(self._pinned, timeout=SECONDS)
        if self._is_secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        self.was_cut = True
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was over already
