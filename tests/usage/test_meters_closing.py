"""Whatever makes an invoice of what was used, the invoice has all of it, or a person is told what it lacks."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from billing import clock, effects, signals
from billing.lifecycle import money_back, subscriptions
from billing.models import Alert, Customer, Effect, Payment, Subscription
from billing.stripe import gateway
from tests.accounts.conftest import acting_for
from tests.billing.shopping import DECLINED_LATER, at_stripe, buy, change_card, let_pass
from tests.usage.conftest import Wires
from usage import metering, meters, tasks
from usage.meters import by_hand, closing, sending, silence
from usage.models import MeterDelivery, MeterEvent

if TYPE_CHECKING:
    from simulator.core import Simulator
    from tests.stack.stripe import Settle

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def bought(shop: "Simulator", account: Account, alice: Any) -> Subscription:
    """Alice & Co pays by the token, 50 cents each; bought at Stripe's till, on a test clock."""
    return buy(shop, account, alice, "counting_payg")


def use(account: Account, units: int, *, now: datetime | None = None, key: str = "") -> None:
    moment = now or clock.now(account)
    key = key or f"{units}-{moment}"
    metering.consume(account=account, feature="tokens", units=units, idempotency_key=key, now=moment)


def invoiced(shop: "Simulator", account: Account) -> list[int]:
    """What each invoice came to, in cents, oldest first."""
    return [invoice["total"] for invoice in at_stripe(shop, account, "invoice")]


def test_a_plan_ended_at_once_is_billed_to_the_last_token(
    shop: "Simulator", account: Account, bought: Subscription
) -> None:
    use(account, 3)
    use(account, 4)
    let_pass(account, clock.now(account) + HOUR)

    subscriptions.cancel_now(account=account)

    assert invoiced(shop, account) == [0, 350]
    assert not MeterEvent.objects.filter(state="waiting").exists()


def test_a_plan_is_not_ended_while_its_use_cannot_be_reported(
    shop: "Simulator", account: Account, bought: Subscription, wires: Wires
) -> None:
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    wires(cut="before", status=500)

    with pytest.raises(gateway.StripeUnavailable, match="3 units"):
        subscriptions.cancel_now(account=account)
    assert Subscription.objects.get().is_live

    wires()
    gateway.line.forget()
    subscriptions.cancel_now(account=account)
    assert invoiced(shop, account) == [0, 150]


def test_what_is_used_in_the_moment_a_plan_ends_is_not_given_to_a_meter_that_nobody_bills(
    shop: "Simulator", account: Account, bought: Subscription
) -> None:
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)

    def somebody_presses_meanwhile(sender: Any, **_: Any) -> None:
        use(account, 4, now=clock.now(account))

    signals.subscription_about_to_change.connect(somebody_presses_meanwhile)
    try:
        subscriptions.cancel_now(account=account)
    finally:
        signals.subscription_about_to_change.disconnect(somebody_presses_meanwhile)
    let_pass(account, clock.now(account) + timedelta(seconds=1))
    meters.deliver(now=timezone.now())

    late = MeterDelivery.objects.get(units=4)
    assert late.state == "review"
    assert by_hand.proposal(late).amount == 200
    assert invoiced(shop, account) == [0, 150]


def test_what_waits_for_a_pause_is_sent_when_stripe_drafts_the_invoice(
    shop: "Simulator", account: Account, bought: Subscription, wires: Wires, settle: "Settle"
) -> None:
    let_pass(account, bought.current_period_end - HOUR)
    settle()
    use(account, 5)
    wires(cut="before", status=500)
    meters.deliver(now=timezone.now())
    assert MeterDelivery.objects.get().next_attempt_at > timezone.now()
    wires()

    let_pass(
        account, bought.current_period_end + 10 * MINUTE
    )  # Stripe drafts the invoice, and its letters are read
    settle()

    assert MeterDelivery.objects.get().state == "sent"
    let_pass(account, bought.current_period_end + 2 * HOUR)
    assert invoiced(shop, account) == [0, 250]


def test_without_a_word_from_stripe_the_clock_brings_what_waits_to_the_invoice(
    shop: "Simulator", account: Account, bought: Subscription, wires: Wires
) -> None:
    let_pass(account, bought.current_period_end - 5 * MINUTE)
    use(account, 5)
    wires(cut="before", status=500)
    meters.deliver(now=timezone.now())
    wires()

    tasks.close_meter_periods()

    assert MeterDelivery.objects.get().state == "sent"
    let_pass(account, bought.current_period_end + 2 * HOUR)
    assert invoiced(shop, account) == [0, 250]


