"""Letters are read sooner or later, together where they can be; one that cannot be read stops no other."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from billing.lifecycle import lease
from billing.models import Alert, Customer, Payment, Subscription, WebhookEvent
from billing.stripe import gateway, inbox, outcomes, pruning
from simulator import front_door
from simulator.failures import Failure
from tests import factories
from tests.billing.letters import letter, post, thin_letter
from tests.billing.purchases import at_stripe, buy, known

pytestmark = pytest.mark.django_db(transaction=True)

SOON = timedelta(seconds=15)


@pytest.fixture(autouse=True)
def _in_everybodys_time(settings):
    settings.STRIPE_TEST_CLOCKS = False


@pytest.fixture
def stripe(simulator):
    """What goes in and out at Stripe: `stripe.requests()`, `stripe.fail(...)`."""
    door = front_door.of(simulator)
    door.forget()
    yield door
    door.forget()


@pytest.fixture
def customer(stripe, account):
    """Alice's account, known at Stripe; the letters about that are on their way to nowhere."""
    customer = known(account)
    stripe.simulator.deliveries.forget()
    stripe.forget()
    return customer


def about(customer, type="customer.updated"):
    """Post one letter about a customer; answers its row."""
    event = letter(type, about={"id": customer, "object": "customer"})
    assert post(event).status_code == 200
    return WebhookEvent.objects.get(stripe_event_id=event["id"])


def drain(*, after=timedelta()):
    return inbox.drain(now=timezone.now() + after)


def looks_at(stripe, customer):
    return [seen for seen in stripe.requests() if seen["path"] == f"/v1/customers/{customer}"]


def test_what_was_bought_is_there_once_the_letters_are_read(simulator, account, settle):
    bought = buy(account, "hybrid_pro_month")

    assert settle() > 5

    ours = Subscription.objects.get()
    assert (ours.stripe_subscription_id, ours.status, ours.plan_key) == (bought.id, "active", "pro")
    states = set(WebhookEvent.objects.values_list("state", flat=True))
    assert states == {"processed", "ignored"}


def test_twenty_letters_about_one_customer_are_one_look_at_stripe(stripe, customer):
    rows = [about(customer) for _ in range(20)]

    assert drain() == 20

    assert len(looks_at(stripe, customer)) == 1
    for row in rows:
        row.refresh_from_db()
        assert (row.state, row.attempts, row.claim_expires_at) == ("processed", 1, None)


def test_all_letters_about_one_clock_are_one_look_at_whoever_lives_on_it(stripe, customer):
    clock = gateway.post(
        "/v1/test_helpers/test_clocks", {"frozen_time": int(time.time())}, idempotency_key="clock"
    )
    Customer.objects.update(test_clock_id=clock["id"])
    for type in ("advancing", "ready", "advancing", "ready"):
        assert post(letter(f"test_helpers.test_clock.{type}", about=clock)).status_code == 200
    post(letter("test_helpers.test_clock.ready", about={**clock, "id": "clock_of_others"}))

    assert drain() == 5

    assert len(looks_at(stripe, customer)) == 1
    assert sorted(WebhookEvent.objects.values_list("state", flat=True)) == ["ignored", *["processed"] * 4]


def test_the_letters_words_are_never_believed(stripe, customer, account):
    forged = {"id": "sub_x", "object": "subscription", "customer": customer, "status": "active"}
    post(letter("customer.subscription.created", about=forged))

    drain()

    assert not Subscription.objects.exists()


def test_while_stripe_is_down_letters_wait_and_are_read_when_it_is_back(stripe, customer):
    row = about(customer)
    stripe.fail(Failure(method="GET", path="/v1/customers/*", status=503, times=3))
    began = timezone.now()

    drain()

    row.refresh_from_db()
    assert (row.state, row.attempts, row.claim_expires_at) == ("failed", 1, None)
    assert "StripeUnavailable" in row.last_error
    assert began + timedelta(seconds=4) < row.next_attempt_at < timezone.now() + timedelta(seconds=11)
    assert drain() == 0

    assert drain(after=SOON) == 1
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error) == ("processed", 2, "")


