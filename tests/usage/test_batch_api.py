"""POST /api/v1/usage/batch as a busy product uses it."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Account
from tests.usage.conftest import assert_books_agree
from tests.usage.test_api import assert_problem, own_key, pro, service
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["own_key", "pro", "service"]


def send(client: Client, headers: dict[str, str], *lines: tuple[str, Any, str], **more: Any) -> Any:
    body = {
        "lines": [
            {"feature": feature, "units": units, "idempotency_key": key} for feature, units, key in lines
        ],
        **more,
    }
    return client.post("/api/v1/usage/batch", body, content_type="application/json", headers=headers)


def test_a_hundred_lines_are_counted_and_answered_in_their_order(
    client: Client, service: dict[str, str], pro: Account
) -> None:
    lines = [("generations", 2, f"job-{number}") for number in range(100)]

    response = send(client, service, *lines, account=str(pro.pk))

    assert response.status_code == 200
    body = response.json()
    assert (body["account"], body["counted"], body["currency"]) == (str(pro.pk), 100, "usd")
    assert [line["used"] for line in body["lines"]] == list(range(2, 202, 2))
    assert body["lines"][99] | {"id": 0, "resets_at": ""} == {
        "status": "counted",
        "id": 0,
        "feature": "generations",
        "units": 2,
        "used": 200,
        "limit": 250,
        "remaining": 50,
        "resets_at": "",
        "replayed": False,
        "sources": [{"kind": "allowance", "units": 2, "amount": None}],
        "cost": 0,
        "currency": "usd",
    }
    again = send(client, service, *lines, account=str(pro.pk)).json()
    assert [line["id"] for line in again["lines"]] == [line["id"] for line in body["lines"]]
    assert UsageRecord.objects.count() == 100
    assert_books_agree(pro)


def test_all_or_nothing_answers_as_the_refused_line_would_alone(
    client: Client, own_key: dict[str, str]
) -> None:
    refused = send(client, own_key, ("generations", 200, "a"), ("generations", 51, "b"))
    problem = assert_problem(refused, 402, "allowance_exhausted")
    assert problem["line"] == 1
    assert problem["detail"].startswith(
        "None of the lines was counted. Line 1 (counted from 0) could not be counted after the lines before it: "
        "51 asked for, 50 left of 250."
    )
    first = send(client, own_key, ("generations", 251, "a"))
    assert assert_problem(first, 402, "allowance_exhausted")["detail"].startswith(
        "None of the lines was counted. Line 0 (counted from 0) could not be counted: 251 asked for, 250 left of 250."
    )

    missing = send(client, own_key, ("generations", 1, "a"), ("tokens", 1, "b"))
    assert assert_problem(missing, 403, "feature_not_included")["line"] == 1

    for line, status, code in [
        (("no such thing", 1, "b"), 404, "not_found"),
        (("queries", 0, "b"), 400, "invalid_units"),
        (("queries", 1.5, "b"), 400, "invalid_units"),
        (("queries", True, "b"), 400, "invalid_units"),
        (("queries", 1, "b\0"), 400, "invalid_idempotency_key"),
    ]:
        assert_problem(send(client, own_key, ("generations", 1, "a"), line), status, code)
    assert not UsageRecord.objects.exists()


def test_each_by_itself_says_which_were_refused_and_why(client: Client, own_key: dict[str, str]) -> None:
    response = send(
        client,
        own_key,
        ("generations", 200, "a"),
        ("generations", 51, "b"),
        ("queries", "many", "c"),
        ("generations", 50, "d"),
        mode="each",
    )

    assert response.status_code == 200
    lines = response.json()["lines"]
    assert [line["status"] for line in lines] == ["counted", "refused", "refused", "counted"]
    assert [line.get("code") for line in lines[1:3]] == ["allowance_exhausted", "invalid_units"]
    assert "50 left of 250" in lines[1]["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"lines": []},
        {"lines": [{"feature": "queries", "units": 1}]},
        {"lines": [{"feature": "queries", "units": 1, "idempotency_key": ""}]},
        {"lines": "queries"},
        {"lines": [{"feature": "queries", "idempotency_key": "a"}], "mode": "some"},
        {"lines": [{"feature": "queries", "idempotency_key": str(n)} for n in range(1001)]},
        {},
    ],
)
def test_what_is_no_batch_is_refused_with_what_to_do(
    client: Client, own_key: dict[str, str], body: dict[str, Any]
) -> None:
    response = client.post("/api/v1/usage/batch", body, content_type="application/json", headers=own_key)

    assert_problem(response, 400, "invalid_request")
    assert not UsageRecord.objects.exists()


def test_nobody_counts_for_somebody_elses_account(
    client: Client, own_key: dict[str, str], service: dict[str, str], alice: Any
) -> None:
    other = str(alice.personal_account.pk)

    assert_problem(send(client, own_key, ("generations", 1, "a"), account=other), 404, "not_found")
    assert_problem(send(client, service, ("generations", 1, "a")), 400, "account_required")
    unknown = "00000000-0000-4000-8000-000000000000"
    assert_problem(send(client, service, ("generations", 1, "a"), account=unknown), 404, "not_found")
    assert_problem(send(client, {}, ("generations", 1, "a")), 401, "unauthorized")
    assert not UsageRecord.objects.exists()
