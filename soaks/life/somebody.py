"""Somebody with an account: what all acts share, so that each is done in the house and in the calculation alike."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from soaks.life.expected import Life
from soaks.life.terms import Plan, Price

if TYPE_CHECKING:
    from accounts.models import Account, User
    from simulator.core import Simulator
    from soaks.life.post import Post


@dataclass
class Somebody:
    """One account and what should become of it. `history` is told when something differs."""

    number: int
    account: Account
    user: User
    life: Life
    chance: random.Random
    simulator: Simulator
    post: Post
    history: list[str] = field(default_factory=list)
    acts: int = 0
    _cards: dict[str, str] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.life.now, UTC)

    def _any_price(self) -> tuple[Price, int]:
        plan = self.chance.choice(self.life.terms.for_sale(self.life.kind))
        price = self.chance.choice(plan.prices)
        return price, self._seats(plan) if price.per_seat else 1

    def _seats(self, plan: Plan) -> int:
        return self.chance.randint(plan.fewest, min(plan.most or 60, plan.fewest + 15))

    def _say(self, words: str, *, at: int | None = None) -> None:
        moment = datetime.fromtimestamp(at or self.life.now, UTC)
        self.history.append(f"{moment:%Y-%m-%d %H:%M:%S}  {words}")

    def _key(self) -> str:
        """Of a call to Stripe that is made once."""
        return f"soak:{self.account.pk}:{self.life.now}:{self.acts}:{len(self.history)}"


def sold(price: Price) -> Any:
    from billing import catalog

    return catalog.current().price(price.key)
