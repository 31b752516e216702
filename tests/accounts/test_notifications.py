"""What became true is told once: in the site at once, by mail after the commit, to those whom it concerns."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import notifications
from accounts.models import Account, Delivery, Member, Notification
from accounts.notifications import destinations, kinds, outbox
from tests import factories
from tests.accounts.conftest import acting_for

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RECEIPT = {
    "plan": "Pro",
    "amount": 2900,
    "currency": "usd",
    "number": "A-1",
    "description": "1 × Pro",
    "paid_at": "2026-11-20T12:00:00+00:00",
    "url": "https://invoice.example/1",
    "card": "Visa ending in 4242",
}
QUOTA = {
    "feature": "Generations",
    "units": "generations",
    "percent": 80,
    "used_text": "200",
    "limit_text": "250 generations",
    "back_at": "2026-12-01T00:00:00+00:00",
}


def tell(account: Account | None, kind: str = "receipt", key: str = "receipt:in_1", **more):
    given = {"account": account, "kind": kind, "key": key, "now": NOON, "context": RECEIPT, **more}
    with transaction.atomic():
        return notifications.notify(**given)


def post(now: datetime | None = None) -> int:
    return outbox.deliver_due(now=now or timezone.now())


def test_a_receipt_is_in_the_list_at_once_and_in_the_mailbox_after_the_commit(account, alice, bob):
    assert tell(account) is not None

    page = acting_for(account, alice).get("/notifications/").content.decode()
    assert "Receipt: $29.00 for Pro" in page
    assert "We received $29.00 for Alice &amp; Co on 20 November 2026." in page
    assert '<strong class="num">1</strong> new' in page
    assert "Receipt" not in acting_for(account, bob).get("/notifications/").content.decode()
    assert mail.outbox == []

    assert post() == 1
    letter = mail.outbox[0]
    assert letter.to == ["alice@example.com"]
    assert letter.subject == "Receipt: $29.00 for Pro"
    assert "We received $29.00 for Alice & Co on 20 November 2026." in letter.body
    assert "Paid with: Visa ending in 4242" in letter.body
    assert [kind for _, kind in letter.alternatives] == ["text/html"]
    assert "Alice &amp; Co" in letter.alternatives[0][0]


def test_the_same_fact_is_told_once(account):
    assert tell(account) is not None
    assert tell(account) is None
    assert tell(account, key="receipt:in_2") is not None
    post()
    post(timezone.now() + timedelta(days=9))

    assert len(mail.outbox) == 2
    assert Delivery.objects.filter(state="delivered").count() == 2


def test_two_accounts_may_have_facts_of_the_same_name(account, charlie):
    tell(account, key="quota:tokens:80")

    assert tell(charlie.personal_account, key="quota:tokens:80") is not None


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_told_to_nobody(account):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        notifications.notify(account=account, kind="receipt", key="k", now=NOON, context=RECEIPT)
        raise ZeroDivisionError

    assert not Notification.objects.exists()
    assert post() == 0
    with pytest.raises(notifications.NotInATransaction):
        notifications.notify(account=account, kind="receipt", key="k", now=NOON, context=RECEIPT)


def test_a_kind_that_nobody_knows_is_a_mistake_of_ours(account):
    with pytest.raises(notifications.UnknownKind, match="no notification of the kind 'recipe'"):
        tell(account, kind="recipe")


def test_mail_about_money_goes_to_the_billing_address_when_there_is_one(account, alice):
    account.billing_email = "books@example.com"
    account.save()

    tell(account)
    tell(account, kind="quota", key="quota:1", context=QUOTA, to="everyone")
    post()

    assert sorted((letter.to[0], letter.subject) for letter in mail.outbox) == [
        ("alice@example.com", "80% of generations used"),
        ("books@example.com", "Receipt: $29.00 for Pro"),
    ]


def test_owners_and_admins_hear_of_money_members_of_use_and_guests_of_neither(account, alice, bob):
    ann = factories.MemberFactory(account=account, role=Member.Role.ADMIN).user
    guest = factories.MemberFactory(account=account, role=Member.Role.GUEST).user

    tell(account)
    tell(account, kind="quota", key="quota:1", context=QUOTA, to="everyone")
    post()

    def of(person):
        return sorted(letter.subject[:3] for letter in mail.outbox if letter.to == [person.email])

    assert (of(alice), of(ann), of(bob), of(guest)) == (["80%", "Rec"], ["80%", "Rec"], ["80%"], [])


def test_a_person_without_any_account_can_be_told(alice):
    tell(
        None,
        kind="sign_in_changed",
        key="password:1",
        context={"what": "Your password was changed", "at": NOON.isoformat()},
        to=alice,
    )
    post()

    assert mail.outbox[0].subject == "Your password was changed"
    with pytest.raises(ValueError, match="a person to tell"):
        tell(None)


def test_who_left_reads_no_more_about_the_account_and_gets_no_letter_that_was_on_its_way(account, alice, bob):
    tell(account, kind="quota", key="quota:1", context=QUOTA, to="everyone")
    Member.objects.filter(account=account, user=bob).delete()

    post()

    assert [letter.to for letter in mail.outbox] == [["alice@example.com"]]
    client = Client()
    client.force_login(bob, backend="django.contrib.auth.backends.ModelBackend")
    assert "80% of" not in client.get("/notifications/").content.decode()


def test_who_may_no_longer_see_billing_reads_no_old_receipts(account, alice):
    ann = factories.MemberFactory(account=account, role=Member.Role.ADMIN)
    tell(account)
    page = acting_for(account, ann.user)
    assert "Receipt" in page.get("/notifications/").content.decode()

    Member.objects.filter(pk=ann.pk).update(role=Member.Role.MEMBER)

    assert "Receipt" not in page.get("/notifications/").content.decode()


def test_marking_as_read_is_ones_own_business(account, alice, charlie):
    tell(account)
    tell(account, key="receipt:in_2")
    as_alice, as_charlie = acting_for(account, alice), Client()
    as_charlie.force_login(charlie, backend="django.contrib.auth.backends.ModelBackend")
    first = alice.inbox.order_by("pk").first()

    assert as_charlie.post(f"/notifications/{first.pk}/read/").status_code == 404
    assert as_alice.get(f"/notifications/{first.pk}/read/").status_code == 405
    assert as_alice.post(f"/notifications/{first.pk}/read/").status_code == 302
    assert alice.inbox.unread().count() == 1

    newest = alice.inbox.order_by("-pk").first().pk
    tell(account, key="receipt:in_3")
    as_alice.post("/notifications/read/", {"newest": newest})
    assert alice.inbox.unread().count() == 1  # the one that came after the page was drawn
    as_alice.post("/notifications/read/", {"newest": "1; DROP"})
    assert alice.inbox.unread().count() == 0


def test_mail_about_use_can_be_refused_and_mail_about_money_and_doors_cannot(account, alice):
    page = acting_for(account, alice)
    assert page.post("/notifications/mail/", {"kinds": ["allowance_back", "no_such_kind"]}).status_code == 302

    tell(account)
    tell(account, kind="quota", key="quota:1", context=QUOTA)
    post()

    assert [letter.subject for letter in mail.outbox] == ["Receipt: $29.00 for Pro"]
    assert alice.inbox.count() == 2  # the list in the site has everything
    shown = page.get("/notifications/mail/").content.decode()
    assert 'id="kind-allowance_back" checked' in shown
    assert 'id="kind-quota">' in shown
    assert 'id="kind-receipt" checked disabled' in shown


def test_one_press_in_the_mail_program_ends_mail_of_that_kind(account, alice):
    tell(account, kind="quota", key="quota:1", context=QUOTA)
    post()
    link = mail.outbox[0].extra_headers["List-Unsubscribe"].strip("<>").removeprefix("http://testserver")
    assert mail.outbox[0].extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    stranger = Client(enforce_csrf_checks=True)

    assert "No more mail of this kind?" in stranger.get(link).content.decode()
    tell(account, kind="quota", key="quota:2", context=QUOTA)
    assert post() == 1  # looking at the page changed nothing

    assert stranger.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    tell(account, kind="quota", key="quota:3", context=QUOTA)
    assert post() == 0
    assert stranger.post(link[:-2] + "x/").status_code == 404


def test_letters_about_money_have_no_way_to_leave_them(account):
    tell(account)
    post()

    assert "List-Unsubscribe" not in mail.outbox[0].extra_headers


def test_a_letter_sent_twice_after_a_crash_is_known_by_its_message_id(account):
    tell(account)
    now = timezone.now()
    post(now)
    Delivery.objects.update(state="waiting", next_attempt_at=now)  # killed before it could write that down
    post(now)

    first, second = mail.outbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
    assert first.extra_headers["Message-ID"].endswith("@testserver>")


def test_while_the_mail_server_is_away_letters_wait_and_go_later(account, settings):
    tell(account)
    working = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    now = timezone.now()

    assert post(now) == 0
    owed = Delivery.objects.get()
    assert "ConnectionRefusedError" in owed.last_error
    assert timedelta(seconds=2) < owed.next_attempt_at - now < timedelta(seconds=6)

    settings.EMAIL_BACKEND = working
    assert post(owed.next_attempt_at) == 1


class WhileItIsSent(EmailBackend):
    """A mail server; while it takes the first letter, what the second one says comes to be no longer so."""

    def send_messages(self, messages):
        for account in Account.objects.filter(notifications__key__endswith="receipt:second"):
            notifications.overtake(account=account, key="receipt:second", now=NOON)
        return super().send_messages(messages)


def test_what_comes_to_be_no_longer_so_while_others_are_sent_does_not_leave(account, settings):
    settings.EMAIL_BACKEND = f"{__name__}.{WhileItIsSent.__name__}"
    now = timezone.now()
    tell(account, key="receipt:second")
    tell(account, key="receipt:first")
    Delivery.objects.filter(notification__key__endswith="first").update(
        next_attempt_at=now - timedelta(hours=1)
    )

    assert post(timezone.now()) == 1

    assert len(mail.outbox) == 1
    states = Delivery.objects.order_by("notification__key").values_list("state", flat=True)
    assert list(states) == ["delivered", "overtaken"]


def test_a_letter_that_never_goes_is_given_up_and_told_to_staff(account, settings):
    from billing.models import Alert

    tell(account)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    now = timezone.now()

    for day in range(1, 14):
        post(now + timedelta(days=2 * day))

    assert Delivery.objects.get().state == "given_up"
    assert Alert.objects.get().kind == "undelivered_notification"


def test_names_cannot_smuggle_headers_markup_or_orders_into_letters(account, alice):
    account.name = "Evil\r\nBcc: all@example.com <script>alert(1)</script> {{ 7|add:7 }}"
    account.save()
    tell(account)
    tell(
        account,
        kind="member_joined",
        key="m:1",
        context={"name": "A\nBcc: x@example.com", "email": "a@example.com", "role": "member"},
    )
    post()

    for letter in mail.outbox:
        assert "\n" not in letter.subject
        assert letter.bcc == []
        assert "<script>" not in letter.alternatives[0][0]
        letter.message()
    page = acting_for(account, alice).get("/notifications/").content.decode()
    assert "<script>alert" not in page
    receipt = page.split("Receipt: $29.00 for Pro")[1].split("</article>")[0]
    # The form's token is chance, and may have the digits of what nobody is to have worked out.
    without_token = re.sub(r'value="[A-Za-z0-9]{64}"', "", receipt)
    assert without_token != receipt
    assert "14" not in without_token.replace("2026", "")


@pytest.mark.parametrize("kind", kinds.KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_has_its_words_even_when_a_fact_is_missing(account, alice, kind):
    told = tell(account, kind=kind.name, key=f"{kind.name}:1", context={}, to=alice)

    assert told.subject and told.text
    assert "{" not in told.subject + told.text


def test_there_are_no_words_without_a_kind():
    texts = {path.stem for path in Path("templates/notifications").glob("*.txt")}

    assert texts - {"_letter"} == set(kinds.KINDS)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_eight_who_tell_the_same_at_once_one_does(account):
    start = threading.Barrier(8)

    def tell_often(_):
        start.wait()
        try:
            return sum(tell(account, key=f"receipt:in_{number}") is not None for number in range(20))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(tell_often, range(8))) == 20


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_carriers_do_not_take_the_same_letter(account):
    for number in range(40):
        tell(account, key=f"receipt:in_{number}")
    now = timezone.now()
    start = threading.Barrier(4)

    def carry(_):
        start.wait()
        try:
            return post(now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(carry, range(4))) == 40
    assert len(mail.outbox) == 40


def test_staff_see_what_was_told_send_it_again_and_rewrite_nothing(account, as_dana):
    tell(account)
    post()
    told, sent = Notification.objects.get(), Delivery.objects.get()

    assert "Receipt: $29.00 for Pro" in as_dana.get("/staff/accounts/notification/").content.decode()
    assert "alice@example.com" in (
        as_dana.get(f"/staff/accounts/notification/{told.pk}/change/").content.decode()
    )
    for address in ("/staff/accounts/notification/add/", f"/staff/accounts/delivery/{sent.pk}/delete/"):
        assert as_dana.post(address).status_code == 403
    chosen = {"action": "send_again", "_selected_action": [sent.pk]}
    assert "1 on their way again" in (
        as_dana.post("/staff/accounts/delivery/", chosen, follow=True).content.decode()
    )
    assert post() == 1


def test_staff_do_not_see_the_addresses_and_secrets_of_destinations(account, as_dana):
    destination, secret = destinations.add(
        account=account,
        channel="webhook",
        url="http://127.0.0.1:9999/hooks/secret-part?token=abc",
        categories=["billing"],
        by=account.members.get(),
        now=timezone.now(),
    )

    page = as_dana.get(f"/staff/accounts/destination/{destination.pk}/change/").content.decode()

    assert "127.0.0.1:9999" in page
    for hidden in (secret, "token=abc", destination.sealed_url, destination.sealed_secret):
        assert hidden not in page


def test_the_demos_mailbox_shows_the_letter_as_a_person_reads_it(account, as_alice, settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    tell(account)
    tell(account, kind="quota", key="quota:1", context=QUOTA)
    post()

    page = as_alice.get("/demo/mailbox/").content.decode()

    assert "<h2>Receipt: $29.00 for Pro</h2>" in page
    assert "<h2>80% of generations used</h2>" in page
    assert page.count("To alice@example.com") == 2
    assert "No more mail of this kind" in page
    assert "&lt;h1&gt;" not in page


@pytest.mark.django_db
@pytest.mark.parametrize(("count", "words"), [(1, "Mark 1 as read"), (2, "Mark all 2 as read")])
def test_one_message_is_not_all_of_them(account, alice, count, words):
    for number in range(count):
        tell(account, key=f"receipt:in_{number}")

    assert words in acting_for(account, alice).get("/notifications/").content.decode()


ONE_PAGE = {"feature": "Pages", "unit": "page", "units": "pages", "limit": 1, "limit_text": "1 page"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "context", "words"),
    [
        ("credits_given", {"units": 1, "units_text": "1 page", "reason": "Sorry"}, "1 page is yours"),
        ("credits_given", {"units": 2, "units_text": "2 pages", "reason": "Sorry"}, "2 pages are yours"),
        (
            "credits_ending",
            {"units": 1, "units_text": "1 page", "ends_at": QUOTA["back_at"]},
            "1 page ends on 1 D",
        ),
        ("quota_urgent", {**QUOTA, **ONE_PAGE, "used_text": "1", "is_used_up": True}, "Used up: 1 page"),
        (
            "quota_urgent",
            {**QUOTA, **ONE_PAGE, "used_text": "1", "is_used_up": True},
            "It comes back on 1 Dec",
        ),
        ("paid_use", {**QUOTA, **ONE_PAGE}, "Pages: paid by the page from now on"),
        ("yearly_renewal", {"plan": "Pro", "amount": 0, "currency": "usd"}, "and nothing is charged."),
        (
            "yearly_renewal",
            {"plan": "Pro", "amount": None, "currency": "usd", "at": "2027-01-02"},
            "2 January 2027.",
        ),
    ],
)
def test_one_of_something_is_said_as_one_and_nothing_as_nothing(account, kind, context, words):
    note = tell(account, kind, "once", context=context)

    assert words in f"{note.subject}\n{note.text}"
