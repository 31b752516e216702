"""Things that stay are counted once each, never beyond the plan, and nothing is taken away when a plan shrinks."""

import io
import zipfile
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from accounts.models import Account, Member, Notification, User
from billing import grants, suspension
from tests import factories
from tests.usage.conftest import NOON, opened, subscribe
from tests.usage.test_concurrency import at_once
from tests.usage.test_pages import acting_for, seen
from usage import metering, portability
from usage.models import Gauge, GaugeClaim
from usage.standing import LimitReached, Standing, gauges, shrinking, slots

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


@pytest.fixture
def five(account: Account) -> Account:
    """Room for five projects."""
    agreed(account, projects=5)
    return account


def agreed(account: Account, **limits: int | None) -> None:
    """The account's deal from now on; the one before is over."""
    for grant in account.grants.filter(revoked_at=None):
        grants.revoke(grant=grant, now=NOON)
    grants.give(
        account=account,
        plan_key="pro",
        kind="enterprise",
        reason="agreed",
        now=NOON - DAY,
        overrides=dict(limits),
    )


def claim(account: Account, **more: Any) -> Standing:
    return gauges.claim(**{"account": account, "feature": "projects", "now": NOON, **more})


def release(account: Account, **more: Any) -> Standing:
    return gauges.release(**{"account": account, "feature": "projects", "now": NOON, **more})


def test_free_has_one_project_and_the_second_is_refused_with_the_way_out(
    account: Account, settings: Any
) -> None:
    assert claim(account, key="project:1").used == 1

    with pytest.raises(LimitReached) as refused:
        claim(account, key="project:2")

    assert refused.value.reason == "limit_reached"
    assert (refused.value.used, refused.value.limit, refused.value.remaining) == (1, 1, 0)
    assert refused.value.upgrade_url == settings.BASE_URL + "/pricing/"
    assert str(refused.value) == (
        "1 project asked for, 0 projects left of 1 project. Remove some or choose a larger plan."
    )
    assert gauges.state(account, "projects", NOON).used == 1


def test_a_thing_that_is_gone_makes_room(five: Account) -> None:
    for number in range(5):
        claim(five, key=f"project:{number}")

    assert release(five, key="project:3").remaining == 1

    assert claim(five, key="project:5").remaining == 0


def test_a_thing_claimed_twice_is_counted_once_and_let_go_once(five: Account) -> None:
    assert claim(five, key="project:1", units=2).used == 2
    assert claim(five, key="project:1", units=2).used == 2

    assert release(five, key="project:1").used == 0
    assert release(five, key="project:1").used == 0
    assert not GaugeClaim.objects.exists()


def test_the_same_key_for_another_number_is_a_conflict(five: Account) -> None:
    claim(five, key="project:1", units=2)

    with pytest.raises(metering.IdempotencyConflict):
        claim(five, key="project:1", units=3)

    assert gauges.state(five, "projects", NOON).used == 2


def test_a_thing_claimed_again_is_answered_even_when_there_is_no_room_left(account: Account) -> None:
    claim(account, key="project:1")

    assert claim(account, key="project:1").used == 1


def test_three_with_two_left_count_nothing(five: Account) -> None:
    claim(five, units=3)

    with pytest.raises(LimitReached):
        claim(five, units=3)

    assert claim(five, units=2).remaining == 0


def test_a_count_never_goes_below_zero(five: Account) -> None:
    claim(five, units=2)

    with pytest.raises(gauges.NotHeld):
        release(five, units=3)

    assert release(five, units=2).used == 0
    claim(five, key="project:1", units=4)
    gauges.set_to(account=five, feature="projects", value=1, now=NOON)
    assert release(five, key="project:1").used == 0


def test_unlimited_is_unlimited(account: Account) -> None:
    subscribe(account, "pro", anchor=NOON - DAY)

    standing = claim(account, units=10_000)

    assert (standing.used, standing.limit, standing.remaining, standing.is_over) == (
        10_000,
        None,
        None,
        False,
    )


