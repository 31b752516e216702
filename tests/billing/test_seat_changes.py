"""More and fewer seats: shown first, more at once, fewer at the period's end, nobody put out."""

import threading
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from accounts import members
from accounts.models import Member, Notification
from billing import clock, effects, seats
from billing.catalog import current, file_of
from billing.lifecycle import subscriptions
from billing.models import Payment, PlanChange, Subscription
from billing.stripe import gateway
from tests import factories
from tests.billing.changing import acts_for, change, due_on, look, press, token_on
from tests.billing.shopping import at_stripe, buy, let_pass
from tests.billing.test_billing_pages import text

pytestmark = pytest.mark.django_db(transaction=True)

TEAM, STARTER, PROFESSIONAL = "hybrid_team_month", "protocol_starter_month", "protocol_professional_month"
SOON = timedelta(hours=3)


@pytest.fixture
def client(settings, shop, account, as_alice):
    """Alice in a browser, acting for her organization."""
    settings.STRIPE_TEST_CLOCKS = True
    return acts_for(as_alice, account)


def live(account):
    return Subscription.objects.live().get(account=account)


def seats_of(shop, account):
    (item,) = at_stripe(shop, account, "subscription")[0]["items"]["data"]
    return item["quantity"]


def paid_team(shop, account, alice, quantity):
    """Team after its trial, in a period that is paid."""
    let_pass(account, buy(shop, account, alice, TEAM, quantity).trial_end + SOON)
    return live(account)


def test_more_seats_are_paid_for_the_rest_of_the_month_and_are_there_at_once(client, shop, account, alice):
    paid_team(shop, account, alice, 2)
    let_pass(account, clock.now(account) + timedelta(days=14, hours=5))
    assert "1 of 2 in use" in text(client.get("/billing/seats/"))
    page = look(client, seats="5")
    shown = due_on(page)
    assert 0 < shown < 3 * 1900

    said = text(press(client, page))

    assert "Team with 5 seats it is" in said
    assert (live(account).quantity, seats_of(shop, account)) == (5, 5)
    assert Payment.objects.filter(account=account).latest("created_at", "pk").amount_paid == shown
    assert Notification.objects.get(account=account, kind="seats_changed").context["after"] == 5


def test_more_seats_while_fewer_are_planned_leave_no_word_of_fewer(client, shop, account, alice):
    paid_team(shop, account, alice, 8)
    assert change(client, seats="6").state == "scheduled"

    page = look(client, seats="9")
    assert "takes the place of what is planned: Team with 6 seats" in text(page)
    press(client, page)

    told = Notification.objects.get(account=account, kind="seats_changed")
    assert "What was planned, Team with 6 seats from" in told.text and "is taken back" in told.text
    assert Notification.objects.get(kind="downgrade_scheduled").overtaken_at


def test_fewer_seats_come_with_the_next_period_and_are_not_filled_meanwhile(client, shop, account, alice):
    end = paid_team(shop, account, alice, 5).current_period_end
    page = look(client, seats="3")
    assert "3 seats × $19.00 $57.00" in text(page)
    assert "Team with 3 seats instead of Team with 5 seats. Everything else stays." in text(page)
    assert "Today $0.00" in text(page) and f"Change to 3 seats on {end:%-d %B}" in text(page)

    press(client, page)

    assert seats.standing(account, now=clock.wall()).coming == 3
    for name in ("bea", "cat"):
        client.post("/account/members/invite/", {"email": f"{name}@example.com", "role": "member"})
    refused = text(
        client.post("/account/members/invite/", {"email": "dan@example.com", "role": "member"}, follow=True)
    )
    assert "From the next period on there is room for 3" in refused
    let_pass(account, end + SOON)
    assert (live(account).quantity, seats_of(shop, account)) == (3, 3)
    assert Payment.objects.filter(account=account).latest("created_at", "pk").amount_paid == 3 * 1900


