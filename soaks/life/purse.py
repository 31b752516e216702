"""What happens about the money: cards, debts, money back, refunds by staff, and disputes with the bank."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from soaks.life import comparing
from soaks.life.facts import Bill
from soaks.life.somebody import Somebody

GOOD, BAD = "pm_card_visa", "pm_card_chargeCustomerFail"


class Purse(Somebody):
    """Acts at Stripe's portal, on the staff's pages and at the bank."""

    def _other_card(self) -> None:
        good = self.chance.random() < 0.4
        self._say(f"enters a {'good' if good else 'bad'} card")
        self._use_card(GOOD if good else BAD)
        self.life.card_is_good = good
        self.post.deliver(self.account)

    def _pay_debts(self) -> None:
        """Another card in the portal, then the open invoice's page."""
        from billing.models import Subscription
        from billing.stripe import gateway

        self._say("enters a good card and pays what is open")
        self._use_card(GOOD)
        running = Subscription.objects.live().get(account=self.account).stripe_subscription_id
        for invoice in gateway.pages("/v1/invoices", {"subscription": running, "status": "open"}):
            gateway.post(
                f"/v1/invoices/{invoice['id']}/pay", idempotency_key=f"soak:{invoice['id']}:{self.life.now}"
            )
        self.life.pay_debts()
        self.post.deliver(self.account)

    def _money_back(self) -> None:
        from billing.leaving import refund_window

        self._say("wants the money back")
        offer = refund_window.take_back(account=self.account, by=self.user)
        amount = self.life.money_back()
        if offer.amount != amount:
            raise comparing.Differs(f"{offer.amount} given back, {amount} expected")
        self.post.deliver(self.account)

    def _refund(self) -> None:
        """Staff give some of a payment back, or all of it."""
        from billing.leaving import refunds

        bill = self.chance.choice(self.life.paid_bills())
        left = bill.due - bill.refunded
        amount = left if self.chance.random() < 0.4 else self.chance.randint(1, left)
        self._say(f"is given {amount} of {left} back by staff")
        payment = self._payment_of(bill)
        nonce = str(uuid.UUID(int=self.chance.getrandbits(128)))
        for _ in range(self.chance.choice((1, 1, 2))):
            refunds.refund(payment=payment, amount=amount, reason="soak", nonce=nonce)
        self.life.give_back(bill, amount)
        self.post.deliver(self.account)

    def _dispute(self) -> None:
        """The bank takes a payment back."""
        from simulator.resources import disputes

        bill = self.chance.choice(self.life.paid_bills())
        if bill.refunded or bill.dispute:
            return
        self._say(f"disputes {bill.due}")
        charge = self.simulator.store.get("charge", self._payment_of(bill).stripe_charge_id)
        assert charge is not None
        with self.simulator.transaction():
            disputes.open_for(self.simulator, charge)
        bill.dispute = "open"
        self.post.deliver(self.account)

    def _decide_dispute(self) -> None:
        from billing.stripe import gateway

        bill = next(bill for bill in self.life.bills if bill.dispute == "open")
        became = "won" if self.chance.random() < 0.6 else "lost"
        self._say(f"the dispute is {became}")
        charge = self._payment_of(bill).stripe_charge_id
        [dispute] = [
            one
            for one in gateway.get("/v1/disputes", {"charge": charge})["data"]
            if one["status"] == "needs_response"
        ]
        evidence = {"won": "winning_evidence", "lost": "losing_evidence"}[became]
        gateway.post(
            f"/v1/disputes/{dispute['id']}",
            {"evidence": {"uncategorized_text": evidence}, "submit": True},
            idempotency_key=self._key(),
        )
        if became == "lost":
            self.life.lose_dispute(bill)
        else:
            bill.dispute = became
        self.post.deliver(self.account)

    def _forgive(self) -> None:
        from billing.leaving import forgiving

        self._say("is forgiven by staff")
        forgiving.forgive(self.account, by="dana", now=datetime.now(tz=UTC))
        self.life.forgive()
        self.post.deliver(self.account)

    def _payment_of(self, bill: Bill) -> Any:
        from billing.models import Payment

        found = [
            row
            for row in Payment.objects.filter(account=self.account, status="paid", amount_due=bill.due)
            if int(row.created_at.timestamp()) == bill.at and row.amount_refunded == bill.refunded
        ]
        if not found:
            raise comparing.Differs(
                f"no payment of {bill.due} with {bill.refunded} given back, made at {bill.at}"
            )
        return found[0]

    def _use_card(self, token: str) -> None:
        from billing.models import Customer, Subscription
        from billing.stripe import gateway

        customer = Customer.objects.get(account=self.account).stripe_customer_id
        key = f"soak:{customer}:{token}:{self.life.now}:{len(self.history)}"
        if token not in self._cards:
            path = f"/v1/payment_methods/{token}/attach"
            self._cards[token] = gateway.post(path, {"customer": customer}, idempotency_key=key)["id"]
        card = self._cards[token]
        gateway.post(
            f"/v1/customers/{customer}",
            {"invoice_settings": {"default_payment_method": card}},
            idempotency_key=f"{key}:customer",
        )
        for row in Subscription.objects.live().filter(account=self.account):
            gateway.post(
                f"/v1/subscriptions/{row.stripe_subscription_id}",
                {"default_payment_method": card},
                idempotency_key=f"{key}:{row.stripe_subscription_id}",
            )
