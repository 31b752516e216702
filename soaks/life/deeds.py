"""What customers do about their plan: buy, use, change, pause, cancel, and take each of it back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from soaks.life import comparing
from soaks.life.facts import Code
from soaks.life.somebody import Somebody, sold

DECLINED, VISA = "4000000000000002", "4242424242424242"
CODES = (Code("STAY20", 20, None), Code("START35", 35, 3))


class Deeds(Somebody):
    """Acts at the till, on the pages about the plan, and in the product."""

    def _buy(self) -> None:
        from billing.deals import codes
        from billing.lifecycle import checkout
        from simulator.hosted import checkout as page

        price, quantity = self._any_price()
        declined = self.chance.random() < 0.15
        code = self.chance.choice((*CODES, None, None))
        words = f"{f' with {code.name}' if code else ''}{', declined' if declined else ''}"
        self._say(f"buys {quantity} × {price.key}{words}")
        found = codes.find(code=code.name, account=self.account, now=self.now).stripe_id if code else ""
        intent = checkout.start(
            account=self.account,
            price=sold(price),
            quantity=quantity,
            user=self.user,
            now=self.now,
            promotion_code=found,
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
            self.life.buy(price, quantity, code)
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
            receipt = preview.show(price=sold(price), quantity=quantity, **wanted)
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

    def _pause(self) -> None:
        from billing.leaving import pausing

        # The plan that was bought, which an open dispute may have taken away for now.
        months = self.chance.randint(1, self.life.purchase.plan.pause_months)
        self._say(f"pauses for {months} months")
        pausing.pause(account=self.account, months=months)
        self.life.pause(months)
        self.post.deliver(self.account)

    def _go_on(self) -> None:
        from billing.leaving import pausing
        from billing.stripe import gateway

        self._say("goes on")
        try:
            pausing.go_on(account=self.account)
            goes_on = True
        except gateway.CardDeclined:
            goes_on = False
        if goes_on != self.life.go_on():
            raise comparing.Differs(f"the pause {'ended' if goes_on else 'stayed'}")
        self.post.deliver(self.account)

    def _use_code(self) -> None:
        from billing.deals import codes

        code = self.chance.choice(CODES)
        self._say(f"uses {code.name}")
        found = codes.find(code=code.name, account=self.account, now=self.now)
        codes.use(account=self.account, code=found)
        self.life.use_code(code)
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


def write_codes() -> None:
    """What staff write at Stripe: the coupons and their codes."""
    from billing.stripe import gateway

    for code in CODES:
        rhythm = (
            {"duration": "forever"}
            if code.months is None
            else {"duration": "repeating", "duration_in_months": code.months}
        )
        coupon = gateway.post(
            "/v1/coupons", {"percent_off": code.percent, **rhythm}, idempotency_key=f"coupon:{code.name}"
        )
        gateway.post(
            "/v1/promotion_codes",
            {"code": code.name, "promotion": {"type": "coupon", "coupon": coupon["id"]}},
            idempotency_key=f"code:{code.name}",
        )
