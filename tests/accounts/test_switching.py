"""Acting for one account or another, and keeping each one's settings."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, Member, User
from billing import catalog, grants
from tests import factories
from tests.accounts.conftest import acting_for, log_in


def test_i_start_in_my_personal_account_and_switch_to_the_organization(as_alice, account):
    assert 'value="Alice"' in as_alice.get("/account/").content.decode()

    page = as_alice.post("/account/switch/", {"account": str(account.pk), "next": "/account/"}, follow=True)

    assert page.redirect_chain == [("/account/", 302)]
    assert 'value="Alice &amp; Co"' in page.content.decode()
    assert 'value="Alice &amp; Co"' in as_alice.get("/account/").content.decode()


def test_i_cannot_switch_to_an_account_that_is_not_mine(as_charlie, account):
    for wanted in (str(account.pk), "nonsense", "", "00000000-0000-0000-0000-000000000000"):
        assert as_charlie.post("/account/switch/", {"account": wanted}).status_code == 404
    assert "Alice" not in as_charlie.get("/account/").content.decode()


def test_switching_never_leads_to_another_site(as_alice, account):
    for evil in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        answer = as_alice.post("/account/switch/", {"account": str(account.pk), "next": evil})
        assert answer["Location"] == "/"


def given_a_plan(account):
    plan = next(plan for plan in catalog.current().for_sale() if not plan.is_free)
    grants.give(account=account, plan_key=plan.key, kind="comped", reason="A friend", now=timezone.now())


def signed_in(user):
    """In a browser that has never been here."""
    client = Client()
    log_in(client, user)
    return client


def test_signing_in_anywhere_begins_with_the_account_i_used_last(alice, account):
    acting_for(account, alice)
    assert 'value="Alice &amp; Co"' in signed_in(alice).get("/account/").content.decode()

    acting_for(alice.personal_account, alice)
    assert 'value="Alice"' in signed_in(alice).get("/account/").content.decode()


def test_signing_in_says_who_i_am_and_for_whom_i_act(alice, account):
    acting_for(account, alice)
    client = Client()

    page = client.post("/login/login/", {"login": alice.email, "password": factories.PASSWORD}, follow=True)

    assert "You are signed in as alice@example.com and act for Alice &amp; Co." in page.content.decode()


def test_what_another_browser_chose_does_not_move_the_one_i_am_in(alice, account):
    here = acting_for(alice.personal_account, alice)

    acting_for(account, alice)

    assert 'value="Alice"' in here.get("/account/").content.decode()


def test_nor_one_in_which_i_only_signed_in(alice, account):
    acting_for(alice.personal_account, alice)
    here = signed_in(alice)
    assert 'value="Alice"' in here.get("/account/").content.decode()

    acting_for(account, alice)

    assert 'value="Alice"' in here.get("/account/").content.decode()


def test_who_never_chose_begins_with_the_only_account_that_has_a_paid_plan(alice, bob, account):
    given_a_plan(account)

    for person in (alice, bob):
        assert "Alice &amp; Co" in signed_in(person).get("/account/").content.decode()


def test_with_two_paid_plans_or_as_a_guest_i_begin_with_my_own_account(alice, charlie, account):
    other = factories.organization(owner=alice, name="Second")
    for paying in (account, other):
        given_a_plan(paying)
    Member.objects.create(account=account, user=charlie, role="guest", joined_at=timezone.now())

    assert 'value="Alice"' in signed_in(alice).get("/account/").content.decode()
    assert 'value="Charlie"' in signed_in(charlie).get("/account/").content.decode()


def test_who_was_removed_from_the_account_used_last_begins_with_their_own(bob, account):
    acting_for(account, bob)
    Member.objects.filter(account=account, user=bob).delete()

    assert 'value="Bob"' in signed_in(bob).get("/account/").content.decode()


def test_a_chosen_account_survives_the_next_visit(alice, account):
    client = acting_for(account, alice)

    assert "Alice &amp; Co" in client.get("/account/").content.decode()


def test_an_admin_sets_name_billing_address_and_time_zone(alice, account):
    acting_for(account, alice).post(
        "/account/", {"name": "Alice Ltd", "billing_email": "money@alice.example", "timezone": "Europe/Oslo"}
    )

    account.refresh_from_db()
    assert (account.name, account.email, account.timezone) == (
        "Alice Ltd",
        "money@alice.example",
        "Europe/Oslo",
    )


def test_a_time_zone_that_does_not_exist_is_refused(alice, account):
    answer = acting_for(account, alice).post("/account/", {"name": "A", "timezone": "Mars/Olympus"})

    assert answer.status_code == 422
    assert "<title>Error: " in answer.content.decode()
    account.refresh_from_db()
    assert account.timezone == "UTC"


def test_fields_that_were_not_on_the_form_change_nothing(alice, account):
    acting_for(account, alice).post(
        "/account/", {"name": "A", "timezone": "UTC", "kind": "personal", "person": alice.pk, "id": "1"}
    )

    account.refresh_from_db()
    assert (account.kind, account.person) == ("organization", None)


def test_a_member_reads_the_settings_and_is_told_who_may_change_them(bob, account):
    client = acting_for(account, bob)

    assert "Owners and admins can change these" in client.get("/account/").content.decode()
    answer = client.post("/account/", {"name": "Bob's now", "timezone": "UTC"})

    assert answer.status_code == 403
    assert "Ask <strong>Alice</strong>: they can do it" in answer.content.decode()
    account.refresh_from_db()
    assert account.name == "Alice & Co"


def test_a_guest_of_one_organization_still_has_everything_of_their_own(charlie, account):
    Member.objects.create(account=account, user=charlie, role="guest", joined_at=timezone.now())

    client = acting_for(account, charlie)

    assert "Your role</dt><dd>Guest" in client.get("/account/").content.decode()
    client.post("/account/switch/", {"account": str(charlie.personal_account.pk)})
    assert '<button class="btn go" type="submit">Save' in client.get("/account/").content.decode()


def test_who_belongs_to_no_account_opens_one(client, db):
    user = User.objects.create_superuser("root@example.com", factories.PASSWORD)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")

    page = client.get("/account/", follow=True)
    assert "You have no account yet" in page.content.decode()
    client.post("/account/none/")

    assert Account.objects.get(person=user).name == "root"
    assert client.get("/account/").status_code == 200


def test_a_strangers_visit_ends_at_the_sign_in_page(client, db):
    for path in ("/account/", "/account/members/", "/profile/", "/organizations/new/"):
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer["Location"] == f"/login/login/?next={path}"


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "{{7*7}}", "‮evil", "x" * 120])
def test_a_strange_name_is_shown_as_it_was_typed(alice, account, name):
    client = acting_for(account, alice)
    client.post("/account/", {"name": name, "timezone": "UTC"})

    page = client.get("/account/members/").content.decode()

    assert "<script>alert" not in page
    account.refresh_from_db()
    assert account.name == name


def test_a_name_of_ten_thousand_letters_is_refused(alice, account):
    assert (
        acting_for(account, alice).post("/account/", {"name": "x" * 10_000, "timezone": "UTC"}).status_code
        == 422
    )


def test_a_page_asks_twice_who_belongs_where_once_to_check_and_once_for_the_switcher(alice, account):
    client = acting_for(account, alice)

    with CaptureQueriesContext(connection) as asked:
        client.get("/organizations/new/")

    # The count of new notifications looks at memberships too, inside its own query.
    assert len([query for query in asked if query["sql"].startswith('SELECT "accounts_member"')]) <= 2


@pytest.mark.parametrize(
    ("came_from", "back"),
    [
        ("http://testserver/billing/change/?seats=5", "/billing/change/%3Fseats%3D5"),
        ("https://elsewhere.example/billing/", "/"),
        ("http://testserver//elsewhere.example/", "/"),
        ("", "/"),
    ],
)
def test_a_button_pressed_after_the_session_ended_leads_back_to_its_page(client, db, came_from, back):
    answer = client.post("/billing/resume/", headers={"Referer": came_from} if came_from else {})

    assert answer.status_code == 302
    assert answer["Location"].split("?next=")[1] == back


@pytest.mark.parametrize(
    "address", ["/billing/resume/", "/billing/portal/", "/account/switch/", "/usage/budgets/set/"]
)
def test_a_button_s_address_opened_as_a_page_says_what_to_do(as_alice, address):
    page = as_alice.get(address)

    assert page.status_code == 405
    assert "Go back to the page with the button" in page.content.decode()
    assert "POST" in page["Allow"]


def test_programs_that_use_the_wrong_method_get_no_page(as_alice):
    assert as_alice.get("/billing/resume/", headers={"Accept": "application/json"}).content == b""
    assert as_alice.put("/billing/resume/").content == b""


@pytest.mark.parametrize(
    "address", ["/no-such-page/", "/no-such-page", "/offer/nonsense/", "/billing/change/7/"]
)
def test_what_the_demo_has_not_is_said_in_our_own_words(as_alice, settings, address):
    settings.DEBUG, settings.DEMO = True, True

    page = as_alice.get(address, follow=True)

    assert page.status_code == 404
    assert "There is no such page" in page.content.decode()
    assert "URLconf" not in page.content.decode()


def test_a_program_at_a_wrong_address_is_not_sent_to_a_page(client, db):
    assert client.post("/api/v1/nothing", {}, content_type="application/json").status_code == 404
    assert client.get("/api/v1/nothing").status_code == 404
