"""Every kind of letter from Stripe: its fact is written, told and shown once, in any order, twice, late or alone."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import Notification
from billing import clock, entitlements
from billing.models import Alert, Customer, Effect, Payment, Subscription, WebhookEvent
from billing.stripe import inbox
from tests.accounts.conftest import acting_for
from tests.billing import purchases, shopping
from tests.billing.letters import letter, post, thin_letter

pytestmark = pytest.mark.django_db(transaction=True)

PRICE = "kaboot_pro_month"
HOURS = timedelta(hours=2)  # a renewal is invoiced at once and charged an hour later


@pytest.fixture
def shop(simulator, settings):
    """Kaboot: five dollars a month, one day of grace."""
    settings.BILLING_CATALOG = "kaboot"
    settings.STRIPE_TEST_CLOCKS = True
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


@pytest.fixture
def as_alice(account, alice):
    """Her browser, at the organization's pages."""
    return acting_for(account, alice)


@dataclass
class World:
    """One customer, and Stripe as the customer, the bank and the Dashboard use it: never through our code."""

    shop: Any
    account: Any
    alice: Any
    stripe: Any = field(default_factory=purchases.at_stripe)

    @property
    def customer(self) -> str:
        return Customer.objects.get(account=self.account).stripe_customer_id or ""

    @property
    def subscription(self) -> Subscription:
        return Subscription.objects.filter(account=self.account).latest("pk")

    def buys(self, **how: Any) -> None:
        purchases.buy(self.account, PRICE, **how)

    def tries(self, *, days: int = 10) -> None:
        """A trial without a card."""
        self.stripe.v1.subscriptions.create(
            {
                "customer": purchases.known(self.account),
                "items": [{"price": purchases.price_id(PRICE)}],
                "trial_period_days": days,
                "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
            }
        )

    def pays_with(self, card: str) -> Any:
        method = self.stripe.v1.payment_methods.attach(card, {"customer": self.customer})
        self.stripe.v1.customers.update(
            self.customer, {"invoice_settings": {"default_payment_method": method.id}}
        )
        return method

    def waits_until(self, moment: Any) -> None:
        test_clock = Customer.objects.get(account=self.account).test_clock_id
        self.stripe.v1.test_helpers.test_clocks.advance(test_clock, {"frozen_time": int(moment.timestamp())})

    def renews(self) -> None:
        self.waits_until(self.subscription.current_period_end + HOURS)


@dataclass(frozen=True)
class Case:
    """What happens at Stripe, and what it is to us."""

    type: str
    act: Callable[[World], Any]
    fact: Callable[[World], bool]
    told: tuple[str, ...] = ()
    page: str = ""
    before: Callable[[World], Any] = World.buys


def goes_to_the_till(world: World) -> None:
    shopping.go_to_the_till(world.account, world.alice, PRICE)


def pays_at_the_till(world: World) -> None:
    assert shopping.pay(world.shop, world.account.checkouts.get()).status == "paid"


def is_paused(world: World) -> None:
    world.tries()
    world.shop.deliveries.forget()
    subscriptions_follow(world)
    world.waits_until(world.subscription.trial_end + HOURS)


def resumes(world: World) -> None:
    world.pays_with("pm_card_visa")
    world.stripe.v1.subscriptions.resume(world.subscription.stripe_subscription_id, {})


def is_sent_invoices(world: World) -> None:
    made = purchases.buy(world.account, PRICE)
    world.stripe.v1.subscriptions.update(made.id, {"collection_method": "send_invoice", "days_until_due": 14})


def loses_a_dispute(world: World) -> None:
    [dispute] = world.stripe.v1.disputes.list().data
    world.stripe.v1.disputes.close(dispute.id)


def gives_back_two_dollars(world: World) -> None:
    payment = Payment.objects.get(account=world.account)
    world.stripe.v1.refunds.create({"payment_intent": payment.stripe_payment_intent_id, "amount": 200})


def takes_the_card_away(world: World) -> None:
    [method] = world.stripe.v1.customers.payment_methods.list(world.customer).data
    world.stripe.v1.payment_methods.detach(method.id)


def fails_to_renew(world: World) -> None:
    world.pays_with("pm_card_chargeCustomerFail")
    world.renews()


def asks_the_bank(world: World) -> None:
    world.pays_with("pm_card_authenticationRequired")
    world.renews()


def has_status(status: str, *, payments: int | None = None) -> Callable[[World], bool]:
    def fact(world: World) -> bool:
        paid = Payment.objects.filter(account=world.account, amount_paid__gt=0).count()
        return world.subscription.status == status and payments in (None, paid)

    return fact


def has_card(last4: str) -> Callable[[World], bool]:
    return lambda world: Customer.objects.get(account=world.account).card_last4 == last4


