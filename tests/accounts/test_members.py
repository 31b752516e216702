"""Working together: organizations, invitations, roles, leaving."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core import mail
from django.test import Client

from accounts.models import Account, Invitation, Member, User
from tests import factories
from tests.accounts.conftest import acting_for, log_in


@pytest.fixture(autouse=True)
def _room_for_everybody(settings):
    """A price list that limits nobody's members; tests/billing/test_seats.py has those that do."""
    settings.BILLING_CATALOG = "protocol"


@pytest.fixture
def alice_at_work(alice, account):
    return acting_for(account, alice)


@pytest.fixture
def bob_at_work(bob, account):
    return acting_for(account, bob)


def invite(client, email="charlie@example.com", role="member"):
    return client.post("/account/members/invite/", {"email": email, "role": role}, follow=True)


def role_of(user, account):
    return Member.objects.get(account=account, user=user).role


def test_i_open_an_organization_and_act_for_it_at_once(as_charlie, charlie):
    page = as_charlie.post("/organizations/new/", {"name": "Moss & Sons"}, follow=True)

    assert "Moss &amp; Sons is open" in page.content.decode()
    organization = Account.objects.get(name="Moss & Sons")
    assert role_of(charlie, organization) == "owner"


def test_a_personal_account_is_mine_alone(as_charlie, charlie):
    page = as_charlie.get("/account/members/").content.decode()
    assert "This account is yours alone" in page

    answer = invite(as_charlie, "bob@example.com")

    assert "A personal account has one member" in answer.content.decode()
    assert not Invitation.objects.exists()


def test_an_invited_customer_joins_by_the_link_in_the_letter(
    alice_at_work, as_charlie, charlie, account, link_in_the_letter
):
    page = invite(alice_at_work, role="admin")
    assert "An invitation is on its way to charlie@example.com" in page.content.decode()
    link = link_in_the_letter()
    assert "Alice invites you to Alice & Co" in mail.outbox[-1].subject

    assert "Join Alice &amp; Co" in as_charlie.get(link).content.decode()
    assert not Member.objects.filter(account=account, user=charlie).exists()  # looking joins nobody
    as_charlie.post(f"{link}accept/")

    assert role_of(charlie, account) == "admin"
    assert "charlie@example.com" in as_charlie.get("/account/members/").content.decode()


def test_somebody_new_signs_up_on_the_way_and_lands_on_the_invitation(
    alice_at_work, account, link_in_the_letter, code_in_the_letter
):
    invite(alice_at_work, "nia@example.com")
    link = link_in_the_letter()
    nia = Client()
    page = nia.get(link).content.decode()
    assert f"?email=nia%40example.com&amp;next={link}" in page
    form = nia.get(f"/login/signup/?email=nia%40example.com&next={link}").content.decode()
    assert 'value="nia@example.com"' in form

    nia.post("/login/signup/", {"email": "nia@example.com", "password1": factories.PASSWORD, "next": link})
    answer = nia.post("/login/confirm-email/", {"code": code_in_the_letter()})
    assert answer["Location"] == link
    nia.post(f"{link}accept/")

    assert account.members.filter(user__email="nia@example.com", role="member").exists()
    assert "Alice &amp; Co" in nia.get("/account/").content.decode()
    elsewhere = Client()
    log_in(elsewhere, User.objects.get(email="nia@example.com"))
    assert "Alice &amp; Co" in elsewhere.get("/account/").content.decode()


def test_an_invitation_is_bound_to_its_address(
    alice_at_work, as_charlie, charlie, account, link_in_the_letter
):
    invite(alice_at_work, "somebody.else@example.com")

    answer = as_charlie.post(f"{link_in_the_letter()}accept/")

    assert answer.status_code == 403
    assert "the invitation is for somebody.else@example.com" in answer.content.decode()
    assert not Member.objects.filter(account=account, user=charlie).exists()