def test_zero_is_zero(account: Account) -> None:
    agreed(account, projects=0)

    with pytest.raises(metering.FeatureNotIncluded) as refused:
        claim(account)

    assert refused.value.reason == "not_included"


def test_after_a_downgrade_nothing_is_deleted_and_nothing_is_added_until_it_fits(account: Account) -> None:
    agreed(account, projects=5)
    for number in range(4):
        claim(account, key=f"project:{number}")
    later = NOON + 3 * DAY

    agreed(account, projects=2)

    standing = gauges.state(account, "projects", later)
    assert (standing.used, standing.limit, standing.remaining) == (4, 2, 0)
    assert standing.is_over
    assert standing.is_read_only
    assert standing.over_since == later
    with pytest.raises(LimitReached) as refused:
        claim(account, key="project:4", now=later + DAY)
    assert refused.value.reason == "over_limit"
    assert "Nothing is deleted" in str(refused.value)
    assert gauges.state(account, "projects", later + DAY).over_since == later
    assert GaugeClaim.objects.count() == 4
    release(account, key="project:0", now=later + DAY)
    fitting = release(account, key="project:1", now=later + DAY)
    assert not fitting.is_over
    assert fitting.over_since is None
    assert claim_refused(account) == "limit_reached"


def test_a_smaller_plan_is_told_once_to_those_who_can_act(account: Account, alice: User, bob: User) -> None:
    agreed(account, projects=5)
    for number in range(4):
        claim(account, key=f"project:{number}")
    assert shrinking.look(now=NOON) == 1
    assert shrinking.look(now=NOON) == 0

    agreed(account, projects=2)
    assert [shrinking.look(now=NOON + DAY), shrinking.look(now=NOON + 2 * DAY)] == [1, 0]

    told = Notification.objects.get()
    assert told.subject == "Projects: more is kept than Pro gives"
    assert "keeps 4 projects, and Pro gives 2 projects. Nothing is deleted" in told.text
    assert {entry.user for entry in told.entries.all()} == {alice}
    assert gauges.state(account, "projects", NOON + 3 * DAY).over_since == NOON + DAY
    agreed(account, projects=3)
    shrinking.look(now=NOON + 4 * DAY)
    assert Notification.objects.count() == 1
    agreed(account, projects=9)
    shrinking.look(now=NOON + 5 * DAY)
    agreed(account, projects=1)
    shrinking.look(now=NOON + 6 * DAY)
    assert Notification.objects.count() == 2


def claim_refused(account: Account) -> str:
    with pytest.raises(LimitReached) as refused:
        claim(account)
    return refused.value.reason


def test_an_upgrade_ends_being_over(account: Account) -> None:
    agreed(account, projects=2)
    gauges.set_to(account=account, feature="projects", value=3, now=NOON)

    agreed(account, projects=3)

    assert gauges.state(account, "projects", NOON).over_since is None
    assert Gauge.objects.get().over_since is None


def test_a_counted_sum_is_taken_above_the_limit_and_flagged(five: Account) -> None:
    standing = gauges.set_to(account=five, feature="projects", value=7, now=NOON)

    assert standing.is_over
    assert standing.over_since == NOON
    assert gauges.set_to(account=five, feature="projects", value=0, now=NOON).over_since is None


def test_an_account_on_hold_adds_nothing_and_keeps_what_it_has(five: Account) -> None:
    claim(five, units=2)
    suspension.suspend(account=five, reason="fraud", now=NOON)

    assert claim_refused(five) == "over_limit"

    suspension.lift(account=five)
    assert claim(five).used == 3


def test_a_thing_and_its_count_are_made_together_or_not_at_all(five: Account) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        claim(five, key="project:1")
        raise RuntimeError("the project could not be made")

    assert gauges.state(five, "projects", NOON).used == 0
    assert claim(five, key="project:1").used == 1