def test_a_letter_that_cannot_be_read_does_not_stop_the_others(stripe, customer):
    others = [factories.organization(owner=factories.person()) for _ in range(5)]
    good = [known(other) for other in others]
    stripe.fail(Failure(method="GET", path=f"/v1/customers/{customer}", status=500, times=1000))
    poisoned = about(customer)
    rows = [about(each) for each in good for _ in range(4)]

    drain()

    poisoned.refresh_from_db()
    assert poisoned.state == "failed"
    for row in rows:
        row.refresh_from_db()
        assert row.state == "processed"


def test_after_fifteen_attempts_a_letter_is_dead_and_staff_are_told(stripe, customer, capsys):
    row = about(customer)
    stripe.fail(Failure(method="GET", path=f"/v1/customers/{customer}", status=400, times=15))

    for day in range(20):
        drain(after=timedelta(days=day))

    row.refresh_from_db()
    assert (row.state, row.attempts) == ("dead", outcomes.MOST_ATTEMPTS)
    alert = Alert.objects.get(kind="dead_letter")
    assert row.stripe_event_id in alert.message

    call_command("replay_webhooks", "--dead")

    row.refresh_from_db()
    assert (row.state, row.attempts) == ("processed", 1)
    assert "1 put back to be read." in capsys.readouterr().out


def test_ever_longer_waits_from_ten_seconds_to_six_hours(stripe, customer):
    row = about(customer)
    stripe.fail(Failure(method="GET", path=f"/v1/customers/{customer}", status=400, times=100))
    waits = []

    moment = timezone.now()
    for _ in range(14):
        inbox.drain(now=moment)
        row.refresh_from_db()
        waits.append((row.next_attempt_at - moment).total_seconds())
        moment = row.next_attempt_at

    for number, wait in enumerate(waits):
        longest = min(10 * 2**number, 6 * 3600)
        assert longest / 2 <= wait <= longest + 5


def test_no_secret_stays_behind_in_an_error(customer):
    row = about(customer)
    claimed = inbox._claim_next(now=timezone.now(), limit=1)

    outcomes.record(claimed, outcomes.Failed(f"Stripe refused sk_test_{'9' * 24}."), now=timezone.now())

    row.refresh_from_db()
    assert row.last_error == "Stripe refused [secret]."


def test_a_customer_we_learn_of_within_the_hour_is_not_lost(simulator, account, settle):
    somebody = at_stripe().v1.customers.create({"name": "Early bird"})
    row = about(somebody.id)
    settle()
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("failed", 1)

    known(account)
    Customer.objects.filter(account=account).update(stripe_customer_id=somebody.id)
    drain(after=SOON)

    row.refresh_from_db()
    assert row.state == "processed"


def test_a_customer_nobody_knows_is_ignored_after_an_hour_and_told_to_staff(simulator):
    row = about("cus_of_another_shop")

    for minutes in range(0, 180, 5):
        drain(after=timedelta(minutes=minutes))

    row.refresh_from_db()
    assert (row.state, row.ignored_reason) == ("ignored", "unknown_customer")
    assert Alert.objects.get().kind == "unknown_customer"
    assert not Customer.objects.exists()


def test_late_letters_of_a_deleted_customer_still_find_the_account(simulator, account, settle):
    bought = buy(account, "hybrid_pro_month")
    settle()
    at_stripe().v1.customers.delete(bought.customer)
    settle()
    ours = Customer.objects.get(account=account)
    assert (ours.stripe_customer_id, ours.former_stripe_ids) == (None, [bought.customer])
    assert not Subscription.objects.live().exists()

    row = about(bought.customer, type="customer.deleted")
    drain()

    row.refresh_from_db()
    assert row.state == "processed"


def test_letters_wait_while_somebody_else_changes_the_account_and_no_attempt_is_counted(customer, account):
    row = about(customer)
    with lease.hold(account=account, purpose="checkout"):
        drain()
        row.refresh_from_db()
        assert (row.state, row.attempts) == ("received", 0)
        assert row.next_attempt_at > timezone.now()

    assert drain(after=timedelta(seconds=3)) == 1
    row.refresh_from_db()
    assert row.state == "processed"


def test_the_letters_of_a_reader_that_died_are_read_by_the_next(customer):
    row = about(customer)
    now = timezone.now()
    assert [claimed.pk for claimed in inbox._claim_next(now=now, limit=10)] == [
        row.pk
    ]  # and then it is killed

    assert inbox.drain(now=now) == 0
    assert inbox.drain(now=now + timedelta(seconds=inbox.CLAIM_SECONDS)) == 1

    row.refresh_from_db()
    assert (row.state, row.attempts) == ("processed", 2)


