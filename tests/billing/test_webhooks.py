"""The letter box: what Stripe signed is kept at once, everything else leaves a count behind and no more."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import stripe
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client
from django.utils import timezone

from billing import checks, rejections
from billing.models import Alert, WebhookEvent, WebhookRejection
from tests.billing.letters import ADDRESS, letter, post, thin_letter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_flood_before(monkeypatch):
    """The count of this second belongs to this test."""
    monkeypatch.setattr(rejections, "_second", 0)


def refused(reason):
    return sum(WebhookRejection.objects.filter(reason=reason).values_list("count", flat=True))


def nothing_is_kept():
    return not WebhookEvent.objects.exists()


def test_a_signed_letter_is_kept_and_answered_without_asking_anybody():
    event = letter("invoice.paid", about={"id": "in_1", "object": "invoice", "customer": "cus_1"})

    answer = post(event)

    assert answer.status_code == 200
    kept = WebhookEvent.objects.get()
    assert (kept.stripe_event_id, kept.type, kept.state) == (event["id"], "invoice.paid", "received")
    assert (kept.stripe_customer_id, kept.object_id) == ("cus_1", "in_1")
    assert kept.payload == event
    assert kept.api_version == event["api_version"]
    assert kept.event_created_at.timestamp() == event["created"]
    assert (kept.deliveries, kept.attempts, kept.claim_expires_at) == (1, 0, None)


def test_what_our_own_seal_accepts_stripes_library_accepts_too():
    from billing.stripe import signature

    body, secret = json.dumps(letter()).encode(), "whsec_" + "s" * 32
    header = signature.sign(body=body, secret=secret, at=timezone.now())

    assert stripe.Webhook.construct_event(body, header, secret)["type"] == "customer.updated"


def test_the_same_letter_again_is_counted_and_not_kept_twice():
    event = letter()

    assert [post(event).status_code for _ in range(3)] == [200, 200, 200]

    assert WebhookEvent.objects.get().deliveries == 3


@pytest.mark.postgres
def test_the_same_letter_eight_times_at_once_is_one_row():
    events = [letter() for _ in range(12)]
    start = threading.Barrier(8)

    def deliver(_):
        start.wait()
        try:
            return [post(event).status_code for event in events]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = [status for statuses in pool.map(deliver, range(8)) for status in statuses]

    assert answers == [200] * 96
    assert list(WebhookEvent.objects.values_list("deliveries", flat=True)) == [8] * 12


def test_the_seal_is_made_over_the_very_bytes_that_came():
    event = letter(about={"id": "cus_1", "object": "customer", "name": "Zoë  Ünal 💳"})
    strangely_spaced = json.dumps(event, indent=3, ensure_ascii=False).encode() + b"\n\n"

    assert post(strangely_spaced).status_code == 200
    assert WebhookEvent.objects.get().payload["data"]["object"]["name"] == "Zoë  Ünal 💳"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "rubbish",
        "t=,v1=",
        "t=12",
        "v1=aaaa",
        "t=notanumber,v1=aaaa",
        "t=99999999999999999999,v1=aaaa",
        "t=1700000000,v1=é",
        "t=1700000000," + ",".join(["v1=aa"] * 5000),
    ],
)
def test_an_unsigned_letter_is_refused_and_leaves_only_a_count(header):
    assert post(letter(), header=header).status_code == 400

    assert nothing_is_kept()
    assert refused("signature") == 1


def test_a_letter_signed_by_somebody_else_is_refused():
    assert post(letter(), secret="whsec_" + "x" * 32).status_code == 400
    assert post(letter(), secret="").status_code == 400

    assert nothing_is_kept()
    assert refused("signature") == 2


def test_a_changed_letter_is_refused(settings):
    from billing.stripe import signature

    body = json.dumps(letter()).encode()
    header = signature.sign(body=body, secret=settings.STRIPE_WEBHOOK_SECRETS[0], at=timezone.now())

    assert post(body.replace(b"cus_unknown", b"cus_victim"), header=header).status_code == 400
    assert nothing_is_kept()


def test_a_replayed_letter_and_one_from_the_future_are_refused():
    assert post(letter(), late=timedelta(seconds=302)).status_code == 400
    assert post(letter(), late=-timedelta(seconds=302)).status_code == 400
    assert post(letter(), late=timedelta(seconds=290)).status_code == 200
    assert post(letter(), late=-timedelta(seconds=290)).status_code == 200

    assert (refused("stale"), refused("future"), WebhookEvent.objects.count()) == (1, 1, 2)


def test_three_well_signed_letters_out_of_the_window_accuse_our_clock():
    for _ in range(2):
        post(letter(), late=timedelta(minutes=6))
    assert not Alert.objects.exists()

    post(letter(), late=timedelta(minutes=6))

    assert Alert.objects.get().kind == "clock_skew"


def test_while_a_secret_is_rolled_both_are_good_and_afterwards_only_the_new_one(settings):
    old, new = "whsec_" + "o" * 32, "whsec_" + "n" * 32
    settings.STRIPE_WEBHOOK_SECRETS = [new, old]
    assert post(letter(), secret=old).status_code == 200
    assert post(letter(), secret=new).status_code == 200

    settings.STRIPE_WEBHOOK_SECRETS = [new]
    assert post(letter(), secret=old).status_code == 400


@pytest.mark.parametrize("secrets", [[], [""], ["  "]])
def test_without_a_secret_the_box_is_shut_and_the_house_does_not_start(settings, secrets):
    settings.STRIPE_WEBHOOK_SECRETS = secrets

    assert post(letter(), secret="").status_code == 503
    assert nothing_is_kept()
    with pytest.raises(ImproperlyConfigured, match="STRIPE_WEBHOOK_SECRETS"):
        checks.refuse_to_start()


def test_a_body_over_one_megabyte_is_too_large():
    event = letter(about={"id": "cus_1", "object": "customer", "name": "x" * 1_100_000})

    assert post(event).status_code == 413
    assert nothing_is_kept()
    assert refused("too_large") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[1, 2]",
        b"null",
        b'{"object": "event"}',
        b'{"object": "charge", "id": "ch_1", "type": "x", "livemode": false, "created": 1}',
        b'{"object": "event", "id": "", "type": "x", "livemode": false, "created": 1}',
        b'{"object": "event", "id": 7, "type": "x", "livemode": false, "created": 1}',
        b'{"object": "event", "id": "evt_1", "type": "x", "livemode": "no", "created": 1}',
        b'{"object": "event", "id": "evt_1", "type": "x", "livemode": false, "created": 1e30}',
        b'{"object": "event", "id": "evt_1", "type": "x", "livemode": false, "created": 99999999999999999}',
        b'{"object": "event", "id": "evt_1", "type": "x", "livemode": false, "created": "yesterday"}',
        b'{"object": "event", "id": "evt\\u0000", "type": "x", "livemode": false, "created": 1}',
        b'{"object": "event", "id": "evt_1", "type": "x", "livemode": false, "created": 1, "z": "\xff"}',
        json.dumps(letter(id="e" * 200)).encode(),
    ],
)
def test_a_signed_letter_that_is_no_event_is_refused(body):
    assert post(body).status_code == 400

    assert nothing_is_kept()
    assert refused("malformed") == 1


def test_a_character_the_database_cannot_hold_does_not_lose_the_letter():
    event = letter(about={"id": "cus_1", "object": "customer", "name": "a\0b"})

    assert post(event).status_code == 200
    assert WebhookEvent.objects.get().payload["data"]["object"]["name"] == "a\ufffdb"


def test_a_live_letter_at_a_test_deployment_is_passed_over_and_told_to_staff():
    assert post(letter(livemode=True)).status_code == 200

    assert nothing_is_kept()
    assert refused("livemode") == 1
    assert Alert.objects.get().kind == "foreign_mode"


def test_a_letter_of_another_stripe_account_is_kept_and_ignored():
    post(letter(account="acct_somebody_else"))
    post(thin_letter("v1.billing.meter.no_meter_found", about={"id": "mtr_1"}, context="acct_somebody_else"))

    assert set(WebhookEvent.objects.values_list("state", "ignored_reason")) == {("ignored", "account")}


def test_a_letter_of_a_kind_we_do_not_know_is_kept_and_ignored():
    assert post(letter("product.created", about={"id": "prod_1", "object": "product"})).status_code == 200

    assert WebhookEvent.objects.values_list("state", "ignored_reason").get() == ("ignored", "type")


def test_a_thin_letter_comes_in_through_the_same_box():
    event = thin_letter(
        "v1.billing.meter.error_report_triggered", about={"id": "mtr_1", "type": "billing.meter"}
    )

    assert post(event).status_code == 200
    kept = WebhookEvent.objects.get()
    assert (kept.state, kept.object_id, kept.api_version) == ("received", "mtr_1", "")


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_the_box_takes_nothing_but_post(method):
    assert getattr(Client(enforce_csrf_checks=True), method)(ADDRESS).status_code == 405


def test_a_flood_of_rubbish_writes_little_and_is_counted_all_the_same(
    django_assert_max_num_queries, monkeypatch
):
    moments = [timezone.now().replace(microsecond=0)] * 1000
    with django_assert_max_num_queries(3 * rejections.WRITES_PER_SECOND + 10):
        for moment in moments:
            rejections.count(reason="signature", now=moment)

    rejections.count(reason="signature", now=moments[0] + timedelta(seconds=1))

    assert refused("signature") == 1001


def test_a_thin_letter_that_is_stripped_still_names_what_it_is_about():
    about = {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"}
    post(thin_letter("v1.billing.meter.error_report_triggered", about={**about, "name": {"of": "Ada"}}))

    WebhookEvent.objects.strip()

    kept = WebhookEvent.objects.get().payload
    assert kept["related_object"] == about
    assert "Ada" not in json.dumps(kept)
