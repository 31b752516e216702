"""Stripe's letters on a bad day: some lost, some twice, some late, in any order; read by the inbox itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.test import Client
from django.utils import timezone

if TYPE_CHECKING:
    from accounts.models import Account
    from simulator.core import Simulator
    from simulator.webhook import Delivery

LOST, DOUBLED, LATE = 0.03, 0.1, 0.05
# Reading may make Stripe write; so many rounds of that are a loop.
ROUNDS = 40


class NeverAtRest(Exception):
    """Stripe's letters go on causing letters."""


@dataclass
class Post:
    """All letters of one simulator. `delivered` counts those handed over, `lost` those that never arrive."""

    simulator: Simulator
    chance: random.Random
    delivered: int = 0
    lost: int = 0
    _door: Client = field(default_factory=lambda: Client(SERVER_NAME="localhost"))
    _late: list[Delivery] = field(default_factory=list)

    def deliver(self, account: Account) -> None:
        """Hand over what waits and let the worker read it; the daily comparison finds what was lost or is late."""
        from billing.lifecycle import subscriptions
        from billing.stripe import inbox

        missed = False
        late, self._late = self._late, []
        for _ in range(ROUNDS):
            # Nobody lives on a test clock in production: time passes there without a letter.
            letters = late + [one for one in self.simulator.deliveries.take() if not _is_of_the_clock(one)]
            late = []
            self.chance.shuffle(letters)
            for letter in letters:
                fate = self.chance.random()
                if fate < LOST:
                    self.lost += 1
                    missed = True
                    continue
                if fate < LOST + LATE:
                    self._late.append(letter)
                    missed = True
                    continue
                self._hand_over(letter)
                if fate > 1 - DOUBLED:
                    self._hand_over(letter)
            if not letters:
                break
            inbox.drain(now=timezone.now())
        else:
            raise NeverAtRest(str(account))
        if missed:
            subscriptions.sync(account=account, reason="reconcile", wait_seconds=5)

    def _hand_over(self, letter: Delivery) -> None:
        answer = self._door.post(
            "/stripe/webhook/",
            letter.body(),
            content_type="application/json",
            headers=letter.headers(),
            secure=True,
        )
        if answer.status_code != 200:
            raise AssertionError(f"{letter.event['type']}: {answer.status_code} {answer.content!r}")
        self.delivered += 1


def _is_of_the_clock(letter: Delivery) -> bool:
    return str(letter.event["type"]).startswith("test_helpers.")
