"""A customer who does this and that: each act through the house's own doors, and the same act in the calculation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from soaks.life import comparing
from soaks.life.deeds import Deeds
from soaks.life.purse import Purse
from soaks.life.rights import DAY, HOUR


class Person(Deeds, Purse):
    """Somebody who lives by chance, and is compared with the calculation after each act and each jump of time."""

    def live(self, *, months: int) -> list[str]:
        """So many months, step by step; answers what differs at the first step where something does."""
        until = self.life.now + months * 2_629_800
        found = comparing.differences(self)
        while not found and self.life.now < until:
            self._let_pass(self._hop())
            found = comparing.differences(self)
            for _ in range(self.chance.choice((1, 1, 2, 3))):
                if not found:
                    self._do_something()
                    self.acts += 1
                    found = comparing.differences(self)
        return found

    # Time:

    def _hop(self) -> int:
        """Mostly days or weeks; sometimes to a moment just around a turn."""
        bought = self.life.purchase
        if bought is not None and self.chance.random() < 0.25:
            near = (
                bought.end
                - self.life.now
                + self.chance.choice((-1, 1, HOUR - 1, HOUR + 1, DAY, 7 * DAY + HOUR + 5))
            )
            if 0 < near < 56 * DAY:
                return near
        return self.chance.choice((HOUR, DAY, 5 * DAY, 15 * DAY, 40 * DAY)) + self.chance.randint(1, 5 * DAY)

    def _let_pass(self, seconds: int) -> None:
        from billing.models import Customer
        from billing.stripe import gateway
        from usage import meters

        # What the workers do each minute.
        meters.deliver(now=datetime.now(tz=UTC))
        to = self.life.now + seconds
        self._say(f"{seconds / DAY:.2f} days pass", at=to)
        clock = Customer.objects.get(account=self.account).test_clock_id
        gateway.post(
            f"/v1/test_helpers/test_clocks/{clock}/advance",
            {"frozen_time": to},
            idempotency_key=f"soak:{clock}:{to}",
        )
        self.life.live_until(to)
        Customer.objects.filter(account=self.account).update(clock_now=self.now)
        self.post.deliver(self.account)

    # Acts:

    def _do_something(self) -> None:
        likely = self._likely()
        self.chance.choices(list(likely), list(likely.values()))[0]()

    def _likely(self) -> dict[Any, int]:
        """What this customer may do now, and how likely each is."""
        life, bought = self.life, self.life.purchase
        if life.level() == "BLOCKED":
            waits = {self._use: 2, self._rest: 2, self._other_card: 1, self._forgive: 3}
            return waits | {self._cancel: int(bought is not None and bought.ends_for_dispute)}
        likely: dict[Any, int] = {self._use: 8}
        if bought is None:
            likely |= {self._use: 1, self._buy: 3}
        elif bought.status == "past_due":
            likely |= {
                self._use: 3,
                self._pay_debts: 3,
                self._rest: 3,
                self._cancel: int(not bought.is_canceling),
            }
        elif bought.is_canceling:
            likely |= {self._use: 4, self._resume: 2, self._rest: 3}
        elif bought.resumes_at is not None:
            likely |= {self._use: 4, self._go_on: 2, self._rest: 2, self._other_card: 1, self._cancel: 1}
        else:
            likely |= {
                self._change: 4,
                self._cancel: 1,
                self._other_card: 2,
                self._take_plan_back: 1,
                self._pause: int(life.may_pause()),
                self._use_code: int(bought.code is None and bought.planned is None),
                self._money_back: 3 * life.may_have_money_back(),
            }
        if any(bill.dispute == "open" for bill in life.bills):
            likely[self._decide_dispute] = 5
        elif life.paid_bills():
            likely |= {self._refund: 1, self._dispute: 1}
        return likely

    def _rest(self) -> None:
        """Waits."""