def test_fewer_seats_than_people_is_refused_with_their_names(client, shop, account, alice):
    paid_team(shop, account, alice, 5)
    bea = factories.person(email="bea@example.com", name="Bea Berg")
    factories.MemberFactory(account=account, user=bea)
    client.post("/account/members/invite/", {"email": "cat@example.com", "role": "member"})
    factories.MemberFactory(account=account, role=Member.Role.GUEST)

    refused = look(client, seats="2")

    assert refused.status_code == 409
    assert "3 seats are in use, and 2 would be left" in text(refused)
    assert "In use: Alice, Bea Berg, cat@example.com (invited)" in text(refused)
    assert "Go to members" in text(refused)


def test_somebody_who_joins_while_the_receipt_is_open_keeps_their_seat(client, shop, account, alice):
    paid_team(shop, account, alice, 4)
    token = token_on(look(client, seats="2"))
    for _ in range(2):
        factories.MemberFactory(account=account)

    refused = client.post("/billing/change/", {"token": token})

    assert refused.status_code == 409 and "3 seats are in use" in text(refused)
    assert not PlanChange.objects.exists()


@pytest.mark.parametrize("wish", ["0", "1", "-1", "1.5", "1000000000", "5; drop", "", "11000"])
def test_a_number_of_seats_that_is_none_is_answered_in_words(client, shop, account, alice, wish):
    paid_team(shop, account, alice, 2)

    assert look(client, seats=wish).status_code == 409
    assert seats_of(shop, account) == 2


@pytest.fixture
def department(settings, shop, account, as_alice):
    settings.STRIPE_TEST_CLOCKS = True
    settings.BILLING_CATALOG = "protocol"
    call_command("sync_catalog", verbosity=0)
    return acts_for(as_alice, account)


def test_the_twentieth_seat_is_another_step_of_the_ladder(department, shop, account, alice):
    let_pass(account, buy(shop, account, alice, STARTER, 19).trial_end + SOON)
    page = look(department, seats="20")
    assert "Switch to Department Professional?" in text(page)

    press(department, page)

    assert (live(account).plan_key, live(account).quantity) == ("professional", 20)


def test_a_step_down_that_costs_more_says_so_on_the_receipt(department, shop, account, alice):
    let_pass(account, buy(shop, account, alice, PROFESSIONAL, 20).trial_end + SOON)

    page = text(look(department, seats="19"))

    assert "Switch to Department Starter?" in page
    assert "19 seats × $7.99 $151.81 More than now, each month $32.01" in page


def test_a_step_down_the_ladder_waits_for_the_end_and_lists_what_is_lost(department, shop, account, alice):
    end = let_pass(account, buy(shop, account, alice, PROFESSIONAL, 25).trial_end + SOON) and live(account)
    page = look(department, seats="10")
    assert "Switch to Department Starter?" in text(page)
    assert "Your own branding yes → becomes no" in text(page)
    assert "Storage 10 GB → becomes 1 GB" in text(page)
    assert "More than now" not in text(page)

    press(department, page)
    let_pass(account, end.current_period_end + SOON)

    assert (live(account).plan_key, live(account).quantity) == ("starter", 10)


def test_fewer_at_stripe_itself_is_flagged_and_nobody_is_put_out(client, shop, account, alice):
    subscription = paid_team(shop, account, alice, 4)
    for _ in range(3):
        factories.MemberFactory(account=account)
    item = subscription.items.get()
    gateway.post(
        f"/v1/subscription_items/{item.stripe_item_id}", {"quantity": 2}, idempotency_key="in the portal"
    )
    subscriptions.sync(account=account, reason="test", wait_seconds=5)

    page = text(client.get("/billing/seats/"))

    assert "4 people for 2 seats" in page and "buy 2 more" in page
    assert "4 people for 2 seats. Nobody is put out" in text(client.get("/usage/"))
    assert account.members.count() == 4
    refused = client.post(
        "/account/members/invite/", {"email": "x@example.com", "role": "member"}, follow=True
    )
    assert "All 2 seats are taken" in text(refused)


