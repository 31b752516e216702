"""The simulator without a socket: a client the official SDK uses in place of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import stripe

from simulator import front_door
from simulator.core import Simulator


class InProcess(stripe.HTTPClient):
    """`StripeClient(key, http_client=InProcess(simulator))`, or the same as `stripe.default_http_client`."""

    name = "simulator"

    def __init__(self, simulator: Simulator) -> None:
        super().__init__()
        self.simulator = simulator

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        """Answer as the network would. Raises `stripe.APIConnectionError` when told to hang up."""
        address = urlsplit(url)
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        told = {name.lower(): str(value) for name, value in (headers or {}).items()}
        door = front_door.of(self.simulator)
        status, back, content = door.handle(method.upper(), address.path, address.query, body, told)
        if status == 0:
            hung_up: type[Exception] = stripe.APIConnectionError
            raise hung_up("The simulator was told to hang up on this call.")
        return content.decode(), status, back

    def close(self) -> None:
        """Nothing to close: there is no connection."""
