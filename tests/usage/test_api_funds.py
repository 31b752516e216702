"""Balances with their sources, credits and budgets over HTTP: the account's own, changed by who may."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from accounts import api_keys
from billing import credits
from tests.usage.conftest import NOON, opened, subscribe
from tests.usage.test_pages import acting_for
from usage import metering
from usage.models import Budget, MemberBudget

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def paying(account):
    subscribe(account, "payg", anchor=NOON - timedelta(days=10))
    return account


@pytest.fixture
def call(paying):
    _, key = api_keys.issue(kind="account", account=paying, name="CI", now=NOON)

    def act(method: str, path: str, *, key: str = key, **body: Any) -> Any:
        sent = {"data": body, "content_type": "application/json"} if method == "put" else {}
        return getattr(Client(), method)(f"/api/v1/{path}", HTTP_AUTHORIZATION=f"Bearer {key}", **sent)

    return act


def give(account, units, **more):
    return credits.give(
        account=account,
        feature="tokens",
        units=units,
        source="gift",
        source_key=f"gift:{units}:{more}",
        reason="a friend",
        now=NOON,
        **more,
    )


def test_a_balance_says_where_its_units_came_from(call, paying):
    give(paying, 4)
    metering.consume(account=paying, feature="tokens", units=10, idempotency_key="k", now=NOON)

    answer = call("get", "balances").json()

    [tokens] = [balance for balance in answer["balances"] if balance["feature"] == "tokens"]
    assert (tokens["used"], tokens["credited"], tokens["billed"], tokens["cost"]) == (10, 4, 6, 300)
    assert (tokens["limit"], tokens["remaining"], tokens["included"]) == (None, None, 0)
    assert answer["currency"] == "usd"


def test_credits_are_listed_in_the_order_they_are_drawn(call, paying):
    last = give(paying, 3)
    first = give(paying, 2, expires_at=NOON + timedelta(days=3))

    answer = call("get", "credits").json()

    assert [credit["id"] for credit in answer["credits"]] == [first.pk, last.pk]
    assert [credit["remaining"] for credit in answer["credits"]] == [2, 3]
    assert call("get", "credits?feature=generations").json()["credits"] == []


def test_a_budget_is_set_seen_enforced_and_taken_away(call, paying):
    assert call("get", "budgets").json()["amount"] is None

    answer = call("put", "budgets", amount=200)

    assert (answer.status_code, answer.json()["amount"]) == (200, 200)
    metering.consume(account=paying, feature="tokens", units=4, idempotency_key="k", now=NOON)
    with pytest.raises(metering.Refused):
        metering.consume(account=paying, feature="tokens", idempotency_key="l", now=NOON)
    assert call("get", "budgets").json()["spent"] == 200
    assert call("put", "budgets", amount=None).json()["amount"] is None
    metering.consume(account=paying, feature="tokens", idempotency_key="l", now=NOON)


@pytest.mark.parametrize("amount", [-1, 1.5, "100", True, 10**12, [], {}])
def test_what_is_no_money_is_refused_and_nothing_changes(call, amount):
    call("put", "budgets", amount=700)

    answer = call("put", "budgets", amount=amount)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_budget")
    assert Budget.objects.get().amount == 700


def test_a_member_gets_a_budget_of_their_own(call, paying, bob):
    answer = call("put", "budgets/members", member="Bob@example.com", feature="tokens", units=3)

    assert answer.json()["members"] == [{"member": "bob@example.com", "feature": "tokens", "units": 3}]
    with pytest.raises(metering.Refused):
        metering.consume(account=paying, feature="tokens", units=4, idempotency_key="k", now=NOON, user=bob)
    call("put", "budgets/members", member="bob@example.com", feature="tokens", units=None)
    assert not MemberBudget.objects.exists()


def test_who_is_no_member_has_no_budget(call, charlie):
    answer = call("put", "budgets/members", member=charlie.email, feature="tokens", units=3)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_key_without_the_scope_reads_budgets_and_changes_none(call, paying):
    _, reading = api_keys.issue(kind="account", account=paying, name="r", now=NOON, scopes=["read"])

    assert call("get", "budgets", key=reading).status_code == 200
    answer = call("put", "budgets", key=reading, amount=1)
    assert (answer.status_code, answer.json()["scope"]) == (403, "budgets:write")


def test_a_member_in_a_session_may_not_set_budgets(as_bob, paying):
    browser = acting_for(paying, as_bob)

    answer = browser.put("/api/v1/budgets", {"amount": 1}, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not Budget.objects.exists()


def test_another_accounts_funds_are_neither_shown_nor_changed(call, alice):
    other = opened(alice)

    for path in ("balances", "credits", "budgets"):
        assert call("get", f"{path}?account={other.pk}").status_code == 404
    assert call("put", "budgets", amount=1, account=str(other.pk)).status_code == 404


def test_a_member_sees_their_own_budget_and_nobody_elses_by_session(call, as_bob, paying, bob, alice):
    for member in (bob, alice):
        call("put", "budgets/members", member=member.email, feature="tokens", units=3)

    seen_by_bob = acting_for(paying, as_bob).get("/api/v1/budgets").json()

    assert [budget["member"] for budget in seen_by_bob["members"]] == [bob.email]
    assert len(call("get", "budgets").json()["members"]) == 2