def test_a_member_does_not_see_the_page_of_seats(client, shop, account, alice, as_bob):
    paid_team(shop, account, alice, 2)

    assert acts_for(as_bob, account).get("/billing/seats/").status_code == 403


def test_without_seats_to_sell_the_page_leads_to_the_plans(client, shop, account, alice):
    buy(shop, account, alice, "hybrid_payg_tokens")

    assert "not sold by the seat" in text(client.get("/billing/seats/", follow=True))


@pytest.mark.postgres
def test_two_admins_at_once_leave_what_one_of_them_saw(client, shop, account, alice):
    paid_team(shop, account, alice, 2)
    ann = factories.MemberFactory(account=account, role=Member.Role.ADMIN).user
    hers = Client()
    hers.force_login(ann, backend="django.contrib.auth.backends.ModelBackend")
    acts_for(hers, account)
    tokens = [(client, token_on(look(client, seats="5"))), (hers, token_on(look(hers, seats="9")))]
    answers = []

    def press_it(browser, token):
        try:
            answers.append(browser.post("/billing/change/", {"token": token}).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=press_it, args=pair) for pair in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(answers) == 2
    made = PlanChange.objects.get(state="done")
    assert live(account).quantity == seats_of(shop, account) == made.to_quantity
    assert Payment.objects.filter(account=account, billing_reason="subscription_update").count() == 1


@pytest.mark.postgres
def test_ten_clicks_at_once_are_one_change(client, shop, account, alice):
    paid_team(shop, account, alice, 2)
    token = token_on(look(client, seats="5"))

    def press_it():
        browser = Client()
        browser.cookies = client.cookies
        try:
            browser.post("/billing/change/", {"token": token})
        finally:
            connection.close()

    threads = [threading.Thread(target=press_it) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)

    assert PlanChange.objects.count() == 1
    assert Payment.objects.filter(account=account, billing_reason="subscription_update").count() == 1
    assert seats_of(shop, account) == 5


# --- Seats that follow the members ---------------------------------------------------------------------------


@pytest.fixture
def crew(settings, tmp_path, request):
    """The same shop, whose Team is paid for each member."""
    settings.STRIPE_TEST_CLOCKS = True
    own = tmp_path / "crew.toml"
    words = file_of("hybrid").read_text()
    assert "seats = { min = 2 }" in words
    own.write_text(
        words.replace("seats = { min = 2 }", "seats = { min = 2, max = 6, follow_members = true }")
    )
    settings.BILLING_CATALOG = str(own)
    shop, account = request.getfixturevalue("shop"), request.getfixturevalue("account")
    alice = request.getfixturevalue("alice")
    assert current().plan("team").seats.follow_members
    let_pass(account, buy(shop, account, alice, TEAM, 2).trial_end + SOON)
    return shop, account, acts_for(request.getfixturevalue("as_alice"), account)


def work():
    return effects.deliver_owed(now=clock.wall())


def join(account, alice, name):
    owner = account.members.get(user=alice)
    person = factories.person(email=f"{name}@example.com", name=name.title())
    _, token = members.invite(account=account, email=person.email, role="member", by=owner, now=clock.wall())
    return members.accept(token=token, user=person, now=clock.wall())


def test_who_joins_is_a_seat_and_who_leaves_is_none(crew, alice):
    shop, account, client = crew
    bea, cat = join(account, alice, "bea"), join(account, alice, "cat")
    work()
    assert (live(account).quantity, seats_of(shop, account)) == (3, 3)

    client.post(f"/account/members/{bea.pk}/remove/")
    client.post(f"/account/members/{cat.pk}/remove/")
    work()

    assert seats_of(shop, account) == 2  # the plan's least


def test_a_guest_is_no_seat(crew, alice):
    shop, account, client = crew
    join(account, alice, "bea")
    cat = join(account, alice, "cat")
    client.post(f"/account/members/{cat.pk}/role/", {"role": "guest"})
    work()

    assert seats_of(shop, account) == 2


