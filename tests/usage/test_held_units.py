"""Units that work going on holds are neither used nor left, and every page and answer that counts says so."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import api_keys
from accounts.models import Account, User
from tests.usage.conftest import NOON, subscribe
from tests.usage.test_api import assert_problem, use, yesterday
from tests.usage.test_pages import acting_for, press, seen
from tests.usage.test_reservations_api import hold
from tests.usage.test_standing_api import send
from usage import budgets

pytestmark = pytest.mark.django_db(transaction=True)

HELD = "held by work that is going on"


@pytest.fixture
def own_key(account: Account) -> dict[str, str]:
    """250 generations a month."""
    subscribe(account, "pro", anchor=yesterday())
    _, key = api_keys.issue(kind="account", account=account, name="a script", now=NOON)
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def browser(as_alice: Client, account: Account) -> Client:
    return acting_for(account, as_alice)


def test_two_of_250_that_are_held_are_not_called_used_on_any_page(
    client: Client, own_key: dict[str, str], browser: Client
) -> None:
    use(client, own_key, units=248)
    work = hold(client, own_key, units=2).json()["id"]

    page = browser.get("/usage/")
    assert "Generations 248 of 250 (99%) 0 left, 2 held by work that is going on." in seen(page)
    assert 'class="held"' in page.content.decode()
    assert "0 generations left, 2 held" in seen(page)
    assert f"248 of 250 generations are used and 2 are {HELD}." in seen(page)
    product = browser.get("/demo/generate/")
    assert f"2 are {HELD}." in seen(product)
    refused = press(browser, product)
    assert refused.status_code == 402
    assert f"No generations are left just now. Of 250, 248 are used and 2 are {HELD}" in seen(refused)
    assert "All 250" not in seen(refused)

    send(client, own_key, f"reservations/{work}/settle", units=2)

    assert "All 250 generations are used." in seen(press(browser, product))
    assert HELD not in seen(browser.get("/usage/"))


def test_a_refusal_of_the_api_says_how_many_are_held(client: Client, own_key: dict[str, str]) -> None:
    use(client, own_key, units=248)
    hold(client, own_key, units=1)

    refused = assert_problem(use(client, own_key, units=2), 402, "allowance_exhausted")

    assert f"2 asked for, 1 left of 250 (248 used, 1 {HELD}). The allowance" in refused["detail"]
    assert (refused["used"], refused["reserved"], refused["remaining"]) == (248, 1, 1)
    balance = client.get("/api/v1/usage", headers=own_key).json()["balances"][0]
    assert (balance["used"], balance["reserved"], balance["remaining"]) == (248, 1, 1)


def test_nothing_used_and_everything_held_is_said_before_somebody_is_refused(
    client: Client, own_key: dict[str, str], browser: Client
) -> None:
    hold(client, own_key, units=250)

    assert f"0 of 250 generations are used and 250 are {HELD}." in seen(browser.get("/usage/"))


def test_a_plan_without_end_shows_what_is_held_beside_what_is_used(
    client: Client, own_key: dict[str, str], browser: Client, account: Account
) -> None:
    subscribe(account, "boundless", anchor=yesterday())
    hold(client, own_key, units=7)

    assert f"Generations 0 of unlimited 7 {HELD}" in seen(browser.get("/usage/"))


def test_a_members_own_budget_tells_used_from_held_and_is_no_hold_on_the_account(
    own_key: dict[str, str], account: Account, alice: User, bob: User, as_bob: Client, browser: Client
) -> None:
    budgets.set_member_budget(
        account=account, user=bob, feature="generations", units=3, now=timezone.now(), by=alice
    )
    member = acting_for(account, as_bob)
    press(member, member.get("/demo/generate/"))
    hold(member, {}, units=2)

    shown = seen(browser.get("/usage/budgets/"))
    refused: Any = press(member, member.get("/demo/generate/"))

    assert "1 used, 2 held" in shown
    assert "The budget does not allow this." in seen(refused)
    assert "0 left of the 3 you may use until" in seen(refused)
    assert f"(1 used, 2 {HELD})" in seen(refused)
    assert "on hold" not in seen(refused)