def has_dispute(state: str) -> Callable[[World], bool]:
    return lambda world: Customer.objects.get(account=world.account).dispute_state == state


CASES = [
    Case(
        "checkout.session.completed",
        before=goes_to_the_till,
        act=pays_at_the_till,
        fact=has_status("active", payments=1),
        told=("plan_started", "receipt"),
        page="Pro, monthly",
    ),
    Case(
        "customer.subscription.created",
        before=goes_to_the_till,
        act=pays_at_the_till,
        fact=has_status("active", payments=1),
        told=("plan_started", "receipt"),
        page="Pro, monthly",
    ),
    Case(
        "customer.subscription.updated",
        act=lambda world: world.stripe.v1.subscriptions.update(
            world.subscription.stripe_subscription_id, {"cancel_at_period_end": True}
        ),
        fact=lambda world: world.subscription.is_canceling,
        told=("canceled",),
        page="Your plan ends on",
    ),
    Case(
        "customer.subscription.deleted",
        act=lambda world: world.stripe.v1.subscriptions.cancel(world.subscription.stripe_subscription_id),
        fact=has_status("canceled"),
        told=("ended",),
        page="Pro ended on",
    ),
    Case(
        "customer.subscription.trial_will_end",
        before=World.tries,
        act=lambda world: world.waits_until(world.subscription.trial_end - timedelta(days=2)),
        fact=has_status("trialing", payments=0),
        told=("trial_ending",),
        page="Add a card until then to go on",
    ),
    Case(
        "customer.subscription.paused",
        before=World.tries,
        act=lambda world: world.waits_until(world.subscription.trial_end + HOURS),
        fact=has_status("paused", payments=0),
        told=("trial_failed",),
        page="Your trial is over and the plan is paused.",
    ),
    Case(
        "customer.subscription.resumed",
        before=is_paused,
        act=resumes,
        fact=has_status("active"),
        told=("plan_started",),
        page="Active",
    ),
    *(
        Case(
            type,
            act=World.renews,
            fact=has_status("active", payments=2),
            told=("receipt",),
            page="$5.00 on ",
        )
        for type in ("invoice.paid", "invoice.payment_succeeded")
    ),
    Case(
        "invoice.payment_failed",
        act=fails_to_renew,
        fact=has_status("past_due", payments=1),
        told=("payment_failed",),
        page="Your last payment did not go through.",
    ),
    Case(
        "invoice.finalized",
        before=is_sent_invoices,
        act=World.renews,
        fact=lambda world: Payment.objects.filter(status="open", due_at__isnull=False).count() == 1,
        told=("invoice_sent",),
        page="Pay invoice",
    ),
    Case(
        "invoice.upcoming",
        act=lambda world: world.waits_until(world.subscription.current_period_end - timedelta(days=2)),
        fact=has_status("active", payments=1),
        told=("upcoming_charge",),
        page="$5.00 on ",
    ),
    Case(
        "invoice.payment_action_required",
        act=asks_the_bank,
        fact=has_status("past_due", payments=1),
        told=("action_required",),
        page="If your bank wants you to confirm it, that is done there too.",
    ),
    Case(
        "charge.refunded",
        act=gives_back_two_dollars,
        fact=lambda world: Payment.objects.get().amount_refunded == 200 and world.subscription.is_live,
        told=("refunded",),
        page="$2.00 refunded",
    ),
    Case(
        "charge.dispute.created",
        before=goes_to_the_till,
        act=lambda world: world.buys(card="pm_card_createDispute"),
        fact=has_dispute("open"),
        told=("dispute_opened", "plan_started", "receipt"),
        page="Active",
    ),
    Case(
        "charge.dispute.closed",
        before=lambda world: world.buys(card="pm_card_createDispute"),
        act=loses_a_dispute,
        fact=has_dispute("lost"),
        told=("dispute_lost",),
        page="This account is on hold.",
    ),
    Case(
        "customer.updated",
        act=lambda world: world.pays_with("pm_card_mastercard"),
        fact=has_card("4444"),
        page="ending 4444",
    ),
    Case(
        "customer.deleted",
        act=lambda world: world.stripe.v1.customers.delete(world.customer),
        fact=has_status("canceled"),
        told=("ended",),
        page="Choose a plan",
    ),
    Case(
        "payment_method.attached",
        act=lambda world: world.pays_with("pm_card_mastercard"),
        fact=has_card("4444"),
        page="ending 4444",
    ),
    Case(
        "payment_method.detached",
        act=takes_the_card_away,
        fact=has_card(""),
        told=("card_missing",),
        page="There is no card to charge it to: add one.",
    ),
]


def in_order(letters: list[Any], type: str) -> list[Any]:
    return letters


def backwards_and_twice(letters: list[Any], type: str) -> list[Any]:
    return [one for one in reversed(letters) for _ in range(2)]


