"""What a customer may do and have at a moment: level, plan and allowances, calculated without the house's code."""

from __future__ import annotations

from dataclasses import dataclass, field

from soaks.life.facts import Bill, Purchase, Use
from soaks.life.terms import Plan, Terms, step_at

HOUR, DAY = 3600, 86_400


@dataclass
class Rights:
    """All that is known of one account, and what follows from it for access."""

    terms: Terms
    kind: str
    now: int
    born: int
    card_is_good: bool = True
    balance: int = 0
    had_trial: bool = False
    had_money_back: bool = False
    purchase: Purchase | None = None
    past: list[Purchase] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    windows: dict[str, set[tuple[int, int]]] = field(default_factory=dict)

    def level(self) -> str:
        """ "FULL", "GRACE", "FREE" or "BLOCKED" at this moment."""
        disputes = {bill.dispute for bill in self.bills}
        if "lost" in disputes:
            return "BLOCKED"
        if "open" in disputes and self.terms.is_free_while_disputed:
            return "FREE"
        return self._level_bought()

    def has_plan(self) -> bool:
        """Whether what was bought counts."""
        return self.level() in ("FULL", "GRACE")

    def _level_bought(self) -> str:
        bought = self.purchase
        if bought is None:
            return "FREE"
        if bought.paused_from is not None and self.now >= bought.paused_from:
            return "FREE"
        if bought.failed_at is None:
            return "FULL"
        converting = bought.trial_end is not None and bought.first_paid_at is None
        days = 0 if converting else bought.plan.grace_days
        return "GRACE" if self.now < bought.failed_at + days * DAY else "FREE"

    def plan(self) -> Plan:
        """The plan that counts."""
        return self._bought().plan if self.has_plan() else self.terms.default

    def allowance(self, feature: str) -> tuple[int | None, tuple[int, int]] | None:
        """How many (None: no end) in which window; None when the plan has nothing of it."""
        if self.level() == "BLOCKED":
            return None
        plan = self.plan()
        if feature in plan.metered and feature not in plan.allowances:
            return None, self._window("month")
        if feature not in plan.allowances:
            return None
        quantity, per = plan.allowances[feature]
        return quantity, self._window(per)

    def used(self, feature: str, window: tuple[int, int]) -> int:
        """What counts in a window: its own uses, and those that a change of plan does not make good again.

        Whatever was used since the window began counts. A month begun under another anchor counts whole in the one
        that a purchase opens, unless there was a month directly before it; but who is back on the default plan has
        nothing to do with months of a plan that lasted to their ends before it was over.
        """
        known = self.windows.get(feature, set())
        others = {one for one in known if one[0] < window[1] and one[1] > window[0] and one[0] != window[0]}
        if self.level() == "FREE":
            others = {one for one in others if not self._is_settled(one)}
        is_month = window[1] - window[0] > 20 * DAY
        follows = any(one[1] == window[0] and one[1] - one[0] > 20 * DAY for one in known)
        whole = {one for one in others if one[0] < window[0]} if is_month and not follows else set()
        return sum(
            use.units
            for use in self.uses
            if use.feature == feature
            and (
                use.window[0] == window[0]
                or (
                    not use.is_billed
                    and use.window in others
                    and (use.at >= window[0] or use.window in whole)
                )
            )
        )

    def use(self, feature: str, units: int) -> bool:
        """Whether it is granted."""
        given = self.allowance(feature)
        if given is None:
            return False
        limit, window = given
        self.windows.setdefault(feature, set()).add(window)
        if limit is not None and self.used(feature, window) + units > limit:
            return False
        is_billed = feature in self.plan().metered
        self.uses.append(Use(self.now, feature, units, window, is_billed))
        return True

    def _window(self, per: str) -> tuple[int, int]:
        if per == "day":
            return self.now // DAY * DAY, (self.now // DAY + 1) * DAY
        anchor = self._bought().anchor if self.has_plan() else self.born
        return step_at(anchor, 1, self.now)

    def _is_settled(self, window: tuple[int, int]) -> bool:
        return any(
            one.ended_at is not None
            and window[1] <= one.ended_at
            and window == step_at(one.anchor, 1, window[0])
            for one in self.past
        )

    def _bought(self) -> Purchase:
        assert self.purchase is not None
        return self.purchase