def test_guests_look_and_do_not_add(five: Account) -> None:
    guest = factories.person()
    factories.MemberFactory(account=five, user=guest, role=Member.Role.GUEST)

    for act in (claim, release):
        with pytest.raises(metering.FeatureNotIncluded) as refused:
            act(five, user=guest)
        assert refused.value.reason == "role"


def test_another_accounts_things_are_its_own(five: Account, charlie: User) -> None:
    claim(five, key="project:1")

    assert release(charlie.personal_account, key="project:1").used == 0
    assert gauges.state(five, "projects", NOON).used == 1


@pytest.mark.parametrize("units", [0, -1, 1.5, True, "1", None, 2**53])
def test_what_is_no_count_changes_nothing(five: Account, units: Any) -> None:
    with pytest.raises(metering.InvalidUnits):
        claim(five, units=units)
    if units != 0:
        with pytest.raises(metering.InvalidUnits):
            gauges.set_to(account=five, feature="projects", value=units, now=NOON)

    assert not Gauge.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", 7])
def test_a_key_that_names_nothing_is_refused(five: Account, key: Any) -> None:
    with pytest.raises(metering.InvalidKey):
        claim(five, key=key)


@pytest.mark.parametrize("feature", ["generations", "api_access", "no such thing", ""])
def test_only_standing_limits_are_claimed(five: Account, feature: str) -> None:
    with pytest.raises(metering.UnknownFeature):
        claim(five, feature=feature)
    with pytest.raises(metering.UnknownFeature):
        gauges.state(five, feature, NOON)


def test_storage_is_counted_and_told_in_bytes(account: Account, settings: Any) -> None:
    settings.BILLING_CATALOG = "protocol"
    grants.give(account=account, plan_key="starter", kind="enterprise", reason="agreed", now=NOON - DAY)
    gigabyte = gauges.state(account, "storage_bytes", NOON).limit
    assert gigabyte is not None
    gauges.claim(account=account, feature="storage_bytes", units=gigabyte - 1024, key="file:1", now=NOON)

    with pytest.raises(LimitReached) as refused:
        gauges.claim(account=account, feature="storage_bytes", units=2048, key="file:2", now=NOON)

    assert str(refused.value).startswith("2 KB asked for, 1 KB left of 1 GB.")


def test_a_few_bytes_too_many_are_said_in_bytes(account: Account, as_alice: Client, settings: Any) -> None:
    settings.BILLING_CATALOG = "protocol"
    grants.give(account=account, plan_key="starter", kind="enterprise", reason="agreed", now=NOON - DAY)
    limit = gauges.state(account, "storage_bytes", NOON).limit
    assert limit is not None
    gauges.set_to(account=account, feature="storage_bytes", value=limit + 76, now=NOON)

    page = seen(acting_for(account, as_alice).get("/usage/"))
    with pytest.raises(LimitReached) as refused:
        gauges.claim(account=account, feature="storage_bytes", units=1, key="file:2", now=NOON)

    assert "1 GB of 1 GB 76 bytes more than your plan gives" in page
    assert (
        "1 GB are kept and Department Starter gives 1 GB: 76 bytes too many, so nothing can be added."
        in str(refused.value)
    )


def test_people_are_counted_where_they_join(account: Account, bob: User, settings: Any) -> None:
    settings.BILLING_CATALOG = "automation"

    assert gauges.state(account, "members", NOON).used == 2
    with pytest.raises(metering.UnknownFeature):
        claim(account, feature="members")


def test_a_limit_that_cannot_be_checked_is_refused(five: Account, settings: Any) -> None:
    settings.BILLING_CATALOG = "/nowhere/catalog.toml"

    with pytest.raises(metering.CheckFailed):
        claim(five)


