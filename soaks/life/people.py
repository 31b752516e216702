"""A customer who does this and that: each act through the house's own doors, and the same act in the calculation."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from soaks.life import comparing
from soaks.life.expected import DAY, HOUR, Life
from soaks.life.terms import Plan, Price

if TYPE_CHECKING:
    from accounts.models import Account, User
    from simulator.core import Simulator
    from soaks.life.post import Post

GOOD, BAD, DECLINED = "pm_card_visa", "pm_card_chargeCustomerFail", "4000000000000002"
VISA = "4242424242424242"


@dataclass
class Person:
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
        bought = self.life.purchase
        if bought is None:
            likely: dict[Any, int] = {self._buy: 3, self._use: 1}
        elif bought.status == "past_due":
            likely = {
                self._pay_debts: 3,
                self._use: 3,
                self._rest: 3,
                self._cancel: int(not bought.is_canceling),
            }
        elif bought.is_canceling:
            likely = {self._resume: 2, self._use: 4, self._rest: 3}
        else:
            likely = {
                self._use: 8,
                self._change: 4,
                self._cancel: 1,
                self._other_card: 2,
                self._take_plan_back: 1,
            }
            if self.life.may_have_money_back():
                likely[self._money_back] = 3
        self.chance.choices(list(likely), list(likely.values()))[0]()

    def _rest(self) -> None:
        """Waits."""

    def _buy(self) -> None:
        from billing.lifecycle import checkout
        from simulator.hosted import checkout as page

        price, quantity = self._any_price()
        declined = self.chance.random() < 0.15
        self._say(f"buys {quantity} × {price.key}{', declined' if declined else ''}")
        intent = checkout.start(
            account=self.account, price=_sold(price), quantity=quantity, user=self.user, now=self.now
        )
        assert intent.stripe_session_id
        card = {"number": DECLINED if declined else VISA, "exp_month": 12, "exp_year": 2094, "cvc": "123"}
        with self.simulator.lock:
            outcome = page.pay(
                self.simulator,
                intent.stripe_session_id,
                card=card,
                email=self.user.email,
                name=self.user.name,
            )
        if outcome.status == "paid":
            self.life.card_is_good = True
            self.life.buy(price, quantity)
            if self.chance.random() < 0.5:
                checkout.complete(account=self.account, session_id=intent.stripe_session_id)
        self.post.deliver(self.account)

    def _change(self) -> None:
        from billing.changes import confirmation, preview
        from billing.changes.refusals import ChangeRefused

        bought = self.life.purchase
        assert bought is not None
        price, quantity = self._any_price()
        if self.chance.random() < 0.4 and bought.price.per_seat:
            price, quantity = bought.price, self._seats(bought.plan)
        if (price, quantity) == (bought.price, bought.quantity):
            return
        self._say(f"changes to {quantity} × {price.key}")
        wall = datetime.now(tz=UTC)
        wanted: dict[str, Any] = {"account": self.account, "user": self.user, "now": self.now, "wall": wall}
        try:
            receipt = preview.show(price=_sold(price), quantity=quantity, **wanted)
        except ChangeRefused as refusal:
            if "times in the last 24 hours" not in str(refusal):
                raise
            return
        if not self.life.is_for_later(price, quantity):
            due = max(0, self.life.sum_of_change(price, quantity) - self.life.balance)
            if receipt.sums.due != due:
                raise comparing.Differs(f"the receipt says {receipt.sums.due}, {due} expected")
        change = confirmation.confirm(token=receipt.token, **wanted)
        made = self.life.change(price, quantity)
        if made != (change.state in ("done", "scheduled")):
            raise comparing.Differs(f"the change is {change.state}: {change.failure}")
        self.post.deliver(self.account)

    def _take_plan_back(self) -> None:
        from billing.changes import downgrade
        from billing.models import PlanChange

        bought = self.life.purchase
        assert bought is not None
        if bought.planned is None:
            return
        self._say("takes the planned change back")
        planned = PlanChange.objects.get(account=self.account, state=PlanChange.State.SCHEDULED)
        downgrade.undo(account=self.account, change=planned, now=self.now)
        self.life.take_plan_back()
        self.post.deliver(self.account)

    def _cancel(self) -> None:
        from billing.lifecycle import subscriptions

        self._say("cancels")
        subscriptions.cancel(account=self.account)
        self.life.cancel()
        self.post.deliver(self.account)

    def _resume(self) -> None:
        from billing.lifecycle import subscriptions

        self._say("resumes")
        subscriptions.resume(account=self.account)
        self.life.resume()
        self.post.deliver(self.account)

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

    def _use(self) -> None:
        from usage import metering

        features = {
            name for plan in self.life.terms.plans.values() for name in (*plan.allowances, *plan.metered)
        }
        if not features:
            return
        feature = self.chance.choice(sorted(features))
        given = self.life.allowance(feature)
        limit = given[0] if given is not None else None
        units = self.chance.randint(1, max(2, (limit or 60) // 2))
        self._say(f"uses {units} {feature}")
        granted = True
        try:
            metering.consume(
                account=self.account,
                feature=feature,
                units=units,
                idempotency_key=f"soak-{self.number}-{self.life.now}-{self.acts}-{len(self.history)}",
                now=datetime.now(tz=UTC),
            )
        except (metering.AllowanceExhausted, metering.FeatureNotIncluded):
            granted = False
        if granted != self.life.use(feature, units):
            raise comparing.Differs(f"{units} {feature} {'granted' if granted else 'refused'}")

    # Helpers:

    def _any_price(self) -> tuple[Price, int]:
        plan = self.chance.choice(self.life.terms.for_sale(self.life.kind))
        price = self.chance.choice(plan.prices)
        return price, self._seats(plan) if price.per_seat else 1

    def _seats(self, plan: Plan) -> int:
        return self.chance.randint(plan.fewest, min(plan.most or 60, plan.fewest + 15))

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

    def _say(self, words: str, *, at: int | None = None) -> None:
        moment = datetime.fromtimestamp(at or self.life.now, UTC)
        self.history.append(f"{moment:%Y-%m-%d %H:%M:%S}  {words}")


def _sold(price: Price) -> Any:
    from billing import catalog

    return catalog.current().price(price.key)
