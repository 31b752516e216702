"""A product's own pages behind gates: the samples of docs/integrating.md, run as they are printed."""

import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.urls import clear_url_caches, path
from django.utils import timezone

from accounts import api_keys
from accounts.models import Account, Member, User
from billing import suspension
from billing.gates import requires
from tests.usage.conftest import subscribe
from tests.usage.test_pages import acting_for, seen
from usage import metering
from usage.gates import held, limited, metered
from usage.models import Gauge, Reservation, Slot, UsageRecord
from usage.standing import gauges, slots

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLES = re.findall(r"```python\n(.*?)```", Path("docs/integrating.md").read_text(), re.S)
MACHINE = {"Accept": "application/problem+json"}


def page_of_the_product(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the product")


@metered(
    "test_runs", units=lambda request: int(request.POST["tests"]), key=lambda request: request.POST["job"]
)
def job(request: Any) -> HttpResponse:
    match request.POST.get("outcome"):
        case "crash":
            raise ZeroDivisionError
        case "error":
            return HttpResponse("It went wrong.", status=500)
        case "redirect":
            return HttpResponse(status=302, headers={"Location": "/app/done/"})
    return HttpResponse(f"{held(request).hold.units} held.")


@limited("projects")
def import_project(request: Any) -> HttpResponse:
    if request.POST.get("outcome") == "error":
        return HttpResponse("This file cannot be read.", status=422)
    return HttpResponse("Imported.")


@requires("no_such_switch")
def mistyped(request: Any) -> HttpResponse:
    return HttpResponse("never")


@pytest.fixture
def inside() -> dict[str, Any]:
    """The sample of a product inside the project, as it is printed."""
    sample: dict[str, Any] = {"__name__": "testing.views"}
    exec(SAMPLES[0], sample)
    return sample


@pytest.fixture(autouse=True)
def _product(settings: Any, inside: dict[str, Any]) -> Iterator[None]:
    from config import urls

    settings.BILLING_CATALOG = "automation"
    product = ModuleType("tests_product_urls")
    product.urlpatterns = [  # type: ignore[attr-defined]
        *inside["urlpatterns"],
        path("app/job/", job),
        path("app/import/", import_project),
        path("app/mistyped/", mistyped),
        path("app/", page_of_the_product),
        path("open/", page_of_the_product),
        *urls.urlpatterns,
    ]
    sys.modules[product.__name__] = product
    settings.ROOT_URLCONF = product.__name__
    clear_url_caches()
    yield
    del sys.modules[product.__name__]
    clear_url_caches()


@pytest.fixture
def browser(as_alice: Client, account: Account) -> Client:
    return acting_for(account, as_alice)


@pytest.fixture
def team(account: Account) -> Account:
    subscribe(account, "team", anchor=timezone.now() - timedelta(days=1))
    return account


def runs_left(account: Account) -> int | None:
    return metering.balance(account, "test_runs", now=timezone.now()).remaining


# --- The samples


def test_the_samples_are_short() -> None:
    inside, _, beside = SAMPLES

    assert max(len(sample.strip().splitlines()) for sample in (inside, beside)) < 40


def test_the_product_inside_makes_projects_until_the_plan_has_no_room(
    browser: Client, account: Account
) -> None:
    assert browser.post("/app/projects/", {"name": "one"}).status_code == 201
    refused = browser.post("/app/projects/", {"name": "two"})

    assert refused.status_code == 402
    assert "1 project asked for, 0 projects left of 1 project." in seen(refused)
    assert 'href="http://testserver/pricing/"' in refused.content.decode()
    assert browser.post("/app/projects/", {"name": "one"}).status_code == 201
    assert Gauge.objects.get().value == 1


def test_the_product_inside_counts_the_tests_that_were_run(browser: Client, account: Account) -> None:
    response = browser.post("/app/runs/", {"run": "1", "test": ["a", "b", "c"]})

    assert response.content == b"3 tests were run."
    assert runs_left(account) == 97
    assert UsageRecord.objects.get().user == account.members.get().user
    assert not Slot.objects.exists()


def test_the_product_inside_runs_one_at_a_time_on_free(browser: Client, account: Account) -> None:
    slots.take(account=account, feature="concurrent_runs", key="another", now=timezone.now())

    refused = browser.post("/app/runs/", {"run": "1", "test": ["a"]}, headers=MACHINE)

    assert (refused.status_code, refused.json()["code"]) == (402, "limit_reached")
    assert runs_left(account) == 100


def test_the_product_inside_has_single_sign_on_where_the_plan_includes_it(
    browser: Client, account: Account
) -> None:
    refused = browser.get("/app/sso/")
    assert refused.status_code == 403
    assert "Free does not include Single sign-on. Choose a plan that does." in seen(refused)

    subscribe(account, "enterprise", anchor=timezone.now())

    assert browser.get("/app/sso/").content == b"Set up single sign-on here."


def test_the_product_beside_holds_runs_and_settles(
    account: Account, live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = api_keys.issue(kind="service", name="the product", now=timezone.now())
    monkeypatch.setenv("TALLYHOUSE_URL", live_server.url)
    monkeypatch.setenv("TALLYHOUSE_KEY", key)
    beside: dict[str, Any] = {}
    exec(SAMPLES[2], beside)

    receipt = beside["run_tests"](str(account.pk), "job-1", lambda: 4)
    again = beside["run_tests"](str(account.pk), "job-1", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        beside["run_tests"](str(account.pk), "job-2", lambda: 1 / 0)

    assert (receipt["units"], receipt["remaining"]) == (4, 96)
    assert (again["state"], again["settled_units"]) == ("settled", 4)
    assert runs_left(account) == 96
    assert not Slot.objects.exists()
    slots.take(account=account, feature="concurrent_runs", key="another", now=timezone.now())
    with pytest.raises(beside["Refused"]) as refused:
        beside["run_tests"](str(account.pk), "job-3", lambda: 4)
    assert refused.value.args[0]["code"] == "limit_reached"
    assert runs_left(account) == 96


def test_a_task_holds_around_its_work(account: Account) -> None:
    class Job:
        pk = 7

        def run(self) -> int:
            return 6

    names = {
        "metering": metering,
        "account": account,
        "job": Job(),
        "clock": __import__("billing.clock").clock,
    }
    exec(SAMPLES[1], names)

    assert runs_left(account) == 94


# --- Work that is metered


@pytest.mark.parametrize("outcome", ["", "redirect"])
def test_work_that_is_done_counts_all_that_was_held_unless_it_says_otherwise(
    browser: Client, account: Account, outcome: str
) -> None:
    browser.post("/app/job/", {"job": "1", "tests": "5", "outcome": outcome})

    assert runs_left(account) == 95


@pytest.mark.parametrize("outcome", ["crash", "error"])
def test_work_that_fails_counts_nothing(browser: Client, account: Account, outcome: str) -> None:
    browser.raise_request_exception = False

    response = browser.post("/app/job/", {"job": "1", "tests": "5", "outcome": outcome})

    assert response.status_code == 500
    assert runs_left(account) == 100
    assert Reservation.objects.get().state == "released"


def test_the_same_job_sent_twice_is_done_once(browser: Client, account: Account) -> None:
    browser.post("/app/job/", {"job": "1", "tests": "5"})

    again = browser.post("/app/job/", {"job": "1", "tests": "5"})

    assert again.status_code == 409
    assert "This was begun before" in seen(again)
    assert runs_left(account) == 95


def test_too_many_are_refused_and_the_work_is_not_begun(browser: Client, account: Account) -> None:
    page = browser.post("/app/job/", {"job": "1", "tests": "101", "outcome": "crash"})
    problem = browser.post("/app/job/", {"job": "1", "tests": "101", "outcome": "crash"}, headers=MACHINE)

    assert page.status_code == problem.status_code == 402
    assert "101 asked for, 100 left of 100." in seen(page)
    assert problem["Content-Type"] == "application/problem+json"
    said = problem.json()
    assert (said["code"], said["used"], said["limit"], said["remaining"]) == (
        "allowance_exhausted",
        0,
        100,
        100,
    )
    assert said["upgrade_url"] == "http://testserver/pricing/"
    assert said["comes_back_at"].endswith("Z")
    assert not Reservation.objects.exists()


def test_what_other_work_holds_is_not_called_used(browser: Client, account: Account) -> None:
    metering.reserve(
        account=account, feature="test_runs", units=98, idempotency_key="other", now=timezone.now()
    )

    page = browser.post("/app/job/", {"job": "1", "tests": "5"})
    problem = browser.post("/app/job/", {"job": "1", "tests": "5"}, headers=MACHINE).json()

    assert "Not enough is left just now" in seen(page)
    assert "5 asked for, 2 left of 100 (0 used, 98 held by work that is going on)." in seen(page)
    assert "All that your plan gives is used" not in seen(page)
    assert (problem["used"], problem["reserved"], problem["remaining"]) == (0, 98, 2)


def test_a_member_who_cannot_buy_is_told_whom_to_ask(as_bob: Client, bob: User, account: Account) -> None:
    browser = acting_for(account, as_bob)

    page = browser.post("/app/job/", {"job": "1", "tests": "101"})

    assert "Ask Alice : they can change the plan of Alice & Co." in seen(page).replace("&amp;", "&")
    assert "See plans and prices" not in seen(page)


def test_a_guest_is_told_that_guests_look(as_bob: Client, bob: User, account: Account) -> None:
    Member.objects.filter(account=account, user=bob).update(role=Member.Role.GUEST)
    browser = acting_for(account, as_bob)

    for address in ("/app/job/", "/app/import/"):
        page = browser.post(address, {"job": "1", "tests": "1"})
        assert page.status_code == 403
        assert "Guests look but do not use" in seen(page)


def test_an_account_on_hold_is_told_so(browser: Client, account: Account) -> None:
    suspension.suspend(account=account, reason="fraud", now=timezone.now())

    for address in ("/app/job/", "/app/import/"):
        page = browser.post(address, {"job": "1", "tests": "1"})
        assert page.status_code == 403
        assert "This account is on hold" in seen(page)
        assert "See plans and prices" not in seen(page)


def test_what_cannot_be_checked_is_not_done(browser: Client, account: Account, settings: Any) -> None:
    browser.post("/app/job/", {"job": "1", "tests": "1"})
    settings.BILLING_CATALOG = "/nowhere/catalog.toml"

    response = browser.post("/app/job/", {"job": "2", "tests": "1"}, headers=MACHINE)

    assert (response.status_code, response.json()["code"]) == (503, "check_failed")
    assert response["Retry-After"] == "1"
    assert UsageRecord.objects.count() == 1


def test_a_visitor_signs_in_first(client: Client) -> None:
    for address in ("/app/job/", "/app/import/", "/app/sso/"):
        response = client.post(address)
        assert response.status_code == 302
        assert response["Location"].startswith("/login/")


# --- Room for things


def test_a_thing_that_was_not_made_takes_no_room(browser: Client, account: Account) -> None:
    assert browser.post("/app/import/", {"outcome": "error"}).status_code == 422
    assert gauges.state(account, "projects", timezone.now()).used == 0

    assert browser.post("/app/import/").content == b"Imported."
    assert browser.post("/app/import/").status_code == 402


# --- Switches


def test_a_switch_that_does_not_exist_is_a_mistake_and_opens_nothing(browser: Client) -> None:
    browser.raise_request_exception = False

    assert browser.get("/app/mistyped/").status_code == 500


def test_templates_ask_what_the_account_has(browser: Client, account: Account) -> None:
    subscribe(account, "enterprise", anchor=timezone.now())
    request = browser.get("/app/sso/").wsgi_request

    assert shown(request) == "sso runs projects "


def test_templates_of_those_who_have_less_show_less(
    browser: Client, account: Account, client: Client
) -> None:
    assert shown(browser.get("/app/").wsgi_request) == "runs projects "
    assert shown(client.get("/pricing/").wsgi_request) == ""
    suspension.suspend(account=account, reason="fraud", now=timezone.now())
    assert shown(browser.get("/app/").wsgi_request) == ""


def shown(request: Any) -> str:
    words = {"sso": "sso", "test_runs": "runs", "projects": "projects", "no_such_thing": "never"}
    text = "".join(f"{{% if entitlements.{key} %}}{word} {{% endif %}}" for key, word in words.items())
    return str(engines["django"].from_string(text).render({}, request))


# --- Pages that need a plan


@pytest.fixture
def closed(settings: Any) -> None:
    settings.SUBSCRIPTION_REQUIRED_PATHS = ["/"]
    settings.SUBSCRIPTION_OPEN_PATHS = ["/open/"]


def test_without_the_setting_every_page_is_open(browser: Client) -> None:
    assert browser.get("/app/").content == b"the product"


def test_a_page_that_needs_a_plan_sends_who_has_none_to_the_plans(browser: Client, closed: None) -> None:
    response = browser.get("/app/")

    assert (response.status_code, response["Location"]) == (302, "/pricing/")
    said = [str(message) for message in get_messages(response.wsgi_request)]
    assert said == ["This needs a plan. Choose a plan to go on; nothing of yours is lost."]


def test_a_lapsed_subscription_is_sent_to_the_billing_page(
    browser: Client, team: Account, closed: None
) -> None:
    assert browser.get("/app/").content == b"the product"
    subscribe(team, "team", anchor=timezone.now() - timedelta(days=9), status="unpaid")

    assert browser.get("/app/")["Location"] == "/billing/"


def test_payment_grace_is_a_plan(browser: Client, account: Account, closed: None) -> None:
    now = timezone.now()
    subscribe(account, "team", anchor=now - timedelta(days=30), status="past_due", first_failed_at=now)

    assert browser.get("/app/").content == b"the product"


def test_a_form_that_was_sent_is_not_sent_elsewhere(browser: Client, closed: None) -> None:
    page = browser.post("/app/projects/", {"name": "one"})

    assert page.status_code == 402
    assert "This needs a plan" in seen(page)
    assert not Gauge.objects.exists()


def test_a_program_gets_a_problem(browser: Client, closed: None) -> None:
    response = browser.get("/app/", headers=MACHINE)

    assert (response.status_code, response.json()["code"]) == (402, "subscription_required")


def test_a_member_who_cannot_buy_reads_whom_to_ask(
    as_bob: Client, bob: User, account: Account, closed: None
) -> None:
    page = acting_for(account, as_bob).get("/app/")

    assert page.status_code == 402
    assert "Ask Alice" in seen(page)


def test_what_settles_the_bill_stays_open(browser: Client, client: Client, closed: None, dana: User) -> None:
    for address in ("/billing/", "/pricing/", "/usage/", "/account/members/", "/login/email/", "/open/"):
        assert browser.get(address).status_code == 200, address
    assert browser.get("/api/v1/entitlements").status_code == 200
    assert client.get("/login/login/").status_code == 200
    assert client.get("/healthz").status_code == 200
    assert client.get("/app/").content == b"the product"