def test_the_usage_page_says_what_is_kept_and_that_nothing_is_deleted(
    five: Account, as_alice: Client
) -> None:
    browser = acting_for(five, as_alice)
    assert "What is kept" not in seen(browser.get("/usage/"))

    claim(five, units=5)
    assert "What is kept Projects 5 of 5 projects No room is left." in seen(browser.get("/usage/"))
    agreed(five, projects=2)

    page = seen(browser.get("/usage/"))
    assert "Projects 5 of 2 projects 3 projects more than your plan gives since" in page
    assert "Nothing is deleted; nothing can be added until you remove some" in page
    agreed(five, projects=None)
    assert "Projects 5 projects" in seen(browser.get("/usage/"))


def test_staff_see_what_is_kept_held_and_running(five: Account, as_dana: Client) -> None:
    claim(five, units=3)
    slots.take(account=five, feature="projects", key="run:1", now=NOON)
    metering.reserve(account=five, feature="generations", units=2, idempotency_key="job", now=NOON)

    for model in ("gauge", "slot", "reservation"):
        page = as_dana.get(f"/staff/usage/{model}/?q=Alice")
        assert page.status_code == 200
        assert "Alice &amp; Co" in page.content.decode()


def test_what_is_kept_and_held_comes_along_in_ones_data(five: Account, charlie: User) -> None:
    claim(five, key="project:1", units=3)
    claim(charlie.personal_account, key="project:theirs")
    slots.take(account=five, feature="projects", key="run:1", now=NOON)
    metering.reserve(account=five, feature="generations", units=2, idempotency_key="job", now=NOON)

    archive = zipfile.ZipFile(io.BytesIO(b"".join(portability.archive(account=five, now=NOON))))

    named = {name: archive.read(f"{name}.jsonl") for name in ("kept", "kept_by_name", "runs", "reservations")}
    assert b'"value":3' in named["kept"]
    assert b"project:1" in named["kept_by_name"]
    assert b"run:1" in named["runs"]
    assert b'"units":2' in named["reservations"]
    assert b"theirs" not in b"".join(named.values())


@pytest.mark.postgres
def test_of_sixteen_at_once_one_gets_the_last_place(account: Account) -> None:
    for turn in range(5):
        agreed(account, projects=turn + 1)

        found = Counter(at_once(lambda number, turn=turn: _tried(account, f"project:{turn}-{number}")))

        assert found == {"granted": 1, "limit_reached": 15}
        assert Gauge.objects.get().value == GaugeClaim.objects.count() == turn + 1


@pytest.mark.postgres
def test_the_same_thing_claimed_from_everywhere_is_counted_once(five: Account) -> None:
    assert Counter(at_once(lambda _: _tried(five, "project:1"))) == {"granted": 16}
    assert Gauge.objects.get().value == 1

    at_once(lambda _: release(five, key="project:1"))

    assert Gauge.objects.get().value == 0


@pytest.mark.postgres
def test_claims_and_releases_at_once_leave_a_true_count(account: Account, alice: User) -> None:
    other = opened(alice)
    for one in (account, other):
        agreed(one, projects=8)

    def act(number: int) -> None:
        for turn in range(6):
            for one in (account, other):
                _tried(one, f"project:{number}-{turn}")
                if turn % 2:
                    release(one, key=f"project:{number}-{turn}")

    at_once(act)

    for one in (account, other):
        assert Gauge.objects.get(account=one).value == GaugeClaim.objects.filter(account=one).count() <= 8


def _tried(account: Account, key: str) -> str:
    try:
        claim(account, key=key)
    except LimitReached as refused:
        return refused.reason
    return "granted"


def test_what_was_claimed_by_name_is_not_let_go_without_it(five: Account) -> None:
    """Else a name could be held and not be counted, and its place be given away again."""
    for name in "abcde":
        claim(five, key=name)

    with pytest.raises(gauges.NotHeld, match="0 are held without a key"):
        gauges.release(account=five, feature="projects", units=5, now=NOON)

    with pytest.raises(LimitReached):
        claim(five, key="f")
    assert gauges.release(account=five, feature="projects", key="a", now=NOON).used == 4
