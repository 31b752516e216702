"""What should be: what one customer does and what time does, without any of the code that is tested."""

from __future__ import annotations

from dataclasses import dataclass

from soaks.life.books import Books
from soaks.life.facts import Bill, Code, Purchase
from soaks.life.rights import DAY, HOUR
from soaks.life.terms import Price, later, months_between, step_at

# A renewal is drafted at once and charged an hour later: https://docs.stripe.com/billing/invoices/subscription
DRAFT = HOUR


@dataclass
class Life(Books):
    """One account. The verbs are what its customer does; `live_until` is time passing."""

    # What the customer does:

    def buy(self, price: Price, quantity: int, code: Code | None = None) -> None:
        plan = self.terms.plans[price.plan]
        trial = 0 if self.had_trial else plan.trial_days
        anchor = self.now + trial * DAY
        end = anchor if trial else later(anchor, price.months)
        self.purchase = Purchase(plan, price, quantity, anchor, self.now, end)
        self.use_code(code)
        if trial:
            self.had_trial = True
            self.purchase.status, self.purchase.trial_end = "trialing", anchor
        total = 0 if trial or price.meter else price.amount * quantity
        self._charge(self._bill(self.net(total)))

    def use_code(self, code: Code | None) -> None:
        bought = self._bought()
        bought.code = code
        bought.code_ends = later(self.now, code.months) if code and code.months else None

    def sum_of_change(self, price: Price, quantity: int) -> int:
        """The total of the bill that changing now makes."""
        bought = self._bought()
        plan = self.terms.plans[price.plan]
        if bought.status == "trialing":
            return 0 if plan.trial_days or price.meter else self.net(price.amount * quantity)
        full = 0 if price.meter else price.amount * quantity
        if self._begins_anew(price):
            over = self._unbilled() if bought.price.meter else -self._unused(bought.price, bought.quantity)
            return self.net(full) + self.net(over)
        return self.net(self._unused(price, quantity)) + self.net(
            -self._unused(bought.price, bought.quantity)
        )

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
        was_trial = bought.status == "trialing"
        goes_on = was_trial and plan.trial_days > 0
        makes_bill = not goes_on and not (was_trial and price.meter)
        if makes_bill:
            bill = self._bill(self.sum_of_change(price, quantity))
            bill.due = max(0, bill.total - self.balance)
            if bill.due and not self.card_is_good:
                # What was planned before stays planned.
                bill.state = "void"
                return False
            self._charge(bill)
        bought.planned = None
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
        self._bought().ends_for_dispute = False
        self._bought().planned = None

    def resume(self) -> None:
        self._bought().is_canceling = False

    def lose_dispute(self, bill: Bill) -> None:
        """On hold: nothing is collected any more but what was used, and the plan ends with what is paid."""
        bill.dispute = "lost"
        bought = self.purchase
        if bought is None:
            return
        waiting = [
            one for one in self.bills if one.purchase is bought and one.total > 0 and not bought.price.meter
        ]
        is_unpaid = bought.status == "past_due" or any(one.state == "draft" for one in waiting)
        for one in waiting:
            one.next_try = None
        if is_unpaid:
            self._end_with_usage()
        elif not bought.is_canceling:
            bought.is_canceling = bought.ends_for_dispute = True
            bought.planned = None

    def forgive(self) -> None:
        """By staff: the plan goes on, unless it is over or its customer canceled as well."""
        for bill in self.bills:
            bill.dispute = "forgiven" if bill.dispute == "lost" else bill.dispute
        if self.purchase is not None and self.purchase.ends_for_dispute:
            self.purchase.is_canceling = self.purchase.ends_for_dispute = False

    def pay_debts(self) -> None:
        """A good card, and every open bill of the running plan is paid with it."""
        self.card_is_good = True
        for bill in self.bills:
            if bill.state == "open" and bill.purchase is self.purchase:
                self._paid(bill)

    def money_back(self) -> int:
        """All of what was paid goes back, and the plan ends."""
        bought = self._bought()
        amount = 0
        for bill in self.bills:
            if bill.purchase is bought and bill.state == "paid":
                amount += bill.due - bill.refunded
                bill.refunded = bill.due
        self.had_money_back = True
        self._end()
        return amount

    def may_have_money_back(self) -> bool:
        bought = self.purchase
        if bought is None or bought.first_paid_at is None or self.had_money_back:
            return False
        is_first = all(one.first_paid_at is None for one in self.past)
        bills = [bill for bill in self.bills if bill.purchase is bought]
        if not any(bill in self.paid_bills() for bill in bills) or any(bill.dispute for bill in bills):
            return False
        return is_first and self.now < bought.first_paid_at + bought.plan.money_back_days * DAY

    def may_pause(self) -> bool:
        bought = self.purchase
        return (
            bought is not None
            and bought.status == "active"
            and not bought.is_canceling
            and bought.resumes_at is None
            and bought.plan.pause_months > 0
            and bought.price.months == 1
            and not bought.price.meter
        )

    def pause(self, months: int) -> None:
        bought = self._bought()
        bought.planned = None
        bought.paused_from = bought.end
        # Payments go on an hour before the period that is to be paid begins.
        bought.resumes_at = later(bought.anchor, months_between(bought.anchor, bought.end) + months) - HOUR

    def go_on(self) -> bool:
        """Whether it goes on; False when the card for the new month was declined."""
        bought = self._bought()
        assert bought.paused_from is not None
        if self.now >= bought.paused_from:
            total = self.net(bought.price.amount * bought.quantity)
            if total > self.balance and not self.card_is_good:
                return False
            bought.anchor = bought.start = self.now
            bought.end = later(self.now, bought.price.months)
            self._charge(self._bill(total))
        bought.paused_from = bought.resumes_at = None
        return True

    # Time:

    def live_until(self, to: int) -> None:
        """Everything that falls due until then, in order."""
        while True:
            moments: list[tuple[int, int, Bill | None]] = []
            if self.purchase is not None:
                moments.append((self.purchase.end, 1, None))
                if self.purchase.resumes_at is not None:
                    moments.append((self.purchase.resumes_at, 0, None))
            moments += [(bill.next_try, 2, bill) for bill in self.bills if bill.next_try is not None]
            at, what, bill = min(moments, key=lambda one: one[:2], default=(to + 1, 0, None))
            if at > to:
                break
            self.now = at
            if bill is not None:
                self._charge(bill)
            elif what == 1:
                self._turn_over()
            else:
                self._bought().paused_from = self._bought().resumes_at = None
        self.now = to
        is_on_hold = any(bill.dispute == "lost" for bill in self.bills)
        if is_on_hold and self.purchase is not None and self.purchase.status == "past_due":
            # What was used before was not paid: there is nothing paid to end with.
            self._end_with_usage()

    def _turn_over(self) -> None:
        bought = self._bought()
        was_trial = bought.status == "trialing"
        if bought.is_canceling:
            self._end_with_usage()
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
        bill = self._bill(self.net(usage) + self.net(flat))
        bill.is_paused = bought.resumes_at is not None
        if is_anew:
            self._charge(bill)
        else:
            bill.next_try = self.now + DRAFT

    def _end_with_usage(self) -> None:
        """The plan is over, and what was used in its last period is billed at once."""
        usage = self.net(self._unbilled())
        self._end()
        if usage:
            bill = self._bill(usage)
            bill.purchase, bill.its_card_is_good = None, self.card_is_good
            self._charge(bill)
