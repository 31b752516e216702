"""The simulator on a socket: a threaded HTTP/1.1 server and the ticker that lets due things happen."""

from __future__ import annotations

import json
import threading
import traceback
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from simulator import front_door

if TYPE_CHECKING:
    from simulator.core import Answer, Simulator
    from simulator.front_door import FrontDoor

BODY_LIMIT = 1024 * 1024  # bytes
TICK_SECONDS = 1.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class Running:
    """A listening simulator. `stop` ends it; what was not delivered stays in the store."""

    url: str
    simulator: Simulator
    _server: ThreadingHTTPServer
    _threads: list[threading.Thread]
    _ended: threading.Event

    def stop(self) -> None:
        """Stop listening, ticking and sending; safe twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self.simulator.deliveries.stop()
        for thread in self._threads:
            thread.join(timeout=5)


def serve(
    simulator: Simulator, host: str = "127.0.0.1", port: int = 0, *, public_url: str | None = None
) -> Running:
    """Listen, in threads of this process, and return at once. `port` 0 takes a free one.

    `public_url` is where browsers find the pages, when that is not the address listened on. Raises `OSError`
    when the port is taken.
    """
    door = front_door.of(simulator)
    handler = type("Handler", (_Handler,), {"door": door, "is_loopback": host in LOOPBACK})
    server = _Server((host, port), handler)
    url = f"http://{host}:{server.server_port}"
    simulator.base_url = (public_url or url).rstrip("/")
    ended = threading.Event()
    listener = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="simulator-http", daemon=True
    )
    ticker = threading.Thread(target=_tick, args=(simulator, ended), name="simulator-ticker", daemon=True)
    simulator.deliveries.start()
    listener.start()
    ticker.start()
    return Running(url, simulator, server, [listener, ticker], ended)


def _tick(simulator: Simulator, ended: threading.Event) -> None:
    while not ended.wait(TICK_SECONDS):
        simulator.tick()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    # A restart must get its port back at once; a port in use by another process is still refused.
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    door: ClassVar[FrontDoor]
    is_loopback: ClassVar[bool]

    protocol_version = "HTTP/1.1"
    server_version = "stripe-simulator"
    sys_version = ""
    # Without these two a keep-alive connection answers 22 requests a second: header and body go out as two
    # packets, and the second waits for the client's delayed acknowledgement of the first.
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        refusal = self._refusal()
        if refusal is not None:
            # Its body may not be read to the end, so where the next request begins is unknown.
            self.close_connection = True
            self._drain()
            self._send(refusal)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = "GET" if method == "HEAD" else method
        try:
            status, back, content = self.door.handle(asked, address.path, address.query, body, headers)
        except Exception as broken:  # A mistake in the simulator: said to the caller, told in full on stderr.
            traceback.print_exc()
            status, back, content = _broken(broken)
        if status == 0:
            self.close_connection = True
            return
        self._send((status, back, content), has_body=method != "HEAD")

    def _refusal(self) -> Answer | None:
        length = self.headers.get("Content-Length") or "0"
        if self.headers.get("Transfer-Encoding") or not length.isdigit():
            return _plain(411, "Send the body with a Content-Length.")
        if int(length) > BODY_LIMIT:
            return _plain(413, f"The body is larger than {BODY_LIMIT} bytes.")
        host = self.headers.get("Host", "")
        if self.is_loopback and urlsplit(f"//{host}").hostname not in LOOPBACK:
            return _plain(403, "This simulator only answers to local names.")
        origin = self.headers.get("Origin")
        if self.command != "GET" and origin and origin != "null" and urlsplit(origin).netloc != host:
            return _plain(403, "Another site may not press buttons here.")
        return None

    def _drain(self) -> None:
        """Read on for a while: a client still sending would see a broken pipe, not the answer."""
        length = self.headers.get("Content-Length") or "0"
        left = min(int(length), 8 * BODY_LIMIT) if length.isdigit() else 0
        while left > 0 and (chunk := self.rfile.read(min(left, 65536))):
            left -= len(chunk)

    def _send(self, answer: Answer, *, has_body: bool = True) -> None:
        status, headers, content = answer
        try:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if has_body:
                self.wfile.write(content)
            self.wfile.flush()
        except ConnectionError:
            self.close_connection = True  # The caller left before the answer; that is its right.

    def log_message(self, format: str, *args: object) -> None:
        """Silent: `/_sim/requests` is the log."""


def _broken(trouble: Exception) -> Answer:
    said = f"The simulator broke on this call: {type(trouble).__name__}: {trouble}"
    body = json.dumps({"error": {"type": "api_error", "message": said}}).encode()
    return 500, {"Content-Type": "application/json"}, body


def _plain(status: int, text: str) -> Answer:
    return status, {"Content-Type": "text/plain; charset=utf-8"}, text.encode()
