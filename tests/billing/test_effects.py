"""A business fact is acted upon once, and what is owed to somebody leaves the building sooner or later."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from billing import alerts, effects
from billing.models import Alert, Effect

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def now():
    return timezone.now()


def act(key, now, account=None):
    with transaction.atomic():
        return effects.once(key=key, kind="refund", account=account, now=now, detail={"amount": 500})


def test_the_same_fact_is_acted_upon_once(account, now):
    first = act("refund:in_1", now, account)

    assert first is not None and first.done_at == now
    assert act("refund:in_1", now, account) is None
    assert act("refund:in_2", now, account) is not None


def test_what_was_rolled_back_was_never_done(account, now):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        effects.once(key="refund:in_1", kind="refund", account=account, now=now)
        raise ZeroDivisionError

    assert act("refund:in_1", now, account) is not None


def test_outside_a_transaction_nothing_is_recorded(now):
    with pytest.raises(effects.NotInATransaction):
        effects.once(key="refund:in_1", kind="refund", account=None, now=now)

    assert not Effect.objects.exists()


@pytest.mark.postgres
def test_of_eight_who_act_at_once_one_does(now):
    start = threading.Barrier(8)

    def act_often(_):
        start.wait()
        try:
            return sum(act(f"refund:in_{number}", now) is not None for number in range(25))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(act_often, range(8))) == 25
    assert Effect.objects.count() == 25


def owe(now, key="mail:trial_ending:sub_1:2026-11-30", **fields):
    with transaction.atomic():
        return effects.owe_mail(
            **{
                "key": key,
                "to": "alice@example.com",
                "subject": "Your trial ends",
                "body": "Soon.",
                "now": now,
                **fields,
            }
        )


def test_a_mail_that_is_owed_is_sent_once(now):
    owe(now)
    assert owe(now) is None
    assert mail.outbox == []

    later = timezone.now()
    assert effects.deliver_owed(now=later) == 1
    assert effects.deliver_owed(now=later + timedelta(days=1)) == 0

    assert [message.to for message in mail.outbox] == [["alice@example.com"]]
    assert Effect.objects.get().done_at == later


def test_mail_for_an_account_that_lives_a_year_ahead_leaves_today(now):
    owe(now + timedelta(days=365))

    assert effects.deliver_owed(now=timezone.now()) == 1


def test_a_subject_cannot_smuggle_headers_in(now):
    owe(now, subject="Hello\r\nBcc: everybody@example.com")
    effects.deliver_owed(now=timezone.now())

    assert mail.outbox[0].subject == "Hello Bcc: everybody@example.com"
    assert mail.outbox[0].bcc == []


def test_while_the_mail_server_is_away_mail_stays_owed_and_goes_later(now, settings):
    owe(now)
    working = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    assert effects.deliver_owed(now=timezone.now()) == 0
    owed = Effect.objects.get()
    assert "ConnectionRefusedError" in owed.last_error
    assert timedelta(seconds=4) < owed.next_attempt_at - timezone.now() < timedelta(seconds=11)

    settings.EMAIL_BACKEND = working
    assert effects.deliver_owed(now=owed.next_attempt_at) == 1
    assert len(mail.outbox) == 1


def test_mail_that_never_goes_is_given_up_and_told_to_staff(now, settings):
    owe(now)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    for day in range(1, 20):
        effects.deliver_owed(now=now + timedelta(days=day))

    owed = Effect.objects.get(kind="mail")
    assert (owed.attempts, owed.next_attempt_at, owed.done_at) == (effects.MOST_ATTEMPTS, None, None)
    assert Alert.objects.get().kind == "undelivered_effect"


def test_a_carrier_that_died_midway_is_replaced_after_its_time(now):
    owe(now)
    now = timezone.now()
    assert len(effects._claim(now=now, limit=10)) == 1  # and then it is killed

    assert effects.deliver_owed(now=now) == 0
    assert effects.deliver_owed(now=now + timedelta(seconds=effects.CARRY_SECONDS)) == 1


@pytest.mark.postgres
def test_two_carriers_do_not_take_the_same_mail(now):
    for number in range(40):
        owe(now, key=f"mail:{number}")
    now = timezone.now()
    start = threading.Barrier(4)

    def carry(_):
        start.wait()
        try:
            return sum(effects.deliver_owed(now=now, limit=3) for _ in range(14))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(carry, range(4))) == 40
    assert len(mail.outbox) == 40


def raise_it(now, **fields):
    return alerts.raise_alert(
        **{
            "key": "dispute:dp_1",
            "kind": "dispute",
            "message": "A payment is disputed.",
            "now": now,
            **fields,
        }
    )


def test_an_alert_is_one_row_however_often_it_is_seen(now, account):
    raise_it(now, account=account)
    raise_it(now + timedelta(hours=1), account=account, message="Still disputed.")

    alert = Alert.objects.get()
    assert (alert.times_seen, alert.raised_at, alert.last_seen_at) == (2, now, now + timedelta(hours=1))
    assert alert.message == "Still disputed."


def test_a_resolved_alert_that_comes_back_is_open_again(now):
    alert = raise_it(now)
    Alert.objects.filter(pk=alert.pk).update(resolved_at=now)

    raise_it(now + timedelta(days=1))

    alert.refresh_from_db()
    assert alert.resolved_at is None
    assert alert.raised_at == now + timedelta(days=1)


def test_staff_get_one_mail_when_an_alert_is_new_and_one_when_it_comes_back(now, settings):
    settings.STAFF_ALERT_EMAIL = "staff@example.com"
    alert = raise_it(now)
    raise_it(now)
    effects.deliver_owed(now=timezone.now())
    assert [message.subject for message in mail.outbox] == ["[Tallyhouse] dispute"]

    Alert.objects.filter(pk=alert.pk).update(resolved_at=now)
    raise_it(now)
    effects.deliver_owed(now=timezone.now())
    assert len(mail.outbox) == 2


def test_no_secret_gets_into_an_alert(now):
    raise_it(now, message="Stripe refused sk_test_51AbCdEfGhIjKlMnOp for it.")

    assert "sk_test" not in Alert.objects.get().message


@pytest.mark.postgres
def test_an_alert_seen_by_eight_at_once_is_one_row(now):
    start = threading.Barrier(8)

    def see(_):
        start.wait()
        try:
            for _ in range(10):
                raise_it(now)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(see, range(8)))
    assert Alert.objects.get().times_seen == 80