def test_an_unverified_address_does_not_count(
    alice_at_work, as_charlie, charlie, account, link_in_the_letter
):
    charlie.emailaddress_set.create(email="other@example.com", verified=False)
    invite(alice_at_work, "other@example.com")

    assert as_charlie.post(f"{link_in_the_letter()}accept/").status_code == 403


def test_an_invitation_works_once(alice_at_work, as_charlie, charlie, account, link_in_the_letter):
    invite(alice_at_work)
    link = link_in_the_letter()
    as_charlie.post(f"{link}accept/")
    alice_at_work.post(f"/account/members/{Member.objects.get(account=account, user=charlie).pk}/remove/")

    assert as_charlie.post(f"{link}accept/").status_code == 410
    assert as_charlie.get(link).status_code == 410
    assert not Member.objects.filter(account=account, user=charlie).exists()


def test_an_invitation_runs_out_after_14_days_and_can_be_sent_again(
    alice_at_work, as_charlie, charlie, account, link_in_the_letter
):
    invite(alice_at_work)
    old = link_in_the_letter()

    with time_machine.travel(datetime.now(UTC) + timedelta(days=14, minutes=1), tick=False):
        later = acting_for(account, account.members.get().user)
        assert as_charlie.get(old).status_code in (302, 410)
        assert "Ran out" in later.get("/account/members/").content.decode()
        later.post(f"/account/invitations/{Invitation.objects.get().pk}/resend/")
        fresh = Client()
        fresh.force_login(charlie, backend="django.contrib.auth.backends.ModelBackend")
        assert fresh.post(f"{old}accept/").status_code == 410
        fresh.post(f"{link_in_the_letter()}accept/")

    assert role_of(charlie, account) == "member"


def test_sending_again_stops_the_old_link(alice_at_work, as_charlie, link_in_the_letter):
    invite(alice_at_work)
    old = link_in_the_letter()
    alice_at_work.post(f"/account/invitations/{Invitation.objects.get().pk}/resend/")

    assert link_in_the_letter() != old
    assert as_charlie.get(old).status_code == 410
    assert as_charlie.get(link_in_the_letter()).status_code == 200


def test_a_withdrawn_invitation_is_closed(alice_at_work, as_charlie, link_in_the_letter):
    invite(alice_at_work)
    alice_at_work.post(f"/account/invitations/{Invitation.objects.get().pk}/revoke/")

    answer = as_charlie.get(link_in_the_letter())

    assert answer.status_code == 410
    assert "Ask the person who invited you for a new one" in answer.content.decode()


def test_only_the_hash_of_an_invitation_is_kept(alice_at_work, link_in_the_letter):
    invite(alice_at_work)

    token = link_in_the_letter().strip("/").split("/")[-1]
    kept = Invitation.objects.values().get()
    assert token not in str(kept)
    assert len(kept["token_digest"]) == 64


def test_nobody_is_invited_twice_or_when_already_in(alice_at_work, bob):
    invite(alice_at_work)

    again = invite(alice_at_work, "Charlie@Example.com").content.decode()
    member = invite(alice_at_work, "bob@example.com").content.decode()

    assert "This address is invited already" in again
    assert "This person is a member already" in member
    assert Invitation.objects.count() == 1
    assert len(mail.outbox) == 1


def test_an_account_cannot_flood_the_world_with_letters(alice_at_work, account, alice):
    for number in range(30):
        invite(alice_at_work, f"guest{number}@example.com")

    answer = invite(alice_at_work, "onemore@example.com").content.decode()

    assert "30 invitations in an hour is the most" in answer
    assert len(mail.outbox) == 30