def test_with_little_of_the_drafts_hour_left_staff_are_told(
    shop: "Simulator", account: Account, bought: Subscription, wires: Wires
) -> None:
    use(account, 5)
    wires(cut="before", status=500)
    let_pass(account, bought.current_period_end + 45 * MINUTE)

    assert closing.sweep(now=timezone.now()) == 0

    alert = Alert.objects.get(kind="meter_units_late")
    assert alert.account == account
    assert "5 metered units" in alert.message


def test_what_missed_its_invoice_is_billed_by_an_item_on_the_next(
    shop: "Simulator", account: Account, bought: Subscription, as_dana: Client
) -> None:
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    delivery = MeterDelivery.objects.get()
    assert delivery.state == "review"
    page = as_dana.get("/staff/usage/meterdelivery/").content.decode()
    assert "$4.00 for 8 × token" in page

    for _ in range(2):  # pressed twice
        chosen = {"action": "bill", "_selected_action": [delivery.pk]}
        done = as_dana.post("/staff/usage/meterdelivery/", chosen, follow=True).content.decode()
    assert "was not billed. It is billed." in done

    delivery.refresh_from_db()
    assert delivery.state == "billed"
    [item] = at_stripe(shop, account, "invoiceitem")
    assert (item["id"], item["amount"]) == (delivery.stripe_invoice_item_id, 400)
    let_pass(account, Subscription.objects.get().current_period_end + 2 * HOUR)
    assert invoiced(shop, account) == [0, 0, 400]


def test_an_item_made_before_a_crash_is_found_and_not_made_again(
    shop: "Simulator", account: Account, bought: Subscription
) -> None:
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    delivery = MeterDelivery.objects.get()
    by_hand.bill(delivery, now=timezone.now())
    # as if the answer had never been written down, and Stripe had forgotten the idempotency key
    MeterDelivery.objects.update(state="review", stripe_invoice_item_id="")
    for kept in list(shop.store.all("_idempotency")):
        shop.store.remove("_idempotency", kept["id"])

    by_hand.bill(MeterDelivery.objects.get(), now=timezone.now())

    assert len(at_stripe(shop, account, "invoiceitem")) == 1
    assert MeterDelivery.objects.get().state == "billed"


def test_only_staff_who_may_change_deliveries_decide(
    shop: "Simulator", account: Account, bought: Subscription, dana: Any, as_dana: Client, as_alice: Client
) -> None:
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    dana.is_superuser = False
    dana.save()
    from django.contrib.auth.models import Permission

    dana.user_permissions.add(Permission.objects.get(codename="view_meterdelivery"))
    chosen = {"action": "settle", "_selected_action": [MeterDelivery.objects.get().pk]}

    as_dana.post("/staff/usage/meterdelivery/", chosen)
    as_alice.post("/staff/usage/meterdelivery/", chosen)

    assert MeterDelivery.objects.get().state == "review"


def test_what_is_settled_in_another_way_is_left_alone(
    shop: "Simulator", account: Account, bought: Subscription, as_dana: Client
) -> None:
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    delivery = MeterDelivery.objects.get()

    as_dana.post("/staff/usage/meterdelivery/", {"action": "settle", "_selected_action": [delivery.pk]})

    assert MeterDelivery.objects.get().state == "settled"
    assert not by_hand.send_again(delivery, now=timezone.now())
    assert Alert.objects.get(kind="meter_delivery_review").resolved_at


def test_what_stripe_could_not_count_after_all_is_rejected_and_told(
    shop: "Simulator", payg: Account, settle: "Settle"
) -> None:
    use(payg, 5, now=timezone.now() - HOUR)
    use(payg, 6, now=timezone.now() - 3 * HOUR)
    Customer.objects.filter(account=payg).update(stripe_customer_id="cus_unknown_to_stripe")

    assert meters.deliver(now=timezone.now()) == 2  # Stripe says yes at first
    settle()

    assert set(MeterDelivery.objects.values_list("state", flat=True)) == {"rejected"}
    alerts = Alert.objects.filter(kind="meter_delivery_rejected")
    assert alerts.count() == 2
    assert all("meter_event_customer_not_found" in alert.message for alert in alerts)


