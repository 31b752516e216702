"""Seats: as many people as were bought, however many invite at once; guests are free and nobody is put out."""

import threading

import pytest
from django.db import connection
from django.urls import reverse

from accounts import members
from accounts.models import Invitation, Member
from billing import clock, seats
from billing.models import Subscription
from tests import factories
from tests.billing.shopping import buy
from tests.billing.test_billing_pages import text

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def team(shop, account, alice):
    """Alice's organization with three seats, one of them hers."""
    buy(shop, account, alice, "hybrid_team_month", 3)
    return account


@pytest.fixture
def as_alice(as_alice, account):
    as_alice.post(reverse("accounts:switch"), {"account": str(account.pk)})
    return as_alice


def invite(client, email, role="member"):
    return client.post("/account/members/invite/", {"email": email, "role": role}, follow=True)


def test_the_fourth_of_three_seats_is_refused_with_what_makes_room(team, as_alice):
    invite(as_alice, "bea@example.com")
    invite(as_alice, "cat@example.com")

    refused = text(invite(as_alice, "dan@example.com"))

    assert "All 3 seats are taken" in refused
    assert Invitation.objects.count() == 2
    assert "3 of 3 seats taken" in text(as_alice.get("/account/members/"))


def test_a_guest_takes_no_seat_until_they_become_a_member(team, as_alice):
    for name in ("bea", "cat"):
        invite(as_alice, f"{name}@example.com")
    invite(as_alice, "guest@example.com", "guest")
    assert Invitation.objects.count() == 3
    gil = factories.MemberFactory(account=team, role=Member.Role.GUEST)

    said = text(as_alice.post(f"/account/members/{gil.pk}/role/", {"role": "member"}, follow=True))

    assert "All 3 seats are taken" in said
    gil.refresh_from_db()
    assert gil.role == "guest"


def test_a_withdrawn_invitation_gives_its_seat_back(team, as_alice):
    invite(as_alice, "bea@example.com")
    invite(as_alice, "cat@example.com")
    as_alice.post(f"/account/invitations/{Invitation.objects.first().pk}/revoke/")

    invite(as_alice, "dan@example.com")

    assert Invitation.objects.filter(email="dan@example.com").exists()


def test_an_invitation_is_not_accepted_once_its_seat_was_given_back(team, alice, client):
    now = clock.wall()
    owner = team.members.get(user=alice)
    _, token = members.invite(account=team, email="bea@example.com", role="member", by=owner, now=now)
    Subscription.objects.filter(account=team).update(quantity=1)
    client.force_login(
        factories.person(email="bea@example.com"), backend="django.contrib.auth.backends.ModelBackend"
    )

    said = text(client.post(f"/invitations/{token}/accept/", follow=True))

    assert "no free seat" in said
    assert team.members.count() == 1


def test_more_people_than_seats_are_told_and_stay(team, as_alice):
    for _ in range(3):
        factories.MemberFactory(account=team)

    page = text(as_alice.get("/account/members/"))

    assert "4 of 3 seats taken" in page
    assert "more than were bought" in page
    assert team.members.count() == 4


def test_billing_says_how_many_seats_were_bought(team, as_alice):
    assert "Team, monthly, 3 seats" in text(as_alice.get("/billing/"))


def test_a_price_list_without_a_word_on_members_limits_nobody(settings, account, as_alice):
    settings.BILLING_CATALOG = "protocol"
    for number in range(5):
        invite(as_alice, f"p{number}@example.com")

    assert Invitation.objects.count() == 5


def test_a_plan_for_three_people_is_for_three_people(settings, account, as_alice):
    settings.BILLING_CATALOG = "automation"
    for name in ("bea", "cat"):
        invite(as_alice, f"{name}@example.com")

    refused = text(invite(as_alice, "dan@example.com"))

    assert "Your plan has room for 3 people. Choose a larger plan" in refused
    assert Invitation.objects.count() == 2
    invite(as_alice, "guest@example.com", "guest")
    assert Invitation.objects.count() == 3


@pytest.mark.postgres
def test_ten_invitations_at_once_for_the_last_seat_invite_one(team, alice):
    factories.MemberFactory(account=team)
    owner, now, outcomes = team.members.get(user=alice), clock.wall(), []
    start = threading.Barrier(10)

    def hurry(number: int) -> None:
        start.wait()
        try:
            with seats.room_for(team, people=1, now=now):
                members.invite(account=team, email=f"p{number}@example.com", role="member", by=owner, now=now)
            outcomes.append("invited")
        except seats.SeatLimitReached:
            outcomes.append("full")
        finally:
            connection.close()

    threads = [threading.Thread(target=hurry, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(outcomes) == ["full"] * 9 + ["invited"]
    assert seats.taken(team, now=now) == 3