def test_a_reader_that_comes_back_too_late_changes_nothing(customer):
    row = about(customer)
    now = timezone.now()
    late = inbox._claim_next(now=now, limit=10)
    drain(after=timedelta(seconds=inbox.CLAIM_SECONDS + 1))

    outcomes.record(late, outcomes.Failed("I was asleep."), now=now)

    row.refresh_from_db()
    assert (row.state, row.last_error) == ("processed", "")


def test_a_letter_that_kills_every_reader_is_given_up(customer):
    row = about(customer)
    for day in range(inbox.MOST_CLAIMS):
        assert inbox._claim_next(now=timezone.now() + timedelta(days=day), limit=10)  # and then it is killed

    drain(after=timedelta(days=60))

    row.refresh_from_db()
    assert row.state == "dead"
    assert Alert.objects.get().kind == "dead_letter"


@pytest.mark.postgres
def test_four_workers_read_every_letter_once(stripe, customer):
    others = [factories.organization(owner=factories.person()) for _ in range(7)]
    everybody = [customer, *[known(other) for other in others]]
    for number in range(160):
        about(everybody[number % 8])
    start = threading.Barrier(4)

    def work(_):
        start.wait()
        try:
            return inbox.drain(now=timezone.now(), limit=1000)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        read = sum(pool.map(work, range(4)))
    read += drain(after=SOON)  # those whose customer somebody else was at

    assert WebhookEvent.objects.filter(state="processed").count() == 160
    assert read >= 160


def test_a_test_clock_that_moved_moves_its_customer(simulator, account, settings, settle):
    settings.STRIPE_TEST_CLOCKS = True
    known(account)
    settle()
    ours = Customer.objects.get(account=account)
    tomorrow = int((ours.clock_now + timedelta(days=1)).timestamp())

    at_stripe().v1.test_helpers.test_clocks.advance(ours.test_clock_id, {"frozen_time": tomorrow})
    settle()

    ours.refresh_from_db()
    assert ours.clock_now.timestamp() == tomorrow


def test_a_disputed_payment_is_found_by_its_charge_and_told_to_staff(simulator, account, settle):
    bought = buy(account, "hybrid_pro_month", card="pm_card_createDispute")
    settle()

    alert = Alert.objects.get(kind="dispute")
    assert alert.account == account
    ours = Customer.objects.get(account=account)
    assert ours.dispute_state == "open"
    assert Subscription.objects.get().stripe_subscription_id == bought.id

    dispute = at_stripe().v1.disputes.list().data[0]
    at_stripe().v1.disputes.close(dispute.id)
    settle()

    after = Customer.objects.get(account=account)
    assert after.dispute_state == "lost"
    assert after.access_version > ours.access_version


def test_a_dispute_that_was_won_is_forgotten(simulator, account, settle):
    buy(account, "hybrid_pro_month", card="pm_card_createDispute")
    settle()
    dispute = at_stripe().v1.disputes.list().data[0]

    at_stripe().v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    settle()

    assert Customer.objects.get(account=account).dispute_state == ""


