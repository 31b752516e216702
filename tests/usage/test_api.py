"""The API as another service meets it: keys, accounts, counting, refusals, and nothing of anybody else's."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import api_keys
from accounts.models import Account, ApiKey, Member, User
from billing.models import Customer
from tests.usage.conftest import NOON, opened, subscribe
from usage.models import UsageDay, UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def service() -> dict[str, str]:
    _, key = api_keys.issue(kind="service", name="the product", now=NOON)
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def pro(account: Account) -> Account:
    subscribe(account, "pro", anchor=yesterday())
    return account


@pytest.fixture
def own_key(pro: Account) -> dict[str, str]:
    _, key = api_keys.issue(kind="account", account=pro, name="a script", now=NOON)
    return {"Authorization": f"Bearer {key}"}


def yesterday() -> datetime:
    """The API lives in everybody's time, so what is bought for it is bought in that too."""
    return timezone.now() - timedelta(days=1)


def use(client: Client, headers: dict[str, str], **body: Any) -> Any:
    given = {"feature": "generations", "idempotency_key": uuid.uuid4().hex, **body}
    return client.post("/api/v1/usage", given, content_type="application/json", headers=headers)


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json"), (
        response.content
    )
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"].endswith((".", "…`."))
    return problem


def test_a_service_counts_for_an_account_and_reads_what_is_left(
    client: Client, service: dict[str, str], pro: Account
) -> None:
    response = use(client, service, account=str(pro.pk), units=3)

    assert response.status_code == 200
    receipt = response.json()
    assert receipt["account"] == str(pro.pk)
    assert (receipt["units"], receipt["used"], receipt["limit"], receipt["remaining"]) == (3, 3, 250, 247)
    assert receipt["replayed"] is False
    assert (response["X-Quota-Limit"], response["X-Quota-Remaining"]) == ("250", "247")
    assert int(response["X-Quota-Reset"]) > 0
    assert response["Cache-Control"] == "no-store"
    assert UsageRecord.objects.get().api_key.name == "the product"


def test_an_accounts_own_key_needs_no_account(client: Client, own_key: dict[str, str], pro: Account) -> None:
    assert use(client, own_key).json()["account"] == str(pro.pk)
    assert use(client, own_key, account=str(pro.pk)).json()["used"] == 2


def test_a_call_sent_twice_counts_once(client: Client, own_key: dict[str, str]) -> None:
    first = use(client, own_key, idempotency_key="job-7").json()
    again = use(client, own_key, idempotency_key="job-7").json()

    assert again == {**first, "replayed": True}


def test_the_key_of_an_act_may_come_as_a_header(client: Client, own_key: dict[str, str]) -> None:
    headers = {**own_key, "Idempotency-Key": "job-8"}

    assert use(client, headers, idempotency_key=None).json()["replayed"] is False
    assert use(client, own_key, idempotency_key="job-8").json()["replayed"] is True
    assert_problem(use(client, headers, idempotency_key="job-9"), 400, "invalid_idempotency_key")


def test_a_call_without_a_key_for_the_act_is_told_to_send_one(
    client: Client, own_key: dict[str, str]
) -> None:
    assert_problem(use(client, own_key, idempotency_key=None), 400, "invalid_idempotency_key")
    assert not UsageRecord.objects.exists()


def test_the_same_key_with_another_payload_is_a_conflict(client: Client, own_key: dict[str, str]) -> None:
    use(client, own_key, idempotency_key="job-7", units=1)

    assert_problem(use(client, own_key, idempotency_key="job-7", units=2), 409, "idempotency_conflict")


def test_a_used_up_allowance_is_402_with_everything_a_program_needs(
    client: Client, service: dict[str, str], account: Account
) -> None:
    use(client, service, account=str(account.pk), units=5)

    response = use(client, service, account=str(account.pk))

    problem = assert_problem(response, 402, "allowance_exhausted")
    assert (problem["used"], problem["limit"], problem["remaining"]) == (5, 5, 0)
    assert problem["reason"] == "allowance_exhausted"
    assert problem["feature"] == "generations"
    assert problem["comes_back_at"].endswith("Z")
    assert problem["upgrade_url"].endswith("/pricing/")
    assert (response["X-Quota-Limit"], response["X-Quota-Remaining"]) == ("5", "0")


def test_what_the_plan_does_not_have_is_403(
    client: Client, service: dict[str, str], account: Account
) -> None:
    problem = assert_problem(
        use(client, service, account=str(account.pk), feature="tokens"), 403, "feature_not_included"
    )

    assert problem["comes_back_at"] is None


@pytest.mark.parametrize("units", [0, -1, 1.5, 1e9 + 1, 10**30, "1", True, None, [], {}])
def test_units_that_are_no_count_are_400_and_count_nothing(
    client: Client, own_key: dict[str, str], units: Any
) -> None:
    assert_problem(use(client, own_key, units=units), 400, "invalid_units")

    assert not UsageRecord.objects.exists()


def test_units_that_are_not_a_number_at_all_count_nothing(client: Client, own_key: dict[str, str]) -> None:
    body = '{"feature": "generations", "idempotency_key": "k", "units": NaN}'
    response = client.post("/api/v1/usage", body, content_type="application/json", headers=own_key)

    assert_problem(response, 400, "invalid_units")


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '{"feature": 7}', '{"feature": "generations", "idempotency_key": "k", "plan": "pro"}',
     '{"feature": "generations", "idempotency_key": "\\ud800"}'],
)  # fmt: skip
def test_a_body_that_is_not_as_documented_is_400(client: Client, own_key: dict[str, str], body: str) -> None:
    response = client.post("/api/v1/usage", body, content_type="application/json", headers=own_key)

    assert_problem(response, 400, "invalid_request")


def test_an_unknown_feature_is_404(client: Client, own_key: dict[str, str]) -> None:
    assert_problem(use(client, own_key, feature="unicorns"), 404, "not_found")


@pytest.mark.parametrize("path", ["usage", "entitlements", "subscription"])
def test_another_accounts_id_is_404_as_if_it_did_not_exist(
    client: Client, own_key: dict[str, str], charlie: User, path: str
) -> None:
    others = client.get(f"/api/v1/{path}?account={charlie.personal_account.pk}", headers=own_key)
    nobodys = client.get(f"/api/v1/{path}?account={uuid.uuid4()}", headers=own_key)

    assert assert_problem(others, 404, "not_found") == nobodys.json()


def test_nothing_is_counted_for_another_account(
    client: Client, own_key: dict[str, str], charlie: User
) -> None:
    assert_problem(use(client, own_key, account=str(charlie.personal_account.pk)), 404, "not_found")

    assert not UsageRecord.objects.exists()


def test_a_service_key_must_name_an_account_that_exists(client: Client, service: dict[str, str]) -> None:
    assert_problem(use(client, service), 400, "account_required")
    assert_problem(use(client, service, account=str(uuid.uuid4())), 404, "not_found")


@pytest.mark.parametrize("path", ["usage", "entitlements", "subscription"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer "}, {"Authorization": "Bearer th_svc_nonsense"}, {"Authorization": "Basic eDp5"},
     {"Authorization": "Bearer th_svc_" + "0" * 36}],
)  # fmt: skip
def test_without_a_valid_key_nothing_is_shown(
    client: Client, db: None, path: str, headers: dict[str, str]
) -> None:
    response = client.get(f"/api/v1/{path}", headers=headers)

    assert_problem(response, 401, "unauthorized")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_key_that_cannot_be_one_costs_no_query(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        client.get("/api/v1/usage", headers={"Authorization": "Bearer th_svc_" + "0" * 36})


def test_a_revoked_key_is_refused_at_once(client: Client, own_key: dict[str, str]) -> None:
    assert use(client, own_key).status_code == 200
    api_keys.revoke(key=ApiKey.objects.get(), now=NOON)

    assert_problem(use(client, own_key), 401, "unauthorized")


def test_a_key_in_the_address_is_refused_even_beside_a_good_one(
    client: Client, own_key: dict[str, str]
) -> None:
    key = own_key["Authorization"].removeprefix("Bearer ")

    assert_problem(client.get(f"/api/v1/usage?api_key={key}", headers=own_key), 400, "key_in_url")
    assert_problem(client.get(f"/api/v1/usage?api_key={key}"), 400, "key_in_url")


def test_an_accounts_key_rests_while_its_plan_has_no_api_access(
    client: Client, own_key: dict[str, str], service: dict[str, str], pro: Account
) -> None:
    assert use(client, own_key).status_code == 200
    subscribe(pro, "pro", anchor=yesterday(), status="unpaid")

    assert_problem(use(client, own_key), 403, "feature_not_included")
    assert client.get(f"/api/v1/entitlements?account={pro.pk}", headers=service).status_code == 200

    subscribe(pro, "pro", anchor=yesterday())
    assert use(client, own_key).status_code == 200


def test_last_use_is_noted_once_a_minute(client: Client, own_key: dict[str, str]) -> None:
    use(client, own_key)
    first = ApiKey.objects.get().last_used_at
    use(client, own_key)

    assert first is not None
    assert ApiKey.objects.get().last_used_at == first


def test_a_logged_in_page_may_count_with_its_csrf_token_only(alice: User, account: Account) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    browser.get("/usage/")
    body = {"feature": "generations", "idempotency_key": "k"}

    assert browser.post("/api/v1/usage", body, content_type="application/json").status_code == 403
    assert not UsageRecord.objects.exists()

    browser.get("/demo/generate/")
    token = {"X-CSRFToken": browser.cookies["csrftoken"].value}
    assert (
        browser.post("/api/v1/usage", body, content_type="application/json", headers=token).status_code == 200
    )
    assert UsageRecord.objects.get().user == alice


def test_a_bad_key_gains_nothing_from_the_browsers_session(as_alice: Client) -> None:
    response = as_alice.get("/api/v1/usage", headers={"Authorization": "Bearer th_svc_" + "0" * 36})

    assert_problem(response, 401, "unauthorized")


def test_a_guest_reads_but_does_not_use(as_bob: Client, bob: User, account: Account) -> None:
    Member.objects.filter(user=bob, account=account).update(role="guest")
    session = as_bob.session
    session["account_id"] = str(account.pk)
    session.save()

    assert as_bob.get("/api/v1/usage").status_code == 200
    assert_problem(use(as_bob, {}), 403, "feature_not_included")


def test_acts_are_listed_newest_first_in_pages_that_neither_skip_nor_repeat(
    client: Client, own_key: dict[str, str], pro: Account
) -> None:
    for number in range(5):
        use(client, own_key, idempotency_key=f"job-{number}")
    seen, cursor = [], ""
    while True:
        page = client.get(f"/api/v1/usage?limit=2{cursor}", headers=own_key).json()
        seen += [act["idempotency_key"] for act in page["records"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert seen == [f"job-{number}" for number in (4, 3, 2, 1, 0)]
    balances = {balance["feature"]: balance["remaining"] for balance in page["balances"]}
    assert balances == {"generations": 245, "queries": 100, "documents": 20}


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=-1", "cursor=" + "9" * 30, "limit=0", "limit=101", "account=7"]
)
def test_a_query_that_is_not_as_documented_is_400(
    client: Client, own_key: dict[str, str], query: str
) -> None:
    assert_problem(client.get(f"/api/v1/usage?{query}", headers=own_key), 400, "invalid_request")


def test_entitlements_say_what_a_gate_needs(client: Client, own_key: dict[str, str], pro: Account) -> None:
    rights = client.get("/api/v1/entitlements", headers=own_key).json()

    assert rights["plan"] == {"key": "pro", "name": "Pro"}
    assert (rights["level"], rights["reason"], rights["seats"]) == ("full", "active", 1)
    assert rights["switches"] == {"api_access": True}
    assert rights["limits"] == {"projects": None}
    assert rights["allowances"]["generations"] == {"quantity": 250, "per": "month"}
    assert rights["metered"] == []


def test_subscription_says_what_was_bought(
    client: Client, own_key: dict[str, str], service: dict[str, str], pro: Account, charlie: User
) -> None:
    bought = client.get("/api/v1/subscription", headers=own_key).json()["subscription"]
    none = client.get(f"/api/v1/subscription?account={charlie.personal_account.pk}", headers=service).json()

    assert (bought["plan"]["key"], bought["status"], bought["cancel_at_period_end"]) == (
        "pro",
        "active",
        False,
    )
    assert none["subscription"] is None


def test_the_price_list_is_public(client: Client) -> None:
    listed = client.get("/api/v1/plans").json()

    assert [plan["key"] for plan in listed["plans"]] == ["free", "pro", "hundred", "payg", "boundless"]
    assert listed["plans"][1]["prices"][0] == {
        "lookup_key": "counting_pro_month",
        "amount": 500,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
        "per_seat": False,
        "meter": None,
    }


@pytest.mark.postgres
def test_a_keyed_call_costs_two_queries_the_key_and_the_counting(
    client: Client,
    service: dict[str, str],
    own_key: dict[str, str],
    pro: Account,
    django_assert_num_queries: Any,
) -> None:
    for headers in (service, own_key):
        use(client, headers, account=str(pro.pk))

        with django_assert_num_queries(2):
            assert use(client, headers, account=str(pro.pk)).status_code == 200


def test_when_the_check_fails_the_answer_is_503_and_nothing_is_counted(
    client: Client, own_key: dict[str, str]
) -> None:
    use(client, own_key)
    with connection.schema_editor() as editor:
        editor.alter_db_table(UsageDay, "usage_usageday", "usage_usageday_away")
    try:
        response = use(client, own_key, idempotency_key="again")
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(UsageDay, "usage_usageday_away", "usage_usageday")

    assert_problem(response, 503, "check_failed")
    assert response["Retry-After"] == "1"
    assert use(client, own_key, idempotency_key="again").json()["used"] == 2


def test_an_account_on_a_test_clock_is_told_its_own_time(
    client: Client, own_key: dict[str, str], pro: Account
) -> None:
    subscribe(pro, "pro", anchor=NOON - timedelta(days=1))
    Customer.objects.filter(account=pro).update(clock_now=NOON + timedelta(days=60))

    receipt = use(client, own_key).json()

    assert receipt["resets_at"] == "2027-02-19T12:00:00Z"


def test_the_documentation_is_a_page_without_foreign_scripts(client: Client) -> None:
    page = client.get("/api/v1/docs/").content.decode()
    schema = client.get("/api/v1/openapi.json").json()

    for path in schema["paths"]:
        assert path in page
    assert "cdn" not in page
    assert client.get("/api/v1/docs/", headers={"Authorization": "Bearer th_x"}).status_code == 200
    for noun in (
        "usage",
        "balances",
        "credits",
        "budgets",
        "reservations",
        "gauges",
        "slots",
        "entitlements",
    ):
        assert any(path.startswith(f"/api/v1/{noun}") for path in schema["paths"])


def test_a_receipt_says_where_the_units_came_from_and_what_they_cost(
    client: Client, service: dict[str, str], account: Account
) -> None:
    subscribe(account, "payg", anchor=NOON)

    receipt = use(client, service, account=str(account.pk), feature="tokens", units=3).json()

    assert receipt["sources"] == [{"kind": "paid", "units": 3, "amount": 150}]
    assert (receipt["cost"], receipt["currency"]) == (150, "usd")


def test_one_service_key_serves_many_accounts(client: Client, service: dict[str, str], alice: User) -> None:
    for number in range(1, 4):
        other = opened(alice)
        assert use(client, service, account=str(other.pk), units=number).json()["used"] == number
