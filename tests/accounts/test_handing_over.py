"""Handing an organization over: one owner goes, another comes, and it is never without one."""

import threading

import pytest
from django.db import connection

from accounts.models import Member
from tests import factories
from tests.accounts.conftest import acting_for

pytestmark = pytest.mark.django_db(transaction=True)


def role_of(user, account):
    return Member.objects.get(account=account, user=user).role


def test_the_owner_hands_over_and_stays_as_an_admin(account, alice, bob):
    browser, his = acting_for(account, alice), Member.objects.get(account=account, user=bob)
    asked = browser.get(f"/account/members/{his.pk}/hand-over/").content.decode()
    assert "Make Bob the owner?" in asked and "You stay as an admin" in asked

    said = browser.post(f"/account/members/{his.pk}/hand-over/", follow=True).content.decode()

    assert "is now the owner of" in said
    assert (role_of(bob, account), role_of(alice, account)) == ("owner", "admin")
    assert acting_for(account, alice).get("/billing/").status_code == 200


def test_only_an_owner_hands_over_and_only_to_somebody_else(account, alice, bob):
    hers, his = (Member.objects.get(account=account, user=user) for user in (alice, bob))
    ann = factories.MemberFactory(account=account, role="admin").user

    assert acting_for(account, bob).post(f"/account/members/{his.pk}/hand-over/").status_code == 403
    assert acting_for(account, ann).post(f"/account/members/{his.pk}/hand-over/").status_code == 403
    assert acting_for(account, alice).post(f"/account/members/{hers.pk}/hand-over/").status_code == 403
    assert (role_of(alice, account), role_of(bob, account)) == ("owner", "member")


def test_nobody_of_another_account_is_made_owner(account, alice, charlie):
    elsewhere = factories.organization(owner=charlie, name="Elsewhere")
    theirs = Member.objects.get(account=elsewhere, user=charlie)

    assert acting_for(account, alice).post(f"/account/members/{theirs.pk}/hand-over/").status_code == 404


def test_a_personal_account_is_nobody_elses(alice):
    own = alice.personal_account
    member = Member.objects.get(account=own, user=alice)

    assert acting_for(own, alice).post(f"/account/members/{member.pk}/hand-over/").status_code == 403


@pytest.mark.postgres
def test_two_hand_overs_at_once_leave_one_owner(account, alice, bob):
    ann = factories.MemberFactory(account=account, role="admin").user
    rows = [Member.objects.get(account=account, user=user).pk for user in (bob, ann)]
    browsers = [acting_for(account, alice) for _ in rows]

    def press(browser, pk):
        try:
            browser.post(f"/account/members/{pk}/hand-over/")
        finally:
            connection.close()

    threads = [threading.Thread(target=press, args=pair) for pair in zip(browsers, rows, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert Member.objects.filter(account=account, role="owner").count() == 1
