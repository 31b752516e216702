"""Keys a customer makes: shown once, only as far as ticked, rolled with an overlap, refused at once when revoked."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client

from accounts.models import ApiKey
from billing import grants
from tests import factories
from tests.accounts.conftest import acting_for

EVERYTHING = ["read", "usage:write", "limits:write", "budgets:write"]


@pytest.fixture
def on_a_plan_with_keys(account, settings):
    settings.BILLING_CATALOG = "hybrid"
    grants.give(
        account=account,
        plan_key="team",
        kind="comped",
        reason="a friend of the house",
        now=datetime.now(UTC),
    )


@pytest.fixture
def alice_at_work(alice, account, on_a_plan_with_keys):
    return acting_for(account, alice)


def make(client, *, name="CI", scopes=EVERYTHING, days=0):
    return client.post("/account/keys/new/", {"name": name, "scopes": scopes, "days": days})


def key_on(page):
    found = re.search(r"th_acct_[0-9A-Za-z]{36}", page.content.decode())
    assert found, page.content.decode()
    return found[0]


def ask(key_text):
    return Client().get("/api/v1/entitlements", HTTP_AUTHORIZATION=f"Bearer {key_text}")


def count(key_text):
    return Client().post(
        "/api/v1/usage",
        {"feature": "tokens", "idempotency_key": "one"},
        content_type="application/json",
        HTTP_AUTHORIZATION=f"Bearer {key_text}",
    )


def test_i_make_a_key_see_it_once_and_call_the_api_with_it(alice_at_work):
    page = make(alice_at_work)
    key_text = key_on(page)

    assert "shown this once" in page.content.decode()
    assert page["Cache-Control"].find("no-store") >= 0
    assert ask(key_text).status_code == 200
    listed = alice_at_work.get("/account/keys/").content.decode()
    assert key_text not in listed
    assert key_text[:14] in listed
    assert "by Alice" in listed


def test_sending_the_form_twice_makes_one_key(alice_at_work):
    make(alice_at_work)

    again = make(alice_at_work)

    assert again.status_code == 422
    assert "A key of this name works already" in again.content.decode()
    assert ApiKey.objects.count() == 1


def test_a_new_key_begins_with_reading_alone_and_the_form_says_what_each_scope_does(alice_at_work):
    page = alice_at_work.get("/account/keys/").content.decode()

    ticked = re.findall(r'<input type="checkbox" name="scopes" value="([a-z:]+)"[^>]*checked', page)
    assert ticked == ["read"]
    assert "It changes nothing and costs nothing." in page
    assert "It uses up what the account has, or what it pays for." in page


def test_a_key_may_do_what_was_ticked_and_nothing_else(alice_at_work):
    key_text = key_on(make(alice_at_work, name="dashboard", scopes=["read"]))

    refused = count(key_text)

    assert ask(key_text).status_code == 200
    assert refused.status_code == 403
    assert refused.json()["code"] == "scope_missing"
    assert refused.json()["scope"] == "usage:write"
    assert "dashboard" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": ""}, "This field is required"),
        ({"scopes": []}, "Tick at least one"),
        ({"scopes": ["root"]}, "root"),
        ({"days": 12345}, "12345"),
    ],
)
def test_a_form_with_mistakes_says_so_and_makes_nothing(alice_at_work, typed, said):
    page = make(alice_at_work, **typed)

    assert page.status_code == 422
    assert said in page.content.decode()
    assert not ApiKey.objects.exists()


def test_a_rolled_key_works_for_the_overlap_and_not_a_moment_longer(alice_at_work):
    now = datetime.now(UTC)
    with time_machine.travel(now, tick=False):
        old_text = key_on(make(alice_at_work, scopes=["read"]))
        old = ApiKey.objects.get()
        page = alice_at_work.post(f"/account/keys/{old.pk}/roll/", {"hours": 1})
    new_text = key_on(page)

    assert new_text != old_text
    with time_machine.travel(now + timedelta(minutes=59), tick=False):
        assert (ask(old_text).status_code, ask(new_text).status_code) == (200, 200)
    with time_machine.travel(now + timedelta(hours=1), tick=False):
        assert (ask(old_text).status_code, ask(new_text).status_code) == (401, 200)
    new = ApiKey.objects.get(replaces=old)
    assert (new.name, new.scopes, new.expires_at) == ("CI", ["read"], None)


def test_rolling_twice_or_a_key_that_is_gone_changes_nothing(alice_at_work):
    make(alice_at_work)
    old = ApiKey.objects.get()
    alice_at_work.post(f"/account/keys/{old.pk}/roll/", {"hours": 24})

    again = alice_at_work.post(f"/account/keys/{old.pk}/roll/", {"hours": 168}, follow=True)

    assert "nothing to change" in again.content.decode()
    assert ApiKey.objects.count() == 2


def test_a_key_rolled_without_an_overlap_is_refused_at_once(alice_at_work):
    old_text = key_on(make(alice_at_work))

    page = alice_at_work.post(f"/account/keys/{ApiKey.objects.get().pk}/roll/", {"hours": 0})

    assert "refused from now on" in page.content.decode()
    assert ask(old_text).status_code == 401


def test_the_very_next_call_of_a_revoked_key_is_refused(alice_at_work):
    key_text = key_on(make(alice_at_work))
    assert ask(key_text).status_code == 200

    page = alice_at_work.post(f"/account/keys/{ApiKey.objects.get().pk}/revoke/", follow=True)

    assert "refused from the next call on" in page.content.decode()
    assert ask(key_text).status_code == 401


def test_a_key_with_a_last_day_stops_then(alice_at_work):
    now = datetime.now(UTC)
    with time_machine.travel(now, tick=False):
        key_text = key_on(make(alice_at_work, days=30))
    with time_machine.travel(now + timedelta(days=29, hours=23), tick=False):
        assert ask(key_text).status_code == 200
    with time_machine.travel(now + timedelta(days=30), tick=False):
        assert ask(key_text).status_code == 401


def test_without_api_access_no_key_is_made_and_the_page_says_which_way_leads_there(alice, account, settings):
    settings.BILLING_CATALOG = "hybrid"  # its Free has no API access
    alice_at_work = acting_for(account, alice)

    page = make(alice_at_work)

    assert page.status_code == 403
    assert "does not include API access" in page.content.decode()
    assert not ApiKey.objects.exists()


def test_members_and_strangers_neither_see_nor_touch_keys(
    alice_at_work, bob, as_charlie, account, on_a_plan_with_keys
):
    make(alice_at_work)
    key = ApiKey.objects.get()
    bob_at_work = acting_for(account, bob)

    assert bob_at_work.get("/account/keys/").status_code == 403
    assert make(bob_at_work, name="mine").status_code == 403
    for act in ("roll", "revoke"):
        assert bob_at_work.post(f"/account/keys/{key.pk}/{act}/", {"hours": 1}).status_code == 403
        assert as_charlie.post(f"/account/keys/{key.pk}/{act}/", {"hours": 1}).status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None
    assert ApiKey.objects.count() == 1
    assert Client().get("/account/keys/").status_code == 302


def test_one_account_cannot_fill_the_list_for_ever(alice_at_work, account, monkeypatch):
    monkeypatch.setattr("accounts.api_keys.MOST_KEYS", 2)
    make(alice_at_work, name="one")
    make(alice_at_work, name="two")

    page = make(alice_at_work, name="three")

    assert "2 keys is the most" in page.content.decode()
    assert factories.organization(owner=account.members.get(role="owner").user).api_keys.count() == 0


def test_each_line_of_the_list_reads_by_itself_because_a_phone_has_no_headings(alice_at_work):
    make(alice_at_work, scopes=["read"])

    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", alice_at_work.get("/account/keys/").content.decode()))

    assert "read Never used Works until it is revoked" in words
