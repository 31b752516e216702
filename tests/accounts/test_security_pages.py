"""Second factor, addresses, password, sessions: allauth's pages in our look."""

import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.test import Client

from tests import factories
from tests.accounts.conftest import log_in

PAGES = ["/login/email/", "/login/password/change/", "/login/2fa/", "/login/sessions/", "/profile/"]


@pytest.fixture
def signed_in(alice):
    client = Client()
    log_in(client, alice)
    return client


@pytest.mark.parametrize("path", PAGES)
def test_every_page_about_me_opens_in_our_look(signed_in, path):
    page = signed_in.get(path).content.decode()

    assert 'aria-label="Your profile"' in page
    assert f'href="{path}" aria-current="page"' in page


@pytest.mark.parametrize("path", ["/login/login/", "/login/signup/", "/login/password/reset/"])
def test_the_pages_at_the_door_carry_no_inline_style_or_script(client, db, path):
    page = client.get(path).content.decode()

    assert '<main id="main" class="door"' in page
    assert 'style="' not in page
    assert not re.search(r"<script(?![^>]*(src=|application/json))", page)


def _turn_on_second_factor(client):
    asks_again = client.get("/login/2fa/totp/activate/", follow=True)
    assert "Enter your password:" in asks_again.content.decode()  # a borrowed browser is not enough
    page = client.post(asks_again.redirect_chain[-1][0], {"password": factories.PASSWORD}, follow=True)
    secret = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page.content.decode())[1]
    client.post("/login/2fa/totp/activate/", {"code": _current_code(secret)})
    return secret


def _current_code(secret):
    return totp.format_hotp_value(totp.hotp_value(secret, next(totp.yield_hotp_counters_from_time())))


def test_i_turn_on_a_second_factor_and_need_it_from_then_on(signed_in, alice):
    secret = _turn_on_second_factor(signed_in)

    assert secret not in str(list(Authenticator.objects.values()))  # a copy of the database opens nothing
    codes = signed_in.get("/login/2fa/recovery-codes/").content.decode()
    recovery_code = re.search(r"<textarea[^>]*>\s*(\w+)", codes)[1]

    fresh = Client()
    log_in(fresh, alice)
    assert fresh.get("/profile/").status_code == 302
    fresh.post("/login/2fa/authenticate/", {"code": "000000"})
    assert fresh.get("/profile/").status_code == 302
    fresh.post("/login/2fa/authenticate/", {"code": recovery_code})
    assert fresh.get("/profile/").status_code == 200


def test_a_second_factor_outlives_a_change_of_the_secret_key(signed_in, alice, settings):
    secret = _turn_on_second_factor(signed_in)

    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a-new-key-" + "n" * 50

    assert Authenticator.objects.get(user=alice, type="totp").wrap().validate_code(_current_code(secret))


def test_i_change_my_password(signed_in, alice):
    signed_in.post(
        "/login/password/change/",
        {
            "oldpassword": factories.PASSWORD,
            "password1": "quite another one",
            "password2": "quite another one",
        },
    )

    fresh = Client()
    log_in(fresh, alice, password="quite another one")
    assert fresh.get("/profile/").status_code == 200


def test_i_sign_out_by_a_button_and_a_link_alone_does_nothing(signed_in):
    signed_in.get("/login/logout/")
    assert signed_in.get("/profile/").status_code == 200

    signed_in.post("/login/logout/")
    assert signed_in.get("/profile/").status_code == 302


def test_a_page_that_does_not_exist_says_so_in_our_look(client, db):
    answer = client.get("/no/such/page/")

    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()
