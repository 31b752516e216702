"""Becoming a customer: sign up, confirm the address, sign in, forget the password."""

from datetime import UTC, datetime, timedelta

import time_machine
from django.core import mail
from django.test import Client

from accounts.models import Account, Member, User
from tests import factories
from tests.accounts.conftest import log_in


def sign_up(client, email="nia@example.com", **extra):
    return client.post("/login/signup/", {"email": email, "password1": factories.PASSWORD, **extra})


def test_i_sign_up_confirm_the_code_and_own_a_personal_account(client, db, code_in_the_letter):
    sign_up(client, name="Nia Park")
    answer = client.post("/login/confirm-email/", {"code": code_in_the_letter()}, follow=True)

    assert answer.status_code == 200
    user = User.objects.get(email="nia@example.com")
    account = Account.objects.get(person=user)
    assert account.kind == "personal"
    assert account.name == "Nia Park"
    assert Member.objects.get(account=account, user=user).role == "owner"
    page = client.get("/profile/")
    assert "Nia Park" in page.content.decode()


def test_i_need_not_tell_my_name(client, db):
    sign_up(client)

    assert Account.objects.get(person__email="nia@example.com").name == "nia"


def test_before_the_code_is_entered_i_am_not_signed_in(client, db):
    sign_up(client)

    assert client.get("/profile/").status_code == 302


def test_a_wrong_code_is_refused_and_said_so(client, db):
    sign_up(client)

    answer = client.post("/login/confirm-email/", {"code": "WRONG1"})

    assert "Incorrect code" in answer.content.decode()
    assert client.get("/profile/").status_code == 302


def test_the_letter_has_our_name_our_address_and_a_text_part(client, db):
    sign_up(client)

    [letter] = mail.outbox
    assert letter.subject == "Your Tallyhouse code"
    assert "http://testserver" in letter.body
    assert "Hello" in letter.body


def test_signing_up_with_a_known_address_looks_the_same_from_outside(db):
    factories.person(email="known@example.com")

    new = sign_up(Client(), email="new@example.com")
    known = sign_up(Client(), email="known@example.com")

    assert (new.status_code, new["Location"]) == (known.status_code, known["Location"])
    assert User.objects.filter(email="known@example.com").count() == 1


def test_extra_fields_at_sign_up_make_nobody_staff(client, db):
    sign_up(client, is_staff="1", is_superuser="1", role="owner")

    user = User.objects.get(email="nia@example.com")
    assert not user.is_staff
    assert not user.is_superuser


def test_a_line_break_in_my_name_goes_nowhere(client, db):
    sign_up(client, name="Nia\r\nBcc: all@example.com")

    assert User.objects.get(email="nia@example.com").name == "Nia Bcc: all@example.com"


def test_i_reset_a_forgotten_password_by_the_link_in_the_letter(client, alice, link_in_the_letter):
    client.post("/login/password/reset/", {"email": alice.email})
    form = client.get(link_in_the_letter(), follow=True)
    client.post(
        form.redirect_chain[-1][0], {"password1": "another good phrase", "password2": "another good phrase"}
    )

    fresh = Client()
    log_in(fresh, alice, password="another good phrase")
    assert fresh.get("/profile/").status_code == 200


def test_the_reset_link_is_on_our_address_whatever_the_host_header_says(client, alice, link_in_the_letter):
    client.post("/login/password/reset/", {"email": alice.email}, headers={"host": "localhost"})

    assert link_in_the_letter().startswith("/login/password/reset/key/")


def test_a_reset_for_an_unknown_address_looks_the_same(client, db, alice):
    known = client.post("/login/password/reset/", {"email": alice.email})
    unknown = client.post("/login/password/reset/", {"email": "nobody@example.com"})

    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])


def test_after_sign_in_i_am_never_sent_to_another_site(alice):
    for evil in ("https://evil.example/", "//evil.example/", "/\\evil.example", "https:evil.example"):
        client = Client()
        answer = client.post(
            "/login/login/", {"login": alice.email, "password": factories.PASSWORD, "next": evil}
        )
        assert answer.status_code == 302
        assert "evil" not in answer["Location"]


def test_guessing_passwords_is_stopped(alice):
    client = Client()
    for _ in range(5):
        client.post("/login/login/", {"login": alice.email, "password": "wrong"})

    answer = client.post("/login/login/", {"login": alice.email, "password": "wrong"})
    assert "Too many failed login attempts" in answer.content.decode()

    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        log_in(client, alice)
        assert client.get("/profile/").status_code == 200
