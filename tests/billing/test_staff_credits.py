"""Staff give credits with a reason, correct them, and read every change; nobody edits what was granted."""

import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Notification, User
from billing import credits, tasks
from billing.models import CreditEntry, CreditGrant
from tests import factories
from tests.accounts.conftest import log_in

pytestmark = pytest.mark.django_db(transaction=True)
GRANTS, ENTRIES = "/staff/billing/creditgrant/", "/staff/billing/creditentry/"


@pytest.fixture(autouse=True)
def copy_shop(settings: Any) -> None:
    settings.BILLING_CATALOG = str(Path(__file__).parent / "packs.toml")


def form(account: Account, **other: str) -> dict[str, str]:
    return {
        "account": str(account.pk),
        "feature": "pages",
        "units": "100",
        "source": "refund",
        "reason": "Our printer was down",
        "priority": "100",
        "expires_at_0": "",
        "expires_at_1": "",
        **other,
    }


def words(answer: Any) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


@pytest.fixture
def grant(account: Account, dana: User) -> CreditGrant:
    return credits.give(
        account=account,
        feature="pages",
        units=100,
        source="gift",
        source_key="staff:1",
        now=timezone.now(),
        by=dana,
        reason="Welcome",
    )


def test_credits_are_given_with_a_reason_that_the_customer_reads(
    as_dana: Client, dana: User, account: Account, as_alice: Client
) -> None:
    answer = as_dana.post(f"{GRANTS}add/", form(account), follow=True)
    assert "was added successfully" in words(answer)
    grant = CreditGrant.objects.get()
    assert (grant.units, grant.remaining, grant.granted_by, grant.source) == (100, 100, dana, "refund")
    assert credits.left(account, "pages", now=timezone.now()) == 100
    told = Notification.objects.get(kind="credits_given", account=account)
    assert told.subject == "100 pages are yours" and "Our printer was down" in told.text
    as_alice.post("/account/switch/", {"account": str(account.pk)})
    assert "Our printer was down" in as_alice.get("/billing/credits/").content.decode()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"reason": ""}, "This field is required."),
        ({"units": "0"}, "Give from 1 to"),
        ({"units": "-5"}, "Give from 1 to"),
        ({"units": "x"}, "Enter a whole number."),
        ({"feature": "projects"}, "Select a valid choice."),
        ({"source": "purchase"}, "Select a valid choice."),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "It must be ahead"),
    ],
)
def test_a_gift_that_makes_no_sense_is_refused_with_a_sentence(
    as_dana: Client, account: Account, wrong: dict[str, str], sentence: str
) -> None:
    answer = as_dana.post(f"{GRANTS}add/", form(account, **wrong))
    assert sentence in words(answer)
    assert not CreditGrant.objects.exists()


def test_a_correction_is_a_number_and_a_reason(as_dana: Client, dana: User, grant: CreditGrant) -> None:
    page = f"{GRANTS}{grant.pk}/change/"
    assert as_dana.get(page).status_code == 200
    for wrong, sentence in (
        ({"correct_by": "-10", "correct_because": ""}, "A correction is a number and a reason."),
        ({"correct_by": "", "correct_because": "Twice"}, "A correction is a number and a reason."),
        ({"correct_by": "-101", "correct_because": "Twice"}, "100 of 100 are left: from -100 to 0."),
        ({"correct_by": "1", "correct_because": "More"}, "100 of 100 are left: from -100 to 0."),
    ):
        assert sentence in words(as_dana.post(page, wrong))
    as_dana.post(page, {"correct_by": "-40", "correct_because": "Given twice", "units": "999"})
    grant.refresh_from_db()
    assert (grant.units, grant.remaining) == (100, 60)
    entry = CreditEntry.objects.get(kind="correct")
    assert (entry.units, entry.by, entry.reason) == (-40, dana, "Given twice")
    assert "Given twice" in words(as_dana.get(f"{ENTRIES}?grant__id__exact={grant.pk}"))
    assert as_dana.post(f"{GRANTS}{grant.pk}/delete/").status_code == 403


def test_a_correction_of_what_was_used_meanwhile_changes_nothing_and_says_so(
    as_dana: Client, grant: CreditGrant, account: Account
) -> None:
    with transaction.atomic():
        credits.take(account=account, feature="pages", units=90, now=timezone.now(), record_id=1)
    answer = as_dana.post(
        f"{GRANTS}{grant.pk}/change/", {"correct_by": "-40", "correct_because": "Twice"}, follow=True
    )
    assert "10 of 100 are left: from -10 to 90." in words(answer)
    assert credits.left(account, "pages", now=timezone.now()) == 10


def test_staff_who_may_only_look_see_and_change_nothing(grant: CreditGrant) -> None:
    viewer = factories.person(email="vic@example.com", is_staff=True)
    viewer.user_permissions.set(
        Permission.objects.filter(codename__in=["view_creditgrant", "view_creditentry"])
    )
    client = Client()
    log_in(client, viewer)
    assert client.get(GRANTS).status_code == 200
    assert client.get(f"{GRANTS}{grant.pk}/change/").status_code == 200
    answer = client.post(f"{GRANTS}{grant.pk}/change/", {"correct_by": "-40", "correct_because": "Mine"})
    assert answer.status_code == 403
    assert client.get(f"{GRANTS}add/").status_code == 403
    grant.refresh_from_db()
    assert grant.remaining == 100


def test_entries_are_searched_and_never_written_by_hand(as_dana: Client, grant: CreditGrant) -> None:
    assert "Added" in words(as_dana.get(ENTRIES, {"q": grant.account.name}))
    assert as_dana.get(f"{ENTRIES}add/").status_code == 403
    entry = grant.entries.get()
    assert as_dana.post(f"{ENTRIES}{entry.pk}/change/", {"units": "5"}).status_code == 403


def test_what_is_over_is_written_off_by_the_hour(account: Account, dana: User) -> None:
    now = timezone.now()
    credits.give(
        account=account,
        feature="pages",
        units=10,
        source="gift",
        source_key="old",
        now=now - timedelta(days=2),
        expires_at=now - timedelta(days=1),
        by=dana,
        reason="Old",
    )
    tasks.expire_credits()
    assert CreditEntry.objects.get(kind="expire").units == -10


def test_credits_that_end_within_a_week_are_announced_once_to_owners_and_admins(
    account: Account, dana: User
) -> None:
    now = timezone.now()
    for days, age in ((6, 30), (8, 30), (6, 0)):  # the last lives too short to be announced
        credits.give(
            account=account,
            feature="pages",
            units=10 * days + age,
            source="gift",
            source_key=f"{days}:{age}",
            now=now - timedelta(days=age),
            expires_at=now + timedelta(days=days),
            by=dana,
            reason="Welcome",
        )
    for _ in range(2):
        tasks.expire_credits()
    told = Notification.objects.get(kind="credits_ending")
    ends = now + timedelta(days=6)
    assert told.subject == f"90 pages end on {ends:%-d %B %Y}"
    assert (told.account, told.to) == (account, "billing")