def nothing_but_this(letters: list[Any], type: str) -> list[Any]:
    return [one for one in letters if one.event["type"] == type]


@pytest.mark.parametrize(
    "manner", [in_order, backwards_and_twice, nothing_but_this], ids=lambda m: m.__name__
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.type)
def test_each_fact_is_written_told_and_shown_once(shop, account, alice, as_alice, settle, case, manner):
    world = World(shop, account, alice)
    case.before(world)
    subscriptions_follow(world, settle)
    told_before = told(account)

    case.act(world)
    letters = shop.deliveries.take()
    assert case.type in {one.event["type"] for one in letters}
    deliver(manner(letters, case.type))
    written = what_is_written()
    # And all of it once more, days later.
    deliver(letters, late=timedelta(days=3))

    assert case.fact(world)
    assert what_is_written() == written or manner is nothing_but_this
    assert sorted(told(account)[len(told_before) :]) == sorted(case.told)
    assert case.page in text(as_alice.get("/billing/"))
    assert Effect.objects.values("key").distinct().count() == Effect.objects.count()
    assert not WebhookEvent.objects.filter(state__in=WebhookEvent.WAITING).exists()


@pytest.mark.parametrize(
    ("type", "kind"),
    [
        ("checkout.session.completed", "checkout.session"),
        *((f"customer.subscription.{what}", "subscription") for what in ("created", "updated", "deleted")),
        *(
            (f"customer.subscription.{what}", "subscription")
            for what in ("trial_will_end", "paused", "resumed")
        ),
        *((f"invoice.{what}", "invoice") for what in ("paid", "payment_succeeded", "payment_failed")),
        *((f"invoice.{what}", "invoice") for what in ("finalized", "payment_action_required")),
        ("charge.refunded", "charge"),
        ("payment_method.attached", "payment_method"),
    ],
)
def test_a_letter_about_the_plan_before_changes_nothing_of_the_plan_now(
    shop, account, alice, as_alice, settle, type, kind
):
    world = World(shop, account, alice)
    goes_to_the_till(world)
    pays_at_the_till(world)
    settle()
    old = world.subscription
    [about] = shop.store.find(kind, "customer", world.customer)[:1]
    world.stripe.v1.subscriptions.cancel(old.stripe_subscription_id)
    settle()
    purchases.buy(account, "kaboot_pro_year")
    settle()
    written, said = what_is_written(), told(account)

    deliver([letter(type, about=dict(about)), letter(type, about=dict(about))])

    assert what_is_written() == written
    assert told(account) == said
    live = Subscription.objects.live().get(account=account)
    assert (live.price_lookup_key, live.status) == ("kaboot_pro_year", "active")
    old.refresh_from_db()
    assert (old.status, old.is_live) == ("canceled", False)
    assert entitlements.of(account, now=clock.now(account)).plan.key == "pro"
    assert "Pro, yearly" in text(as_alice.get("/billing/"))


def test_usage_that_stripe_could_not_count_is_told_to_staff_once_and_to_no_customer(shop, account, settle):
    error = thin_letter(
        "v1.billing.meter.error_report_triggered",
        about={"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
        data={"reason": {"error_count": 1, "error_types": [{"code": "meter_event_customer_not_found"}]}},
    )

    deliver([error, error])
    deliver([error], late=timedelta(days=2))

    assert Alert.objects.filter(kind__startswith="meter").count() == 1
    assert told(account) == []


def subscriptions_follow(world: World, settle: Any = None) -> None:
    """Everything so far is read, so that what is seen later comes of what happens later."""
    from billing.lifecycle import subscriptions

    if settle is not None:
        settle()
    assert subscriptions.sync(account=world.account, reason="test")
    world.shop.deliveries.forget()


def deliver(letters: list[Any], *, late: timedelta = timedelta()) -> None:
    """Post them, signed today whenever they were written, and let the workers read until nothing is due."""
    client = Client()
    for one in letters:
        assert post(one if isinstance(one, dict) else one.event, client=client).status_code == 200
    for _ in range(20):
        if not inbox.drain(now=timezone.now() + late):
            return
    raise AssertionError("The post is never read to its end.")


def told(account: Any) -> list[str]:
    found = Notification.objects.filter(account=account).order_by("pk")
    return list(found.values_list("kind", flat=True))


def what_is_written() -> list[Any]:
    """The facts of the customer's plans and payments, without what only says how often we looked."""
    plans = Subscription.objects.order_by("pk").values_list(
        "stripe_subscription_id", "status", "plan_key", "is_live", "first_failed_at", "cancel_at_period_end"
    )
    payments = Payment.objects.order_by("pk").values_list(
        "stripe_invoice_id", "status", "amount_paid", "amount_refunded"
    )
    customers = Customer.objects.values_list("stripe_customer_id", "card_last4", "dispute_state")
    return [list(plans), list(payments), list(customers)]


def text(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))