def test_a_rejection_of_events_that_are_not_ours_is_told_to_staff(
    shop: "Simulator", payg: Account, settle: "Settle"
) -> None:
    of_another_program = {
        "event_name": "tokens_used",
        "identifier": "not-ours",
        "payload": {"stripe_customer_id": "cus_nobody", "value": "3"},
    }
    gateway.post("/v1/billing/meter_events", of_another_program, idempotency_key="x")

    settle()

    assert "0 of them were found among ours" in Alert.objects.get(kind="meter_error").message


def test_a_late_rejection_does_not_undo_what_a_person_has_billed(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    delivery = MeterDelivery.objects.get()
    by_hand.bill(delivery, now=timezone.now())
    from billing.stripe.meter_errors import MeterError
    from usage.meters import rejections

    assert rejections.apply([MeterError(delivery.identifier, "no_meter", "late")], now=timezone.now()) == 1

    assert MeterDelivery.objects.get().state == "billed"


def test_silence_at_the_meters_is_told_after_a_quarter_of_an_hour_and_taken_back(
    payg: Account, wires: Wires
) -> None:
    now = timezone.now()
    use(payg, 1, now=now)
    assert not silence.look(now=now + 14 * MINUTE)
    wires(cut="before", status=500)
    meters.deliver(now=now)

    assert silence.look(now=now + 16 * MINUTE)
    assert not Alert.objects.get(kind="meter_deliveries_silent").resolved_at

    wires()
    gateway.line.forget()
    meters.deliver(now=now + 20 * MINUTE)
    assert not silence.look(now=now + 40 * MINUTE)
    assert Alert.objects.get(kind="meter_deliveries_silent").resolved_at


def test_no_usage_is_not_silence(payg: Account) -> None:
    assert not silence.look(now=timezone.now() + timedelta(days=3))


def test_a_flush_waits_for_a_sender_that_has_the_delivery_only_a_moment(
    shop: "Simulator", payg: Account
) -> None:
    now = timezone.now()
    use(payg, 5, now=now - HOUR)
    meters.deliver(now=now, seconds=0)
    from usage.meters import freezing

    freezing.freeze(now=now)
    MeterDelivery.objects.update(is_in_flight=True, attempts=1, next_attempt_at=now + sending.CLAIM)

    assert meters.flush(account=payg, now=now, seconds=0.2) == 5

    MeterDelivery.objects.update(is_in_flight=False)
    assert meters.flush(account=payg, now=now) == 0


# --- Ended at Stripe itself ---------------------------------------------------------------------------------


def end_in_the_dashboard(account: Account, bought: Subscription, settle: "Settle", **how: Any) -> None:
    """At once, as somebody at support may; Stripe's letter tells us."""
    gateway.delete(f"/v1/subscriptions/{bought.stripe_subscription_id}", how)
    settle()
    assert not Subscription.objects.live().filter(account=account).exists()
    let_pass(account, clock.now(account) + 2 * HOUR)


def test_ended_in_the_dashboard_without_an_invoice_what_was_counted_is_proposed_and_billed(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle", as_dana: Client
) -> None:
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    end_in_the_dashboard(account, bought, settle, invoice_now=False)

    for _ in range(2):
        tasks.close_meter_periods()

    delivery = MeterDelivery.objects.get()
    assert delivery.state == "review"
    assert "3 tokens_used" in Alert.objects.get(kind="meter_delivery_review").message
    page = as_dana.get("/staff/usage/meterdelivery/").content.decode()
    assert "$1.50 for 3 × token" in page
    chosen = {"action": "bill", "_selected_action": [delivery.pk]}
    done = as_dana.post("/staff/usage/meterdelivery/", chosen, follow=True).content.decode()
    assert "$1.50 is on an invoice of its own of" in done
    let_pass(account, clock.now(account) + 2 * HOUR)
    assert invoiced(shop, account) == [0, 150]
    assert at_stripe(shop, account, "invoice")[-1]["status"] == "paid"


def test_who_paid_by_invoice_is_billed_by_invoice_and_no_card_is_asked(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"collection_method": "send_invoice", "days_until_due": 30},
        idempotency_key="by invoice",
    )
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    end_in_the_dashboard(account, bought, settle, invoice_now=False)
    tasks.close_meter_periods()

    by_hand.bill(MeterDelivery.objects.get(), now=timezone.now())
    let_pass(account, clock.now(account) + 2 * HOUR)

    last = at_stripe(shop, account, "invoice")[-1]
    assert (last["total"], last["collection_method"], last["status"]) == (150, "send_invoice", "open")


