"""A small Stripe: `handle` takes one HTTP request and gives one HTTP answer; everything else is
reached from here.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from simulator import errors, forms, idempotency, legacy, resources, routing, view
from simulator.agenda import Agenda
from simulator.clock import WALL, Clock
from simulator.delivery import Deliveries
from simulator.params import Params
from simulator.shapes import API_VERSION, Obj, new_id
from simulator.store import Store

_KEY = re.compile(r"^(sk|rk)_(test|live)_[A-Za-z0-9]{24,}$")

Answer = tuple[int, dict[str, str], bytes]


class Simulator:
    """One Stripe account in test mode: its objects, its clocks, its webhooks. Safe to call from many
    threads.
    """

    def __init__(self, store_path: str | None = None, base_url: str = "http://127.0.0.1:12111") -> None:
        """`store_path`: a SQLite file that keeps everything across restarts; `base_url`: where
        people's browsers reach it.
        """
        resources.load()
        self.base_url = base_url.rstrip("/")
        self.lock = threading.RLock()
        self.store = Store(store_path)
        self.clock = Clock(self.store)
        self.agenda = Agenda(self)
        self.request_id: str | None = None
        self.idempotency_key: str | None = None
        # Days after each failed attempt until the next one, and what becomes of the subscription in the end:
        # "cancel", "unpaid" or "past_due" (Stripe's dashboard calls these retry rules).
        self.retry_days: tuple[int, ...] = (3, 5, 7)
        self.after_last_retry = "cancel"
        self.deliveries = Deliveries(self)
        self.agenda.refill()

    def handle(
        self,
        method: str,
        path: str,
        query: str | Mapping[str, Any] = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Answers one API request; never raises for what a client did wrong."""
        seen = {name.lower(): value for name, value in (headers or {}).items()}
        asked = query if isinstance(query, str) else urlencode(query, doseq=True)
        key = seen.get("idempotency-key") if method == "POST" else None
        request_id = new_id("req_", 14)
        with self.transaction(request_id=request_id, idempotency_key=key):
            status, answer, extra = self._answer(method, path, asked, body, seen, key)
        found = {"Content-Type": "application/json", "Request-Id": request_id, "Stripe-Version": API_VERSION}
        if key:
            found["Idempotency-Key"] = key
        return status, found | extra, answer if isinstance(answer, bytes) else answer.encode()

    @contextmanager
    def transaction(
        self, *, request_id: str | None = None, idempotency_key: str | None = None
    ) -> Iterator["Simulator"]:
        """One act on the whole: alone, after what was due by now, durable when it ends."""
        with self.lock:
            before = self.request_id, self.idempotency_key
            self.request_id, self.idempotency_key = None, None
            try:
                self.agenda.run(WALL)
                self.request_id, self.idempotency_key = request_id, idempotency_key
                yield self
            finally:
                self.request_id, self.idempotency_key = before
                self.store.commit()

    def save(self, obj: Obj) -> Obj:
        """Keeps an object and plans what it does next."""
        self.store.put(obj["object"], obj)
        self.agenda.note(obj["object"], obj)
        return obj

    def tick(self) -> int:
        """Does what has fallen due for customers without a test clock; returns how many things were done."""
        with self.lock:
            done = self.agenda.run(WALL)
            self.store.commit()
            return done

    def jump(self, seconds: int) -> int:
        """Moves time forward for customers without a test clock; returns the new offset in seconds."""
        if seconds < 0:
            raise ValueError("Time only moves forward.")
        with self.lock:
            self.store.set_fact("offset", self.clock.offset + seconds)
            self.agenda.run(WALL)
            self.store.commit()
            return self.clock.offset

    def reset(self) -> None:
        """Forgets everything."""
        with self.lock:
            self.store.clear()
            self.agenda.refill()

    def _answer(
        self, method: str, path: str, query: str, body: bytes, headers: dict[str, str], key: str | None
    ) -> tuple[int, str | bytes, dict[str, str]]:
        mark = idempotency.fingerprint(method, path, body)
        is_executing = False
        try:
            _authenticate(headers)
            if key:
                kept = idempotency.recall(self, key, mark)
                if kept is not None:
                    return (
                        kept["status"],
                        kept["body"],
                        {"Idempotent-Replayed": "true", "Request-Id": kept["request"]},
                    )
            found = routing.find(method, path)
            if found is None:
                raise errors.StripeError(
                    404,
                    "invalid_request_error",
                    f"Unrecognized request URL ({method}: {path}).",
                    code="url_invalid",
                )
            values = forms.decode(query)
            if method != "GET":
                values |= forms.decode(body)
            request = routing.Request(method, path, Params(values), headers, self.request_id or "", key)
            route, ids = found
            coupon = legacy.modernise(self, request)
            route.check(request)
            is_executing = True
            result = route.verb(self, request, *ids)
            if isinstance(result, routing.Document):
                return 200, result.content, {"Content-Type": result.content_type}
            if coupon is not None:
                result = legacy.put_on(self, result, coupon)
            answer = json.dumps(view.render(self, result, request.params.list("expand")))
            status = 200
        except errors.StripeError as refusal:
            status, answer = refusal.status, json.dumps(refusal.body(self.request_id or ""))
            is_executing = is_executing and status not in (400, 401, 404, 409, 429)
        if key and is_executing:
            idempotency.remember(self, key, mark, status, answer)
        return status, answer, {}


def _authenticate(headers: dict[str, str]) -> None:
    key = _key(headers.get("authorization", ""))
    if not key:
        raise errors.unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if not _KEY.match(key.strip()):
        raise errors.unauthorized(
            f"Invalid API Key provided: {key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"
        )


def _key(given: str) -> str:
    """The key in an Authorization header: a bearer token, or the user name of `curl -u sk_test_…:`."""
    scheme, _, rest = given.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[0]
        except ValueError:
            return ""
    return rest if scheme.lower() == "bearer" else ""