def test_when_the_mail_server_is_down_the_invitation_waits(alice_at_work, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 9, 1

    page = invite(alice_at_work).content.decode()

    assert "could not be sent. Send it again" in page
    assert Invitation.objects.filter(revoked_at=None).count() == 1


def test_members_and_guests_invite_nobody(bob_at_work, bob, account):
    for role in ("member", "guest"):
        Member.objects.filter(user=bob, account=account).update(role=role)

        answer = invite(bob_at_work)

        assert answer.status_code == 403
        assert "Ask <strong>Alice</strong>" in answer.content.decode()
    assert not Invitation.objects.exists()


def test_nobody_gives_a_role_above_their_own(bob_at_work, bob, account):
    Member.objects.filter(user=bob, account=account).update(role="admin")

    answer = invite(bob_at_work, role="owner")

    assert "Choose a role up to your own" in answer.content.decode()
    assert not Invitation.objects.exists()


def test_an_admin_cannot_raise_themselves_or_touch_the_owner(bob_at_work, bob, alice, account):
    Member.objects.filter(user=bob, account=account).update(role="admin")
    mine = Member.objects.get(user=bob, account=account)
    owners = Member.objects.get(user=alice, account=account)

    assert bob_at_work.post(f"/account/members/{mine.pk}/role/", {"role": "owner"}).status_code == 403
    assert bob_at_work.post(f"/account/members/{owners.pk}/role/", {"role": "guest"}).status_code == 403
    assert bob_at_work.post(f"/account/members/{owners.pk}/remove/").status_code == 403
    assert role_of(bob, account) == "admin"
    assert role_of(alice, account) == "owner"


def test_the_owner_makes_somebody_owner_and_may_then_leave(alice_at_work, alice, bob, account):
    bobs = Member.objects.get(user=bob, account=account)
    mine = Member.objects.get(user=alice, account=account)

    refused = alice_at_work.post(f"/account/members/{mine.pk}/remove/", follow=True).content.decode()
    assert "An account needs an owner. Make somebody else owner first." in refused
    refused = alice_at_work.post(f"/account/members/{mine.pk}/role/", {"role": "admin"}, follow=True)
    assert "An account needs an owner" in refused.content.decode()
    assert role_of(alice, account) == "owner"

    alice_at_work.post(f"/account/members/{bobs.pk}/role/", {"role": "owner"})
    alice_at_work.post(f"/account/members/{mine.pk}/remove/")
    assert [member.user.email for member in account.members.all()] == ["bob@example.com"]


def test_a_removed_member_is_out_with_the_next_click(alice_at_work, bob_at_work, bob, account):
    assert "Alice &amp; Co" in bob_at_work.get("/account/").content.decode()

    alice_at_work.post(f"/account/members/{Member.objects.get(user=bob, account=account).pk}/remove/")

    assert "Alice &amp; Co" not in bob_at_work.get("/account/").content.decode()


def test_another_accounts_members_and_invitations_are_not_there(
    alice_at_work, as_charlie, charlie, account, bob
):
    invite(alice_at_work, "nia@example.com")
    stranger = factories.organization(owner=charlie, name="Elsewhere")
    outsider = acting_for(stranger, charlie)
    member = Member.objects.get(user=bob, account=account)
    invitation = Invitation.objects.get()

    for path in (
        f"/account/members/{member.pk}/role/",
        f"/account/members/{member.pk}/remove/",
        f"/account/invitations/{invitation.pk}/revoke/",
        f"/account/invitations/{invitation.pk}/resend/",
    ):
        assert outsider.post(path, {"role": "guest"}).status_code == 404
    assert role_of(bob, account) == "member"
    assert Invitation.objects.filter(revoked_at=None).count() == 1


def test_changes_are_never_made_by_following_a_link(alice_at_work, bob, account):
    member = Member.objects.get(user=bob, account=account)

    for path in (f"/account/members/{member.pk}/remove/", "/account/members/invite/", "/account/switch/"):
        assert alice_at_work.get(path).status_code == 405


def test_changes_from_another_site_are_refused(alice, account, bob):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")

    answer = strict.post("/organizations/new/", {"name": "Evil"})

    assert answer.status_code == 403
    assert "This page was open too long" in answer.content.decode()
    assert not Account.objects.filter(name="Evil").exists()