def test_a_dispute_that_was_lost_is_not_undone_by_another_that_was_won(simulator, account, settle):
    buy(account, "hybrid_pro_month", card="pm_card_createDispute")
    settle()
    at_stripe().v1.disputes.close(at_stripe().v1.disputes.list().data[0].id)
    at_stripe().v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "customer": Customer.objects.get(account=account).stripe_customer_id,
            "payment_method": "pm_card_createDispute",
            "payment_method_types": ["card"],
            "confirm": True,
        }
    )
    settle()
    [later] = [dispute for dispute in at_stripe().v1.disputes.list().data if dispute.status != "lost"]
    at_stripe().v1.disputes.update(later.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    settle()

    assert Customer.objects.get(account=account).dispute_state == "lost"


def test_staff_are_not_asked_to_answer_a_dispute_that_is_decided(simulator, account, settle):
    buy(account, "hybrid_pro_month", card="pm_card_createDispute")
    settle()
    assert "Answer it" in Alert.objects.get(kind="dispute").message

    at_stripe().v1.disputes.close(at_stripe().v1.disputes.list().data[0].id)
    settle()

    decided = Alert.objects.get(key__endswith=":lost")
    assert "Answer it" not in decided.message
    assert "ends on" in decided.message
    assert "nothing more is charged" in decided.message


def test_a_refund_that_failed_is_looked_at(simulator, account, settle):
    buy(account, "hybrid_pro_month")
    settle()
    payment = Payment.objects.get(account=account)
    refund = {"id": "re_1", "object": "refund", "charge": payment.stripe_charge_id}

    post(letter("refund.failed", about=refund))
    drain()

    assert WebhookEvent.objects.get(type="refund.failed").state == "processed"


def test_usage_that_stripe_could_not_count_is_told_to_staff(simulator):
    post(
        thin_letter("v1.billing.meter.error_report_triggered", about={"id": "mtr_1", "type": "billing.meter"})
    )

    drain()

    assert WebhookEvent.objects.get().state == "processed"
    assert "mtr_1" in Alert.objects.get(kind="meter_error").message


def test_an_endpoint_with_another_api_version_works_and_is_told_to_staff(customer):
    post(letter(about={"id": customer, "object": "customer"}, api_version="2024-06-20"))

    drain()

    assert WebhookEvent.objects.get().state == "processed"
    assert "2024-06-20" in Alert.objects.get(kind="webhook_api_version").message


def test_an_operator_replays_what_came_since_a_day(customer, capsys):
    row = about(customer)
    drain()
    WebhookEvent.objects.filter(pk=row.pk).update(received_at=timezone.now() - timedelta(days=3))
    recent = about(customer)
    drain()

    call_command("replay_webhooks", "--since", (timezone.now() - timedelta(days=1)).strftime("%Y-%m-%d"))

    assert f"{recent.stripe_event_id}  customer.updated  Processed" in capsys.readouterr().out
    assert row.stripe_event_id not in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [["--id", "evt_unknown"], ["--since", "yesterday"], ["--since", "2026-02-31"]]
)
def test_an_operator_is_told_what_is_wrong(db, wrong):
    with pytest.raises(CommandError):
        call_command("replay_webhooks", *wrong)


def test_an_operator_reads_the_post_without_celery(customer, capsys):
    about(customer)

    call_command("read_letters")

    assert "1 letters read" in capsys.readouterr().out
    assert WebhookEvent.objects.get().state == "processed"


def test_a_letter_keeps_its_words_for_ninety_days_and_can_be_read_again_after(stripe, customer):
    alice = {"id": customer, "object": "customer", "name": "Alice", "email": "alice@example.com"}
    read, unread = letter(about=alice), letter(about={**alice, "id": "cus_of_nobody_yet"})
    post(read)
    drain()
    post(unread)

    assert pruning.prune(now=timezone.now() + timedelta(days=89)) == 0
    assert pruning.prune(now=timezone.now() + timedelta(days=91)) == 1
    assert pruning.prune(now=timezone.now() + timedelta(days=91)) == 0

    row = WebhookEvent.objects.get(stripe_event_id=read["id"])
    assert row.payload["data"] == {"object": {"id": customer, "object": "customer"}}
    assert WebhookEvent.objects.get(stripe_event_id=unread["id"]).payload == unread
    post(read)  # Stripe sends it once more
    inbox.replay(row, now=timezone.now())
    stripe.forget()
    drain()
    row.refresh_from_db()
    assert (row.state, row.deliveries) == ("processed", 2)
    assert len(looks_at(stripe, customer)) == 1


def test_how_long_letters_keep_their_words_is_a_setting_and_a_command(customer, settings, capsys):
    row = about(customer)
    drain()
    WebhookEvent.objects.update(received_at=timezone.now() - timedelta(days=31))
    settings.STRIPE_LETTER_DAYS = 0
    call_command("prune_letters")
    settings.STRIPE_LETTER_DAYS = 90
    call_command("prune_letters")
    row.refresh_from_db()
    assert "livemode" in row.payload

    call_command("prune_letters", "--days", "30")

    row.refresh_from_db()
    assert "livemode" not in row.payload
    assert capsys.readouterr().out == "0 letters pruned.\n0 letters pruned.\n1 letter pruned.\n"
    with pytest.raises(CommandError, match="at least one day"):
        call_command("prune_letters", "--days", "0")
