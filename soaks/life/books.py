"""A customer's bills, calculated: what each comes to, when it is tried, what is credited and given back."""

from __future__ import annotations

from dataclasses import dataclass

from soaks.life.facts import Bill
from soaks.life.rights import DAY, Rights
from soaks.life.terms import Price, part

# When a failed payment is tried again, each counted from the try before; after the last one the plan ends.
RETRIES = (3 * DAY, 5 * DAY, 7 * DAY)


@dataclass
class Books(Rights):
    """The account with its bills."""

    def net(self, amount: int) -> int:
        """What is left of one line of a bill made now, when a code takes something off."""
        bought = self._bought()
        if bought.code is None or (bought.code_ends is not None and bought.code_ends <= self.now):
            return amount
        return amount - part(amount, bought.code.percent, 100)

    def paid_bills(self) -> list[Bill]:
        """Bills with money in them that nobody disputes (any more)."""
        return [
            bill
            for bill in self.bills
            if bill.state == "paid" and bill.due > bill.refunded and bill.dispute in ("", "won")
        ]

    def give_back(self, bill: Bill, amount: int) -> None:
        """By staff. All of a payment of the running plan, in the money-back days of the first, ends the plan."""
        bill.refunded += amount
        bought = self.purchase
        if bill.refunded == bill.due and bought is not None and bill.purchase is bought:
            first = min(one.first_paid_at for one in (*self.past, bought) if one.first_paid_at is not None)
            if self.now < first + bought.plan.money_back_days * DAY:
                self._end()

    def _bill(self, total: int) -> Bill:
        bill = Bill(self.now, total, purchase=self.purchase)
        self.bills.append(bill)
        return bill

    def _charge(self, bill: Bill) -> None:
        if bill.is_paused:
            bill.state, bill.next_try = "void", None
            bill.due = max(0, bill.total - self.balance)
            return
        if bill.state == "draft":
            bill.state = "open"
            bill.due = max(0, bill.total - self.balance)
            self.balance -= bill.total - bill.due
        bill.next_try = None
        is_good = self.card_is_good if bill.its_card_is_good is None else bill.its_card_is_good
        if not bill.due or is_good:
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
            self._end()

    def _paid(self, bill: Bill) -> None:
        bill.state, bill.next_try = "paid", None
        bought = bill.purchase
        if bought is None:
            return
        if bill.due and bought.first_paid_at is None:
            bought.first_paid_at = self.now
        if bought.status == "past_due" and bought is self.purchase:
            bought.status, bought.failed_at = "active", None

    def _end(self) -> None:
        bought = self._bought()
        bought.ended_at = self.now
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
