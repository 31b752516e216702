"""Owners and admins limit what units may cost and what a member may use; the next act obeys, and no other."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import Account, User
from billing import clock
from tests import factories
from tests.billing.shopping import buy
from usage import budgets, metering
from usage.models import Budget, MemberBudget

if TYPE_CHECKING:
    from simulator.core import Simulator

pytestmark = pytest.mark.django_db(transaction=True)
CATALOG = str(Path(__file__).parent.parent / "billing" / "packs.toml")


@pytest.fixture(autouse=True)
def copy_shop(settings: Any) -> None:
    settings.BILLING_CATALOG = CATALOG


def acting_for(client: Client, account: Account) -> Client:
    client.post("/account/switch/", {"account": str(account.pk)})
    return client


@pytest.fixture
def owner(as_alice: Client, account: Account) -> Client:
    return acting_for(as_alice, account)


@pytest.fixture
def member(as_bob: Client, account: Account) -> Client:
    return acting_for(as_bob, account)


@pytest.fixture
def pro(simulator: "Simulator", account: Account, alice: User) -> Account:
    """1,000 scans included, then 100 at $0.50 and so on."""
    call_command("sync_catalog", verbosity=0)
    buy(simulator, account, alice, "copy_pro_month")
    return account


def scan(account: Account, units: int, *, key: str, user: User | None = None) -> metering.Receipt:
    return metering.consume(
        account=account, feature="scans", units=units, idempotency_key=key, now=timezone.now(), user=user
    )


def page(client: Client) -> str:
    answer = client.get("/usage/budgets/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_nothing_is_charged_above_the_budget_and_the_refusal_comes_before_the_act(
    pro: Account, owner: Client
) -> None:
    answer = owner.post("/usage/budgets/set/", {"amount": "10"}, follow=True)
    assert "At most $10.00 a month is charged for units from now on." in answer.content.decode()

    receipt = scan(pro, 1019, key="a")
    assert receipt.cost == 950
    with pytest.raises(metering.BudgetReached) as refusal:
        scan(pro, 2, key="b")
    assert refusal.value.reason == "budget_reached"
    assert scan(pro, 1, key="c").cost == 50
    text = page(owner)
    assert "$10.00</strong> of $10.00 were used" in text
    assert "The budget is reached" in text


def test_a_budget_of_zero_leaves_what_is_included(pro: Account, owner: Client) -> None:
    owner.post("/usage/budgets/set/", {"amount": "0"})
    assert scan(pro, 1000, key="a").cost == 0
    with pytest.raises(metering.BudgetReached):
        scan(pro, 1, key="b")


def test_a_raised_and_a_removed_budget_count_for_the_next_act(pro: Account, owner: Client) -> None:
    owner.post("/usage/budgets/set/", {"amount": "0"})
    with pytest.raises(metering.BudgetReached):
        scan(pro, 1002, key="a")
    owner.post("/usage/budgets/set/", {"amount": "0.50"})
    with pytest.raises(metering.BudgetReached):
        scan(pro, 1002, key="b")
    owner.post("/usage/budgets/set/", {"amount": "1.00"})
    assert scan(pro, 1002, key="c").cost == 100
    answer = owner.post("/usage/budgets/clear/", follow=True)
    assert "The budget is removed." in answer.content.decode()
    assert scan(pro, 10, key="d").cost == 500
    assert not Budget.objects.exists()


def test_a_budget_lowered_below_what_was_spent_stops_paid_use_at_once(pro: Account, owner: Client) -> None:
    scan(pro, 1010, key="a")
    owner.post("/usage/budgets/set/", {"amount": "3"})
    with pytest.raises(metering.BudgetReached):
        scan(pro, 1, key="b")
    assert "$5.00</strong> of $3.00 were used" in page(owner)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("", "This field is required."),
        ("-5", "Write a sum such as 30 or 30.00"),
        ("1,000", "Write a sum such as 30 or 30.00"),
        ("$5", "Write a sum such as 30 or 30.00"),
        ("5.001", "Write a sum such as 30 or 30.00"),
        ("1e5", "Write a sum such as 30 or 30.00"),
        ("NaN", "Write a sum such as 30 or 30.00"),
        ("٣", "Write a sum such as 30 or 30.00"),
        ("10000000", "The largest budget is $999,999.99."),
        ("9" * 20, "at most 14 characters"),
    ],
)
def test_a_sum_that_cannot_be_read_says_how_to_write_it_and_changes_nothing(
    owner: Client, account: Account, amount: str, words: str
) -> None:
    budgets.set_budget(account=account, amount=700, now=timezone.now(), by=None)
    answer = owner.post("/usage/budgets/set/", {"amount": amount})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert Budget.objects.get().amount == 700


def test_a_currency_without_cents_is_budgeted_without_them(
    owner: Client, settings: Any, tmp_path: Path
) -> None:
    yen = tmp_path / "yen.toml"
    yen.write_text(Path(CATALOG).read_text().replace('"usd"', '"jpy"'))
    settings.BILLING_CATALOG = str(yen)
    assert "such as 30, without" in owner.post("/usage/budgets/set/", {"amount": "30.5"}).content.decode()
    owner.post("/usage/budgets/set/", {"amount": "3000"})
    assert (Budget.objects.get().amount, Budget.objects.get().currency) == (3000, "jpy")


def test_a_member_uses_no_more_than_their_own_budget_and_others_are_not_touched(
    pro: Account, owner: Client, alice: User, bob: User
) -> None:
    bobs = pro.members.get(user=bob)
    answer = owner.post(
        "/usage/budgets/members/set/",
        {"member-member": bobs.pk, "member-feature": "scans", "member-units": "5"},
        follow=True,
    )
    assert "Bob may use 5 scans from now on." in answer.content.decode()
    scan(pro, 5, key="a", user=bob)
    with pytest.raises(metering.MemberBudgetReached) as refusal:
        scan(pro, 1, key="b", user=bob)
    assert refusal.value.reason == "member_budget_reached"
    scan(pro, 50, key="c", user=alice)
    scan(pro, 50, key="d")

    assert '5 <span class="soft">used</span></td> <td class="r num">5 a month</td>' in page(owner)
    budget = MemberBudget.objects.get()
    answer = owner.post("/usage/budgets/members/clear/", {"budget": budget.pk}, follow=True)
    assert "Bob may use what Alice &amp; Co has." in answer.content.decode()
    scan(pro, 1, key="e", user=bob)


def test_a_member_sees_their_own_budget_and_neither_money_nor_anybody_elses(
    pro: Account, owner: Client, member: Client, alice: User, bob: User
) -> None:
    now = clock.now(pro)
    budgets.set_budget(account=pro, amount=1234, now=now, by=alice)
    budgets.set_member_budget(account=pro, user=bob, feature="scans", units=77, now=now, by=alice)
    budgets.set_member_budget(account=pro, user=alice, feature="scans", units=88, now=now, by=alice)
    text = page(member).split("<main", 1)[1].split("</main>", 1)[0]
    assert "77 a month" in text
    assert "88" not in text and "12.34" not in text and "<form" not in text
    for address in ("set/", "clear/", "members/set/", "members/clear/"):
        assert member.post(f"/usage/budgets/{address}").status_code == 403
    assert Budget.objects.get().amount == 1234
    assert MemberBudget.objects.count() == 2


def test_what_is_posted_about_strangers_guests_and_unknown_things_is_refused(
    pro: Account, owner: Client, charlie: User
) -> None:
    guest = factories.MemberFactory(account=pro, role="guest")
    strangers = charlie.memberships.get()
    alices = pro.members.get(role="owner")
    for wrong, words in (
        ({"member-member": strangers.pk}, "not in your organization any more"),
        ({"member-member": guest.pk}, "not in your organization any more"),
        ({"member-member": "x"}, "not in your organization any more"),
        ({"member-feature": "projects"}, "That is not counted."),
        ({"member-units": "-1"}, "Write a whole number of units"),
        ({"member-units": "1.5"}, "Write a whole number of units"),
        ({"member-units": ""}, "Write a whole number of units"),
        ({"member-units": str(10**12)}, "more than can be counted"),
    ):
        right = {"member-member": alices.pk, "member-feature": "scans", "member-units": "5"}
        answer = owner.post("/usage/budgets/members/set/", right | wrong)
        assert answer.status_code == 422, wrong
        assert words in answer.content.decode(), wrong
    assert not MemberBudget.objects.exists()


def test_a_budget_of_another_organization_cannot_be_removed(
    owner: Client, account: Account, charlie: User
) -> None:
    theirs = factories.organization(owner=charlie)
    budget = budgets.set_member_budget(
        account=theirs, user=charlie, feature="scans", units=5, now=timezone.now(), by=charlie
    )
    for name in (str(budget.pk), "0", "x", "", "9" * 30):
        answer = owner.post("/usage/budgets/members/clear/", {"budget": name}, follow=True)
        assert "That budget was removed before." in answer.content.decode()
    assert MemberBudget.objects.filter(pk=budget.pk).exists()


@pytest.mark.parametrize("amount", [-1, 1.5, True, 10**9])
def test_code_that_sets_nonsense_is_refused(account: Account, amount: Any) -> None:
    with pytest.raises(budgets.BadBudget):
        budgets.set_budget(account=account, amount=amount, now=timezone.now(), by=None)


def test_a_person_alone_has_nobody_to_give_a_budget(as_charlie: Client, charlie: User) -> None:
    with pytest.raises(budgets.BadBudget, match="for organizations"):
        budgets.set_member_budget(
            account=charlie.personal_account,
            user=charlie,
            feature="scans",
            units=5,
            now=timezone.now(),
            by=charlie,
        )
    assert "Units for members" not in page(as_charlie)


def test_a_price_list_without_paid_units_says_that_there_is_nothing_to_limit(
    as_charlie: Client, settings: Any
) -> None:
    settings.BILLING_CATALOG = "kaboot"
    assert "there is nothing a budget could limit" in page(as_charlie)