def test_ended_in_the_dashboard_with_an_invoice_nothing_is_proposed(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    end_in_the_dashboard(account, bought, settle, invoice_now=True)

    tasks.close_meter_periods()

    assert invoiced(shop, account) == [0, 150]
    assert MeterDelivery.objects.get().state == "sent"


def test_ended_in_the_dashboard_before_it_was_all_reported_the_rest_is_proposed(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    use(account, 4)
    end_in_the_dashboard(account, bought, settle, invoice_now=True)

    meters.deliver(now=timezone.now())
    tasks.close_meter_periods()

    assert invoiced(shop, account) == [0, 150]
    late = MeterDelivery.objects.get(units=4)
    assert late.state == "review" and by_hand.proposal(late).amount == 200
    assert MeterDelivery.objects.get(units=3).state == "sent"


def test_what_an_earlier_invoice_has_is_not_proposed_again(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 3)
    meters.deliver(now=timezone.now())
    let_pass(account, bought.current_period_end + 2 * HOUR)
    settle()
    use(account, 5)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    end_in_the_dashboard(account, Subscription.objects.get(), settle, invoice_now=False)

    tasks.close_meter_periods()

    assert list(MeterDelivery.objects.order_by("pk").values_list("units", "state")) == [
        (3, "sent"),
        (5, "review"),
    ]


def test_a_plan_canceled_to_its_end_is_billed_by_stripe_and_nothing_is_proposed(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 3)
    meters.deliver(now=timezone.now())
    subscriptions.cancel(account=account)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    settle()

    tasks.close_meter_periods()

    assert invoiced(shop, account) == [0, 150]
    assert MeterDelivery.objects.get().state == "sent"


def test_what_is_counted_and_billed_by_hand_is_no_difference_and_is_not_sent_again(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    from usage.meters import reconciliation

    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    end_in_the_dashboard(account, bought, settle, invoice_now=False)
    tasks.close_meter_periods()
    delivery = MeterDelivery.objects.get()
    assert not by_hand.send_again(delivery, now=timezone.now())

    by_hand.bill(delivery, now=timezone.now())

    assert all(found.difference == 0 for found in reconciliation.reconcile(account, now=timezone.now()))


def test_what_was_used_in_a_trial_is_proposed_to_nobody(
    simulator: "Simulator", account: Account, alice: Any, settle: "Settle", settings: Any, tmp_path: Path
) -> None:
    words = Path(settings.BILLING_CATALOG).read_text()
    with_trial = words.replace('summary = "By the token."', 'summary = "By the token."\ntrial_days = 14')
    settings.BILLING_CATALOG, settings.STRIPE_TEST_CLOCKS = str(tmp_path / "catalog.toml"), True
    Path(settings.BILLING_CATALOG).write_text(with_trial)
    call_command("sync_catalog", verbosity=0)
    trial = buy(simulator, account, alice, "counting_payg")
    assert trial.status == "trialing" and trial.trial_end
    use(account, 20)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    assert MeterDelivery.objects.get().state == "sent"
    subscriptions.cancel(account=account)
    let_pass(account, trial.trial_end + 2 * HOUR)
    settle()
    assert not Subscription.objects.live().filter(account=account).exists()

    tasks.close_meter_periods()

    assert MeterDelivery.objects.get().state == "sent"
    assert invoiced(simulator, account) in ([0], [0, 0])


def test_what_was_used_on_a_plan_that_was_given_back_in_full_is_proposed_to_nobody(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    given_back(account, bought)
    end_in_the_dashboard(account, bought, settle, invoice_now=False)

    tasks.close_meter_periods()

    assert MeterDelivery.objects.get().state == "sent"


def given_back(account: Account, bought: Subscription) -> None:
    """As money_back.follow writes it when the first payment of a plan has gone back, and the plan with it."""
    Payment.objects.update_or_create(
        stripe_invoice_id="in_given_back",
        defaults={
            "account": account,
            "stripe_subscription_id": bought.stripe_subscription_id,
            "status": "paid",
            "currency": "usd",
            "amount_due": 100,
            "amount_paid": 100,
            "created_at": timezone.now(),
            "synced_at": timezone.now(),
        },
    )
    with transaction.atomic():
        effects.once(
            key=money_back.key_of("in_given_back"),
            kind=money_back.KIND,
            account=account,
            now=timezone.now(),
            detail={"plan_ended": True},
        )


def test_what_waited_when_its_plan_was_given_back_is_billed_by_nobody_and_no_person_is_asked(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    settle()
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    given_back(account, bought)
    end_in_the_dashboard(account, bought, settle, invoice_now=False)

    meters.deliver(now=timezone.now())

    delivery = MeterDelivery.objects.get()
    assert delivery.state == "settled" and "its money went back" in delivery.last_error
    assert not Alert.objects.filter(kind__startswith="meter_delivery").exists()


def test_what_waited_for_staff_before_its_plan_was_given_back_is_not_proposed_to_be_billed(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle", as_dana: Client
) -> None:
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    assert MeterDelivery.objects.get().state == "review"
    given_back(account, bought)
    end_in_the_dashboard(account, bought, settle, invoice_now=False)

    page = as_dana.get("/staff/usage/meterdelivery/").content.decode()

    assert "Nobody is to pay for it" in page and "$4.00" not in page
    with pytest.raises(by_hand.CannotBill):
        by_hand.bill(MeterDelivery.objects.get(), now=timezone.now())


def test_what_the_plan_that_stays_bills_is_not_proposed_when_the_second_one_ends(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    price = gateway.get(f"/v1/subscriptions/{bought.stripe_subscription_id}")["items"]["data"][0]["price"][
        "id"
    ]
    second = gateway.post(
        "/v1/subscriptions",
        {"customer": bought.stripe_customer_id, "items": [{"price": price}]},
        idempotency_key="second",
    )
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    settle()
    assert gateway.get(f"/v1/subscriptions/{second['id']}")["status"] == "canceled"
    assert Subscription.objects.live().get(account=account) == bought
    let_pass(account, clock.now(account) + 2 * HOUR)

    tasks.close_meter_periods()

    assert MeterDelivery.objects.get().state == "sent"
    let_pass(account, bought.current_period_end + 2 * HOUR)
    assert invoiced(shop, account)[-1] == 150


def test_on_a_clock_that_stands_still_what_the_last_invoice_has_is_not_proposed(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 3)
    meters.deliver(now=timezone.now())
    end_in_the_dashboard(account, bought, settle, invoice_now=True)  # in the second in which it was bought
    assert invoiced(shop, account) == [0, 150]

    tasks.close_meter_periods()

    assert MeterDelivery.objects.get().state == "sent"


def test_a_plan_begun_in_the_second_another_ended_is_not_billed_for_what_that_ones_invoice_has(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle", alice: Any
) -> None:
    let_pass(account, clock.now(account) + HOUR)
    use(account, 3)
    meters.deliver(now=timezone.now())
    gateway.delete(f"/v1/subscriptions/{bought.stripe_subscription_id}", {"invoice_now": True})
    settle()
    assert invoiced(shop, account) == [0, 150]
    second = buy(shop, account, alice, "counting_payg")
    use(account, 5)
    meters.deliver(now=timezone.now())
    end_in_the_dashboard(account, second, settle, invoice_now=False)

    tasks.close_meter_periods()

    assert list(MeterDelivery.objects.order_by("pk").values_list("units", "state")) == [
        (3, "sent"),
        (5, "review"),
    ]


def test_what_was_used_in_the_second_a_period_began_anew_is_proposed_when_no_invoice_has_it(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 2)
    let_pass(account, clock.now(account) + HOUR)
    use(account, 3)
    meters.deliver(now=timezone.now())
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"billing_cycle_anchor": "now"},
        idempotency_key="anew",
    )
    settle()
    assert invoiced(shop, account) == [0, 100]
    end_in_the_dashboard(account, Subscription.objects.get(), settle, invoice_now=False)

    tasks.close_meter_periods()

    assert list(MeterDelivery.objects.order_by("pk").values_list("units", "state")) == [
        (2, "sent"),
        (3, "review"),
    ]


def test_what_was_used_within_the_second_a_plan_ended_is_proposed(
    shop: "Simulator", account: Account, bought: Subscription, settle: "Settle"
) -> None:
    use(account, 3)
    let_pass(account, clock.now(account) + HOUR)
    meters.deliver(now=timezone.now())
    end_in_the_dashboard(account, bought, settle, invoice_now=False)
    ended = Subscription.objects.get()
    assert ended.ended_at
    MeterDelivery.objects.update(occurred_at=ended.ended_at + timedelta(milliseconds=400))

    tasks.close_meter_periods()

    assert MeterDelivery.objects.get().state == "review"


# --- The account is closed -----------------------------------------------------------------------------------


def close(account: Account, owner: Any) -> str:
    browser = acting_for(account, owner)
    return browser.post("/account/close/", {"name": account.name}, follow=True).content.decode()


def test_what_staff_had_still_to_decide_is_written_off_with_its_account_and_billed_by_nobody(
    shop: "Simulator", account: Account, bought: Subscription, alice: Any, as_dana: Client
) -> None:
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    delivery = MeterDelivery.objects.get()
    assert delivery.state == "review"

    assert "The account is closed" in close(account, alice)

    for action in ("bill", "send_again"):
        chosen = {"action": action, "_selected_action": [delivery.pk]}
        done = as_dana.post("/staff/usage/meterdelivery/", chosen, follow=True).content.decode()
    assert "$4.00 for 8" not in done and "Written off: the account was closed" in done
    assert at_stripe(shop, account, "invoiceitem") == []
    assert sum(invoiced(shop, account)) == 0
    delivery.refresh_from_db()
    assert delivery.state == "settled"
    row = Effect.objects.get(kind="meter_written_off")
    assert (row.detail["units"], row.detail["amount"], row.detail["currency"]) == (8, 400, "usd")
    assert "made without it" in row.detail["why"]
    assert not Alert.objects.filter(kind="meter_delivery_review", resolved_at=None).exists()
    told = Alert.objects.get(kind="meter_written_off")
    assert "8 tokens_used ($4.00)" in told.message and "Alice" not in told.message


def bill_by_hand(account: Account, bought: Subscription, as_dana: Client) -> None:
    """Eight tokens that missed their invoice wait for the next one, as an item."""
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    chosen = {"action": "bill", "_selected_action": [MeterDelivery.objects.get().pk]}
    as_dana.post("/staff/usage/meterdelivery/", chosen, follow=True)


def test_what_staff_billed_for_the_next_invoice_is_on_a_last_one_when_the_account_closes_before(
    shop: "Simulator", account: Account, bought: Subscription, alice: Any, as_dana: Client
) -> None:
    bill_by_hand(account, bought, as_dana)

    assert "The account is closed" in close(account, alice)

    [item] = at_stripe(shop, account, "invoiceitem")
    assert item["invoice"] is not None
    paid = Payment.objects.get(stripe_invoice_id=item["invoice"])
    assert (paid.amount_paid, paid.status) == (400, "paid")


def test_what_the_last_invoice_cannot_take_is_paid_before_the_account_closes(
    shop: "Simulator", account: Account, bought: Subscription, alice: Any, as_dana: Client
) -> None:
    bill_by_hand(account, bought, as_dana)
    change_card(shop, account, DECLINED_LATER)

    page = close(account, alice)

    assert "The plan is over, and an invoice is open. Pay it, then close the account." in page
    assert "Pay $4.00" in page
    account.refresh_from_db()
    assert account.closed_at is None


def test_what_comes_to_light_after_the_closing_is_written_off_too(
    shop: "Simulator", account: Account, bought: Subscription, alice: Any
) -> None:
    from billing.stripe.meter_errors import MeterError
    from usage.meters import rejections

    use(account, 3)
    assert "The account is closed" in close(account, alice)
    assert invoiced(shop, account) == [0, 150]
    delivery = MeterDelivery.objects.get()

    rejections.apply([MeterError(delivery.identifier, "no_meter", "late")], now=timezone.now())

    delivery.refresh_from_db()
    assert delivery.state == "settled"
    assert not Alert.objects.filter(kind="meter_delivery_rejected").exists()
    assert "3 tokens_used ($1.50)" in Alert.objects.get(kind="meter_written_off").message


def test_staff_who_decide_while_the_account_is_closed_bill_nothing(
    shop: "Simulator", account: Account, bought: Subscription, alice: Any
) -> None:
    use(account, 8)
    let_pass(account, bought.current_period_end + 2 * HOUR)
    meters.deliver(now=timezone.now())
    seen_before = MeterDelivery.objects.select_related("account").get()
    close(account, alice)
    # as a delivery that was given to staff at the very moment of the closing, and that the closing did not see
    MeterDelivery.objects.update(state="review")

    with pytest.raises(by_hand.CannotBill, match="account is closed"):
        by_hand.bill(seen_before, now=timezone.now())
    assert not by_hand.send_again(seen_before, now=timezone.now())
    assert by_hand.settle(seen_before, now=timezone.now())
    assert at_stripe(shop, account, "invoiceitem") == []
