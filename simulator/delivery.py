"""Carries events to webhook endpoints: tried again until accepted, on request dropped, doubled or late."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.webhook import TIMEOUT_SECONDS, Delivery, post_once

if TYPE_CHECKING:
    from simulator.core import Simulator

# In seconds. Stripe retries for three days (docs.stripe.com/webhooks#retries); a demo has minutes.
RETRY_AFTER = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
ATTEMPTS = 200
KEPT = 500  # finished deliveries kept for the list


@dataclass
class Faults:
    """How the post goes wrong: chances between 0 and 1, delays in seconds, the same seed the same mishaps."""

    drop: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 2.0
    reorder: float = 0.0
    corrupt: float = 0.0  # the first try arrives with a body its signature does not fit; the next is whole
    skew_seconds: int = 0  # how far the clock that signs is ahead (or behind): receivers refuse old letters
    seed: int = 1


class Deliveries:
    """The post office of one simulator. All but the sending itself happens under the simulator's lock."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.hold = False
        self.retry_after = RETRY_AFTER
        self.standing: dict[str, tuple[str, str]] = {}  # endpoints given at start: id -> (url, secret)
        self._waiting: dict[str, Delivery] = {}
        self._finished: dict[str, Delivery] = {}
        self._queues: dict[str, list[tuple[float, int, Delivery]]] = {}  # by endpoint, the earliest first
        self._turn = itertools.count()
        self._wake = threading.Condition(simulator.lock)
        self._senders: dict[str, threading.Thread] = {}
        self._running = False
        self.faults = Faults()
        self._chance = random.Random(self.faults.seed)
        self._load()

    # What the core calls:

    def enqueue(self, event: dict[str, Any]) -> None:
        """Address an event to every endpoint that wants its type; sending it is another thread's work."""
        wanted = list(self._endpoints_for(str(event["type"])))
        if event["object"] == "event":  # A thin one does not say.
            event["pending_webhooks"] = len(wanted)
        for endpoint_id, url, secret in wanted:
            self._post(Delivery(event, endpoint_id, url, secret, next_at=time.time()))

    # What tests and the control API call:

    def add_endpoint(self, url: str, secret: str, *, name: str = "we_standing") -> None:
        """An endpoint that needs no API call, wants every type, and may change its URL between two starts."""
        with self._wake:
            self.standing[name] = (url, secret)

    def pending(self) -> list[Delivery]:
        """What still waits, oldest first."""
        with self._wake:
            return [delivery for delivery in list(self._waiting.values()) if self._is_waiting(delivery)]

    def take(self) -> list[Delivery]:
        """What still waits, now considered delivered by the caller; for tests that post it themselves."""
        with self._wake:
            taken = self.pending()
            for delivery in taken:
                delivery.state = "delivered"
                self._keep(delivery)
            return taken

    def rows(self) -> list[Delivery]:
        """Every delivery remembered, newest first."""
        with self._wake:
            return [*reversed(self._waiting.values()), *reversed(self._finished.values())]

    def letter(self, event_id: str) -> dict[str, Any] | None:
        """What is posted for an event: all of it, or, of a thin one, whom to ask; None for one that never was."""
        store = self.simulator.store
        thin = store.get("v2.core.event", event_id)
        if thin is None:
            return store.get("event", event_id)
        return {name: value for name, value in thin.items() if name not in ("data", "changes")}

    def resend(self, event_id: str) -> int:
        """Post an event again to everyone who wants it, as the Dashboard's button does; returns how many do.

        Raises `LookupError` for an event that never was.
        """
        with self._wake:
            event = self.letter(event_id)
            if event is None:
                raise LookupError(event_id)
            wanted = list(self._endpoints_for(str(event["type"])))
            for endpoint_id, url, secret in wanted:
                self._keep(Delivery(event, endpoint_id, url, secret, next_at=time.time()))
            self._wake_senders()
            return len(wanted)

    def deliver_now(self) -> int:
        """Try everything that waits once, here and now, held or not. Returns how many were accepted."""
        accepted = 0
        for delivery in self.pending():
            with self._wake:
                if delivery.sending or not self._is_waiting(delivery):
                    continue
                delivery.sending = True
            accepted += self._try(delivery)
        return accepted

    def set_hold(self, hold: bool) -> None:
        """Keep the post in the house (True), or let it out again, in order (False)."""
        with self._wake:
            self.hold = hold
            self._wake_senders()

    def set_faults(self, faults: Faults) -> None:
        """Let the post go wrong from now on."""
        with self._wake:
            self.faults = faults
            self._chance = random.Random(faults.seed)

    def forget(self) -> None:
        """Throw all post away; part of a reset."""
        with self._wake:
            self._waiting.clear()
            self._finished.clear()
            self._queues.clear()

    def start(self) -> None:
        """Begin to send in the background: one thread for each endpoint, so a dead one delays nobody else."""
        with self._wake:
            self._running = True
            self._wake_senders()

    def stop(self) -> None:
        """End the background threads; what was not delivered stays in the store."""
        with self._wake:
            self._running = False
            self._wake.notify_all()
            senders, self._senders = list(self._senders.values()), {}
        for sender in senders:
            sender.join(timeout=TIMEOUT_SECONDS + 1)

    # Inside:

    def _load(self) -> None:
        """Take up what a former process left undelivered."""
        for row in self.simulator.store.all("delivery"):
            event = self.letter(row["event"])
            if event is None:
                continue
            delivery = Delivery(event, row["endpoint"], row["url"], "", id=row["id"], state=row["state"])
            delivery.attempts, delivery.next_at = row["attempts"], row["next_at"]
            delivery.last_status, delivery.last_error = row["last_status"], row["last_error"]
            self._file(delivery)

    def _endpoints_for(self, kind: str) -> Iterator[tuple[str, str, str]]:
        for name, (url, secret) in self.standing.items():
            yield name, url, secret
        for endpoint in self.simulator.store.all("webhook_endpoint"):
            wanted = endpoint["enabled_events"]
            if endpoint["status"] == "enabled" and ("*" in wanted or kind in wanted):
                yield endpoint["id"], endpoint["url"], endpoint["_"]["secret"]

    def _address(self, endpoint_id: str) -> tuple[str, str] | None:
        if endpoint_id in self.standing:
            return self.standing[endpoint_id]
        endpoint = self.simulator.store.get("webhook_endpoint", endpoint_id)
        return None if endpoint is None else (endpoint["url"], endpoint["_"]["secret"])

    def _post(self, delivery: Delivery) -> None:
        faults, chance = self.faults, self._chance
        if chance.random() < faults.drop:
            delivery.state, delivery.last_error = "dropped", "dropped by a fault"
        if chance.random() < faults.delay:
            delivery.next_at += faults.delay_seconds
        if chance.random() < faults.reorder:
            delivery.next_at += chance.uniform(0.2, 1.0)
        # Asked last and only when wanted, so that a seed keeps meaning the mishaps it meant.
        delivery.is_corrupt = bool(faults.corrupt) and chance.random() < faults.corrupt
        self._keep(delivery)
        if delivery.state == "waiting" and chance.random() < faults.double:
            twin = Delivery(delivery.event, delivery.endpoint_id, delivery.endpoint_url, delivery.secret)
            twin.next_at = delivery.next_at
            self._keep(twin)
        self._wake_senders()

    def _keep(self, delivery: Delivery) -> None:
        self._file(delivery)
        self.simulator.store.put("delivery", delivery.row())
        if len(self._finished) > 2 * KEPT:
            for old in list(self._finished)[:KEPT]:
                del self._finished[old]
                self.simulator.store.remove("delivery", old)

    def _file(self, delivery: Delivery) -> None:
        if delivery.state == "waiting":
            self._waiting[delivery.id] = delivery
            queue = self._queues.setdefault(delivery.endpoint_id, [])
            heapq.heappush(queue, (delivery.next_at, next(self._turn), delivery))
        else:
            self._waiting.pop(delivery.id, None)
            self._finished[delivery.id] = delivery

    def _is_waiting(self, delivery: Delivery) -> bool:
        if delivery.state != "waiting":
            return False
        address = self._address(delivery.endpoint_id)
        if address is None:
            delivery.state, delivery.last_error = "dropped", "the endpoint was removed"
            self._keep(delivery)
            return False
        delivery.endpoint_url, delivery.secret = address
        return True

    def _wake_senders(self) -> None:
        if self._running:
            for endpoint_id in [name for name, queue in self._queues.items() if queue]:
                if endpoint_id not in self._senders:
                    sender = threading.Thread(
                        target=self._send, args=(endpoint_id,), name=f"webhooks-{endpoint_id}", daemon=True
                    )
                    self._senders[endpoint_id] = sender
                    sender.start()
        self._wake.notify_all()

    def _send(self, endpoint_id: str) -> None:
        while True:
            with self._wake:
                if not self._running:
                    return
                delivery, pause = self._next(endpoint_id)
                if delivery is None:
                    self._wake.wait(pause)
                    continue
                delivery.sending = True
            self._try(delivery)

    def _next(self, endpoint_id: str) -> tuple[Delivery | None, float | None]:
        if self.hold:
            return None, None
        queue = self._queues.get(endpoint_id, [])
        while queue:
            due_at, _, first = queue[0]
            if first.id not in self._waiting or first.sending or due_at != first.next_at:
                heapq.heappop(queue)  # Delivered by hand meanwhile, or queued again for later.
                continue
            if due_at > time.time():
                return None, due_at - time.time()
            heapq.heappop(queue)
            if self._is_waiting(first):
                return first, 0.0
        return None, None

    def _try(self, delivery: Delivery) -> bool:
        status, error = post_once(delivery, skew_seconds=self.faults.skew_seconds)
        with self._wake:
            delivery.sending = False
            delivery.attempts += 1
            delivery.is_corrupt = False
            delivery.last_status, delivery.last_error = status, error
            if status is not None and 200 <= status < 300:
                delivery.state = "delivered"
            elif delivery.attempts >= ATTEMPTS:
                delivery.state = "failed"
            else:
                pause = self.retry_after[min(delivery.attempts, len(self.retry_after)) - 1]
                delivery.next_at = time.time() + pause
            if delivery.id in self._waiting:  # A reset may have emptied the house while this one was out.
                self._keep(delivery)
                self.simulator.store.commit()
            return delivery.state == "delivered"
