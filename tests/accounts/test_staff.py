"""What staff see and do about people: lists, search, keys without secrets, commands, the demo's people."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import api_keys
from accounts.models import Account, ApiKey, Invitation, Member, User
from tests import factories
from tests.accounts.conftest import acting_for, log_in

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LISTS = ["user", "account", "member", "invitation", "apikey"]


@pytest.fixture
def something_of_everything(alice, account, bob, settings):
    settings.BILLING_CATALOG = "protocol"  # which limits nobody's members
    acting_for(account, alice).post(
        "/account/members/invite/", {"email": "nia@example.com", "role": "member"}
    )
    return api_keys.issue(kind="account", account=account, name="CI", now=NOW)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens_searches_and_leads_to_its_rows(as_dana, something_of_everything, name):
    model = {"user": User, "account": Account, "member": Member, "invitation": Invitation, "apikey": ApiKey}[
        name
    ]

    assert as_dana.get(f"/staff/accounts/{name}/").status_code == 200
    assert as_dana.get(f"/staff/accounts/{name}/", {"q": "alice' OR 1=1 --"}).status_code == 200
    for row in model.objects.all():
        assert as_dana.get(f"/staff/accounts/{name}/{row.pk}/change/").status_code == 200


def test_no_key_or_token_is_shown_to_staff(as_dana, something_of_everything):
    key, text = something_of_everything

    page = as_dana.get(f"/staff/accounts/apikey/{key.pk}/change/").content.decode()
    assert text not in page
    assert 'name="digest"' not in page
    invitation = Invitation.objects.get()
    page = as_dana.get(f"/staff/accounts/invitation/{invitation.pk}/change/").content.decode()
    assert invitation.token_digest not in page


def test_staff_revoke_a_key_and_it_stops_at_once(as_dana, something_of_everything):
    key, text = something_of_everything

    as_dana.post("/staff/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]})

    assert api_keys.find(key_text=text, now=NOW) is None


def test_staff_add_a_person_by_address(as_dana):
    as_dana.post(
        "/staff/accounts/user/add/",
        {
            "email": "new@example.com",
            "name": "New",
            "usable_password": "true",
            "password1": factories.PASSWORD,
            "password2": factories.PASSWORD,
        },
    )

    assert User.objects.filter(email="new@example.com").exists()


def test_customers_do_not_get_in(as_alice):
    assert as_alice.get("/staff/accounts/user/").status_code == 302


def test_staff_log_in_where_everybody_does_so_a_password_alone_does_not_pass_a_second_factor(dana):
    TOTP.activate(dana, generate_totp_secret())
    client = Client()

    page = client.get("/staff/", follow=True)
    assert page.redirect_chain[-1][0].startswith("/login/login/?next=")
    client.post("/staff/login/", {"username": dana.email, "password": factories.PASSWORD})
    assert client.get("/staff/").status_code == 302
    log_in(client, dana)
    assert client.get("/staff/").status_code == 302


def test_the_demos_people_are_made_once(db, settings):
    settings.DEMO = True
    call_command("seed_demo", stdout=StringIO())
    before = list(Member.objects.order_by("pk").values_list("user__email", "account__name", "role"))
    call_command("seed_demo", stdout=StringIO())

    assert list(Member.objects.order_by("pk").values_list("user__email", "account__name", "role")) == before
    assert dict(Account.objects.get(name="Okafor Labs").members.values_list("user__email", "role")) == {
        "ada@example.com": "owner",
        "ben@example.com": "admin",
        "mia@example.com": "member",
        "gil@example.com": "guest",
    }
    client = Client()
    log_in(client, User.objects.get(email="dana@example.com"), password="tallyhouse")
    assert client.get("/staff/").status_code == 200


def test_outside_the_demo_there_are_no_people_with_public_passwords(db, settings):
    settings.DEMO = False

    with pytest.raises(CommandError, match="public password"):
        call_command("seed_demo")
    assert not User.objects.exists()


def test_a_command_opens_an_account_whose_owner_can_sign_in(db, monkeypatch):
    monkeypatch.setenv("ACCOUNT_PASSWORD", factories.PASSWORD)
    out = StringIO()

    call_command("create_account", "eve@example.com", "--organization", "Eve Works", stdout=out)

    organization = Account.objects.get(name="Eve Works")
    assert str(organization.pk) in out.getvalue()
    client = Client()
    log_in(client, User.objects.get(email="eve@example.com"))
    assert client.get("/account/").status_code == 200


def test_the_command_refuses_what_is_not_an_address_or_a_password(db, monkeypatch):
    with pytest.raises(CommandError, match="is not an e-mail address"):
        call_command("create_account", "not-an-address")
    monkeypatch.setenv("ACCOUNT_PASSWORD", "12345")
    with pytest.raises(CommandError, match="too short"):
        call_command("create_account", "eve@example.com")
    assert not User.objects.exists()
