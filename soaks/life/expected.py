"""What should be: one customer's plan, bills and rights, calculated without any of the code that is tested."""

from __future__ import annotations

from dataclasses import dataclass, field

from soaks.life.facts import Bill, Purchase, Use
from soaks.life.terms import Plan, Price, Terms, later, part, step_at

HOUR, DAY = 3600, 86_400
# A renewal is drafted at once and charged an hour later: https://docs.stripe.com/billing/invoices/subscription
DRAFT = HOUR
# When a failed payment is tried again, each counted from the try before; after the last one the plan ends.
RETRIES = (3 * DAY, 5 * DAY, 7 * DAY)


@dataclass
class Life:
    """One account. The verbs are what its customer does; `live_until` is time passing."""

    terms: Terms
    kind: str
    now: int
    born: int
    card_is_good: bool = True
    balance: int = 0
    had_trial: bool = False
    had_money_back: bool = False
    refunded: int = 0
    purchase: Purchase | None = None
    past: list[Purchase] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    windows: dict[str, set[tuple[int, int]]] = field(default_factory=dict)

    # What the customer does:

    def buy(self, price: Price, quantity: int) -> None:
        plan = self.terms.plans[price.plan]
        trial = 0 if self.had_trial else plan.trial_days
        anchor = self.now + trial * DAY
        end = anchor if trial else later(anchor, price.months)
        self.purchase = Purchase(plan, price, quantity, anchor, self.now, end)
        if trial:
            self.had_trial = True
            self.purchase.status, self.purchase.trial_end = "trialing", anchor
        total = 0 if trial or price.meter else price.amount * quantity
        self._charge(self._bill(total))

    def sum_of_change(self, price: Price, quantity: int) -> int:
        """The total of the bill that changing now makes."""
        bought = self._bought()
        plan = self.terms.plans[price.plan]
        if bought.status == "trialing":
            return 0 if plan.trial_days or price.meter else price.amount * quantity
        full = 0 if price.meter else price.amount * quantity
        if self._begins_anew(price):
            return full + (
                self._unbilled() if bought.price.meter else -self._unused(bought.price, bought.quantity)
            )
        return self._unused(price, quantity) - self._unused(bought.price, bought.quantity)

    def is_for_later(self, price: Price, quantity: int) -> bool:
        """More is had at once; less, when what is paid for is over."""
        bought = self._bought()
        plan = self.terms.plans[price.plan]
        if bought.status == "trialing" or bought.price.meter:
            return False
        if plan is not bought.plan:
            return plan.rank < bought.plan.rank
        return price.months < bought.price.months or quantity < bought.quantity

    def change(self, price: Price, quantity: int) -> bool:
        """Whether it was made or planned; False when the card was declined."""
        bought = self._bought()
        if self.is_for_later(price, quantity):
            bought.planned = (price, quantity)
            return True
        plan = self.terms.plans[price.plan]
        bought.planned = None
        was_trial = bought.status == "trialing"
        goes_on = was_trial and plan.trial_days > 0
        makes_bill = not goes_on and not (was_trial and price.meter)
        if makes_bill:
            bill = self._bill(self.sum_of_change(price, quantity))
            bill.due = max(0, bill.total - self.balance)
            if bill.due and not self.card_is_good:
                bill.state = "void"
                return False
            self._charge(bill)
        anew = not goes_on and (was_trial or self._begins_anew(price))
        if anew:
            bought.anchor = bought.start = self.now
            bought.end = later(self.now, price.months)
            bought.status = "active"
            bought.trial_end = self.now if was_trial else bought.trial_end
        bought.plan, bought.price, bought.quantity = plan, price, quantity
        return True

    def take_plan_back(self) -> None:
        self._bought().planned = None

    def cancel(self) -> None:
        self._bought().is_canceling = True
        self._bought().planned = None

    def resume(self) -> None:
        self._bought().is_canceling = False

    def pay_debts(self) -> None:
        """A good card, and every open bill of the running plan is paid with it."""
        self.card_is_good = True
        for bill in self.bills:
            if bill.state == "open" and bill.purchase is self.purchase:
                self._paid(bill)

    def money_back(self) -> int:
        """All of what was paid goes back, and the plan ends."""
        bought = self._bought()
        amount = sum(bill.due for bill in self.bills if bill.purchase is bought and bill.state == "paid")
        self.refunded += amount
        self.had_money_back = True
        self._end(as_agreed=False)
        return amount

    def may_have_money_back(self) -> bool:
        bought = self.purchase
        if bought is None or bought.first_paid_at is None or self.had_money_back:
            return False
        is_first = all(one.first_paid_at is None for one in self.past)
        return is_first and self.now < bought.first_paid_at + bought.plan.money_back_days * DAY

    # Time:

    def live_until(self, to: int) -> None:
        """Everything that falls due until then, in order."""
        while True:
            moments = [(bill.next_try, bill) for bill in self.bills if bill.next_try is not None]
            at, bill = min(moments, key=lambda one: one[0] or 0, default=(None, None))
            end = self.purchase.end if self.purchase is not None else None
            if end is not None and (at is None or end <= at):
                at, bill = end, None
            if at is None or at > to:
                break
            self.now = at
            if bill is None:
                self._turn_over()
            else:
                self._charge(bill)
        self.now = to

    def _turn_over(self) -> None:
        bought = self._bought()
        was_trial = bought.status == "trialing"
        if bought.is_canceling:
            usage = self._unbilled()
            self._end(as_agreed=True)
            if usage:
                bill = self._bill(usage)
                bill.purchase = None
                self._charge(bill)
            return
        usage = 0 if was_trial else self._unbilled()
        months = bought.price.months
        if bought.planned is not None:
            bought.price, bought.quantity = bought.planned
            bought.plan, bought.planned = self.terms.plans[bought.price.plan], None
        # Another rhythm begins a cycle of its own, which is billed at once as any such change is:
        # https://docs.stripe.com/billing/subscriptions/billing-cycle
        is_anew = bought.price.months != months
        bought.start = bought.end
        bought.anchor = bought.start if is_anew else bought.anchor
        _, bought.end = step_at(bought.anchor, bought.price.months, bought.start)
        bought.status = "active" if was_trial else bought.status
        flat = 0 if bought.price.meter else bought.price.amount * bought.quantity
        bill = self._bill(usage + flat)
        if is_anew:
            self._charge(bill)
        else:
            bill.next_try = self.now + DRAFT

    # Money:

    def _bill(self, total: int) -> Bill:
        bill = Bill(self.now, total, purchase=self.purchase)
        self.bills.append(bill)
        return bill

    def _charge(self, bill: Bill) -> None:
        if bill.state == "draft":
            bill.state = "open"
            bill.due = max(0, bill.total - self.balance)
            self.balance -= bill.total - bill.due
        bill.next_try = None
        if not bill.due or self.card_is_good:
            self._paid(bill)
            return
        bill.attempts += 1
        bought = bill.purchase
        is_live = bought is not None and bought is self.purchase
        if is_live and bought is not None and bought.status == "active":
            bought.status, bought.failed_at = "past_due", self.now
        if bill.attempts <= len(RETRIES):
            bill.next_try = self.now + RETRIES[bill.attempts - 1]
        elif is_live:
            self._end(as_agreed=False)

    def _paid(self, bill: Bill) -> None:
        bill.state, bill.next_try = "paid", None
        bought = bill.purchase
        if bought is None:
            return
        if bill.due and bought.first_paid_at is None:
            bought.first_paid_at = self.now
        if bought.status == "past_due" and bought is self.purchase:
            bought.status, bought.failed_at = "active", None

    def _end(self, *, as_agreed: bool) -> None:
        bought = self._bought()
        bought.ended_at = self.now
        bought.ended_as_agreed = as_agreed and bought.failed_at is None
        bought.status = "canceled"
        for bill in self.bills:
            if bill.purchase is bought:
                bill.next_try = None
        self.past.append(bought)
        self.purchase = None

    def _unused(self, price: Price, quantity: int) -> int:
        bought = self._bought()
        length = bought.end - bought.start
        return part(price.amount * quantity, bought.end - self.now, length)

    def _unbilled(self) -> int:
        """What was used by the unit in the period that ends now."""
        bought = self._bought()
        if not bought.price.meter:
            return 0
        units = sum(use.units for use in self.uses if use.is_billed and bought.start <= use.at <= self.now)
        return units * bought.price.amount

    def _begins_anew(self, price: Price) -> bool:
        bought = self._bought()
        return price.months != bought.price.months or bool(bought.price.meter) != bool(price.meter)

    def _bought(self) -> Purchase:
        assert self.purchase is not None
        return self.purchase

    # Rights:

    def level(self) -> str:
        """ "FULL", "GRACE" or "FREE" at this moment."""
        bought = self.purchase
        if bought is None:
            return "FREE"
        if bought.failed_at is None:
            return "FULL"
        converting = bought.trial_end is not None and bought.first_paid_at is None
        days = 0 if converting else bought.plan.grace_days
        return "GRACE" if self.now < bought.failed_at + days * DAY else "FREE"

    def plan(self) -> Plan:
        """The plan that counts."""
        return self._bought().plan if self.level() != "FREE" else self.terms.default

    def allowance(self, feature: str) -> tuple[int | None, tuple[int, int]] | None:
        """How many (None: no end) in which window; None when the plan has nothing of it."""
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
        nothing to do with months of a plan that ran out as agreed.
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
        anchor = self._bought().anchor if self.level() != "FREE" else self.born
        return step_at(anchor, 1, self.now)

    def _is_settled(self, window: tuple[int, int]) -> bool:
        return any(
            one.ended_as_agreed
            and one.ended_at is not None
            and window[1] <= one.ended_at
            and window == step_at(one.anchor, 1, window[0])
            for one in self.past
        )