def test_the_time_of_a_new_member_comes_with_the_next_invoice(crew, alice):
    _, account, _ = crew
    before = Payment.objects.filter(account=account).count()
    let_pass(account, clock.now(account) + timedelta(days=10))
    join(account, alice, "bea")
    join(account, alice, "cat")
    work()
    assert Payment.objects.filter(account=account).count() == before

    let_pass(account, live(account).current_period_end + SOON)

    paid = Payment.objects.filter(account=account).latest("created_at", "pk").amount_paid
    assert 3 * 1900 < paid < 4 * 1900


def test_stripe_away_the_number_is_told_later(crew, alice, stripe_fails):
    shop, account, _ = crew
    join(account, alice, "bea")
    join(account, alice, "cat")
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=500, times=20)
    work()
    assert seats_of(shop, account) == 2

    stripe_fails.call_off()
    effects.deliver_owed(now=clock.wall() + timedelta(hours=1))

    assert seats_of(shop, account) == 3


def test_what_was_changed_at_stripe_itself_is_put_right(crew, alice):
    shop, account, _ = crew
    join(account, alice, "bea")
    join(account, alice, "cat")
    work()
    item = live(account).items.get()
    gateway.post(f"/v1/subscription_items/{item.stripe_item_id}", {"quantity": 6}, idempotency_key="by hand")

    subscriptions.sync(account=account, reason="test", wait_seconds=5)
    work()

    assert seats_of(shop, account) == 3


def test_nobody_chooses_the_number(crew):
    _, _, client = crew

    refused = look(client, seats="4")

    assert refused.status_code == 409 and "follow your members" in text(refused)
    assert "Each member is a seat" in text(client.get("/billing/seats/"))


def test_the_most_is_the_most_for_those_who_are_invited_too(crew):
    _, account, client = crew
    for number in range(5):
        client.post("/account/members/invite/", {"email": f"p{number}@example.com", "role": "member"})

    refused = text(
        client.post("/account/members/invite/", {"email": "p6@example.com", "role": "member"}, follow=True)
    )

    assert "All 6 seats are taken" in refused
    assert account.invitations.count() == 5


def test_coming_from_another_plan_the_members_are_counted(crew, alice):
    _, account, client = crew
    planned = change(client, price="hybrid_payg_tokens")
    let_pass(account, planned.takes_effect_at + SOON)
    join(account, alice, "bea")
    join(account, alice, "cat")

    page = look(client, price=TEAM)

    assert due_on(page) == 3 * 1900
    press(client, page)
    assert live(account).quantity == 3


@pytest.mark.parametrize(
    ("seats_wanted", "said", "way_out"),
    [
        ("100", "100 seats are Department Enterprise", 'href="/contact/"'),
        ("4", "The fewest there are: 5, with Department Starter.", 'href="/billing/seats/"'),
        ("0", "The fewest there are: 5, with Department Starter.", 'href="/billing/seats/"'),
    ],
)
def test_a_number_beyond_the_ladder_leads_to_where_it_can_be_had(
    department, shop, account, alice, seats_wanted, said, way_out
):
    buy(shop, account, alice, PROFESSIONAL, 20)

    refused = look(department, seats=seats_wanted)

    assert refused.status_code == 409
    assert said in text(refused)
    assert way_out in refused.content.decode().split("The plan was not changed")[-1].split("</main>")[0]


def test_the_seats_of_a_plan_that_ends_wait_until_it_is_kept(department, shop, account, alice):
    buy(shop, account, alice, PROFESSIONAL, 20)
    said = text(department.post("/billing/cancel/", follow=True))
    end = live(account).current_period_end
    assert (
        f"Your plan is canceled. It runs until {end:%-d %B %Y}; nothing is charged for the time after."
        in said
    )

    page = department.get("/billing/seats/")

    assert "Your plan is set to end. Keep it first" in text(page)
    assert "See what it costs" not in text(page)
    assert 'action="/billing/resume/"' in page.content.decode().split("<main")[1]
