"""Who joins, leaves, gets another role or a key, and how somebody signs in: told to those whom it concerns."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import api_keys, closing, members, telling
from accounts.models import Account, ApiKey, Destination, MailPreference, Member, Notification, Scope, User
from accounts.notifications import destinations, outbox, preferences
from tests import factories
from tests.accounts.conftest import acting_for

pytestmark = pytest.mark.django_db


def told(user: User) -> list[str]:
    entries = user.inbox.select_related("notification").order_by("pk")
    return [entry.notification.subject for entry in entries]


def test_who_joins_is_told_to_those_who_manage_members(account: Account, alice: User, bob: User) -> None:
    carol = factories.person(email="carol@example.com", name="Carol")
    owner = account.members.get(user=alice)
    _, token = members.invite(account=account, email=carol.email, role="member", by=owner, now=timezone.now())

    members.accept(token=token, user=carol, now=timezone.now())
    with pytest.raises(members.InvitationClosed):
        members.accept(token=token, user=carol, now=timezone.now())

    assert told(alice) == ["Carol joined Alice & Co"]
    assert told(bob) == []


def test_who_has_a_log_in_finds_the_invitation_in_their_list_without_its_link(
    account: Account, alice: User
) -> None:
    carol = factories.person(email="carol@example.com", name="Carol")
    owner = account.members.get(user=alice)

    for email in ("Carol@example.com", "nobody@example.com"):
        _, token = members.invite(account=account, email=email, role="admin", by=owner, now=timezone.now())

    assert told(carol) == ["Alice invites you to Alice & Co"]
    note = Notification.objects.get()
    assert "You can join Alice & Co as an admin." in note.text
    assert token not in f"{note.text} {note.context}"


def test_who_is_removed_or_leaves_is_told_to_those_who_stay(account: Account, alice: User, bob: User) -> None:
    carol = factories.MemberFactory(account=account, user=factories.person(name="Carol"))
    bobs = account.members.get(user=bob)

    acting_for(account, alice).post(f"/account/members/{carol.pk}/remove/")
    acting_for(account, bob).post(f"/account/members/{bobs.pk}/remove/")

    assert told(alice) == ["Carol is out of Alice & Co", "Bob is out of Alice & Co"]
    first, second = Notification.objects.order_by("pk").values_list("text", flat=True)
    assert first.startswith("Alice removed Carol.")
    assert second.startswith("Bob left.")


def test_a_new_role_is_told_to_the_one_who_has_it_and_nothing_without_a_change(
    account: Account, alice: User, bob: User
) -> None:
    member = account.members.get(user=bob)
    page = acting_for(account, alice)

    page.post(f"/account/members/{member.pk}/role/", {"role": Member.Role.MEMBER})
    assert told(bob) == []
    page.post(f"/account/members/{member.pk}/role/", {"role": Member.Role.ADMIN})

    assert told(bob) == ["You are now an admin of Alice & Co"]
    assert told(alice) == []


def test_what_was_refused_is_told_to_nobody(account: Account, alice: User, bob: User) -> None:
    owner = account.members.get(user=alice)

    assert acting_for(account, bob).post(f"/account/members/{owner.pk}/remove/").status_code == 403
    acting_for(account, alice).post(f"/account/members/{owner.pk}/remove/")

    assert not Notification.objects.exists()


def test_every_key_that_is_made_rolled_or_revoked_is_told(account: Account, alice: User, bob: User) -> None:
    now = timezone.now()
    key, _ = api_keys.issue_for(account=account, name="CI", scopes=["read"], by=alice, now=now)
    api_keys.roll(key=key, overlap=timedelta(hours=2), by=alice, now=now)
    new = ApiKey.objects.get(replaces=key)
    for _ in range(2):
        api_keys.revoke(key=new, now=now, by=alice)

    assert told(alice) == [
        "An API key was made for Alice & Co",
        "An API key of Alice & Co was rolled",
        "An API key of Alice & Co was revoked",
    ]
    assert told(bob) == []
    rolled = Notification.objects.get(kind="api_key_rolled")
    assert "revoked" not in f"{rolled.subject} {rolled.text}"
    assert f"The old one works until {now + timedelta(hours=2):%-d %B %Y, %H:%M} UTC" in rolled.text
    assert (
        f"Alice made a new key ({new.prefix}…) in the place of the API key “CI” ({key.prefix}…)"
        in rolled.text
    )
    assert "put the new one into your programs before" in rolled.text
    revoked = Notification.objects.get(kind="api_key_revoked")
    assert "Alice revoked the API key “CI”" in revoked.text
    assert "refused from now on" in revoked.text


def test_what_a_key_may_do_is_said_where_it_is_told(account: Account, alice: User) -> None:
    now = timezone.now()
    key, _ = api_keys.issue_for(account=account, name="Look", scopes=["read"], by=alice, now=now)
    api_keys.roll(key=key, overlap=timedelta(0), by=alice, now=now)
    every = list(Scope.values)
    api_keys.issue_for(account=account, name="All", scopes=every, by=alice, now=now)

    looks, all_of_it = Notification.objects.filter(kind="api_key_made").order_by("pk")
    assert "Whoever has it can do this for Alice & Co, and nothing else:" in looks.text
    assert "- read: See balances, acts, entitlements and prices. It changes nothing" in looks.text
    assert "usage:write" not in looks.text
    assert "nothing else" not in all_of_it.text
    assert "- budgets:write: Change budgets" in all_of_it.text
    rolled = Notification.objects.get(kind="api_key_rolled")
    assert "can do what the old one could: read." in rolled.text


def test_who_has_no_name_is_not_named_twice(account: Account, alice: User) -> None:
    eve = factories.person(email="eve@example.com", name="")
    owner = account.members.get(user=alice)
    _, token = members.invite(account=account, email=eve.email, role="admin", by=owner, now=timezone.now())
    asked = Client().get(f"/invitations/{token}/").content.decode()
    assert "to join as an admin." in asked

    members.accept(token=token, user=eve, now=timezone.now())

    note = Notification.objects.get(kind="member_joined")
    assert note.text.startswith("eve@example.com joined as an admin.")


def test_a_key_rolled_without_an_overlap_is_said_to_be_refused_at_once(account: Account, alice: User) -> None:
    now = timezone.now()
    key, _ = api_keys.issue_for(account=account, name="CI", scopes=["read"], by=alice, now=now)

    api_keys.roll(key=key, overlap=timedelta(0), by=alice, now=now)

    rolled = Notification.objects.get(kind="api_key_rolled")
    assert "The old one is refused from now on: put the new one into your programs." in rolled.text


def test_no_key_is_in_what_is_told_of_it(account: Account, alice: User) -> None:
    _, text = api_keys.issue_for(account=account, name="CI", scopes=["read"], by=alice, now=timezone.now())

    note = Notification.objects.get()
    assert text not in f"{note.text} {note.context}"


def test_a_changed_password_is_in_the_list_and_its_letter_comes_from_the_sign_in(
    account: Account, alice: User, mailoutbox: list
) -> None:
    page = acting_for(account, alice)

    page.post(
        "/login/password/change/",
        {
            "oldpassword": factories.PASSWORD,
            "password1": "another good passphrase 7",
            "password2": "another good passphrase 7",
        },
    )
    outbox.deliver_due(now=timezone.now())

    assert told(alice) == ["Your password was changed"]
    assert len([letter for letter in mailoutbox if letter.to == ["alice@example.com"]]) == 1


def test_with_an_account_goes_what_was_told_about_it_and_where_it_was_told(
    account: Account, alice: User, bob: User
) -> None:
    owner = account.members.get(user=alice)
    destinations.add(
        account=account,
        channel="webhook",
        url="http://127.0.0.1:9999/hook",
        categories=["team"],
        by=owner,
        now=timezone.now(),
    )
    telling.role_changed(account.members.get(user=bob), by=owner, now=timezone.now())
    telling.joined(account.members.get(user=bob), now=timezone.now())

    closing.erase(account=account, by=alice, now=timezone.now())

    assert not Notification.objects.exists()
    assert not Destination.objects.exists()
    assert outbox.deliver_due(now=timezone.now()) == 0


def test_with_a_person_goes_what_they_were_told_and_others_keep_their_lists(
    account: Account, alice: User, bob: User, mailoutbox: list
) -> None:
    carol = factories.MemberFactory(account=account, role=Member.Role.ADMIN).user
    telling.joined(account.members.get(user=bob), now=timezone.now())
    preferences.choose(user=carol, wanted={"quota": False})

    closing.erase(account=carol_s_own(carol), by=carol, now=timezone.now())
    outbox.deliver_due(now=timezone.now())

    assert told(carol) == []
    assert not MailPreference.objects.exists()
    assert told(alice) == ["Bob joined Alice & Co"]
    assert [letter.to for letter in mailoutbox] == [["alice@example.com"]]


def carol_s_own(user: User) -> Account:
    return members.open_personal_account(user=user, now=timezone.now())
