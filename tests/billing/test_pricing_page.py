"""The price list says to everybody what they can do next, and what it will cost them."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Member
from billing import catalog, clock, grants
from billing.lifecycle import subscriptions
from billing.stripe import gateway
from tests import factories
from tests.billing.shopping import buy, go_to_the_till

pytestmark = pytest.mark.django_db(transaction=True)


def look(client, query=""):
    answer = client.get(f"/pricing/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def card(page, plan):
    """The words on one plan's card."""
    found = re.search(rf'<article class="card" id="plan-{plan}".*?</article>', page, re.S)
    assert found, f"no card for {plan}"
    return words(found[0])


def words(html):
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html).split()))


def acting_for(client, account):
    client.post("/account/switch/", {"account": str(account.pk)})
    return client


@pytest.fixture
def kaboot(settings, simulator):
    settings.BILLING_CATALOG = "kaboot"
    call_command("sync_catalog", verbosity=0)
    return simulator


def test_a_visitor_sees_every_plan_for_sale_and_none_that_is_not(client, settings):
    settings.BILLING_CATALOG = "kaboot"

    page = look(client)

    assert "$0" in card(page, "free") and "Start with Free" in card(page, "free")
    assert "$5 a month" in card(page, "pro") and "Choose Pro" in card(page, "pro")
    assert "plan-grandfathered" not in page
    assert "/login/signup/?next=/pricing/" in page


def test_the_yearly_price_says_what_it_saves_in_money_and_per_cent(client, settings):
    settings.BILLING_CATALOG = "kaboot"

    page = look(client)

    assert "Saves $10 a year (16%)" in card(page, "pro")
    assert "Yearly, saves 16%" in words(page)
    assert re.search(r'value="month"[^>]* checked', page)
    assert re.search(r'value="year"[^>]* checked', look(client, "?every=year"))


def test_a_price_list_without_yearly_prices_has_no_switch(client):
    assert 'name="every"' not in look(client)


def test_renewal_refund_and_trial_terms_stand_beside_the_button(client, settings):
    hybrid = look(client)
    first_charge = timezone.now() + timedelta(days=14)

    assert "Renews every month until you cancel." in card(hybrid, "pro")
    assert f"Free for 14 days. The first charge, $29.00, comes on {first_charge:%-d %B %Y}" in card(
        hybrid, "pro"
    )
    # How much that is for so many seats stands beside the picker, which follows the number.
    assert "The first charge comes on" in card(hybrid, "team")
    assert "charged at the end of each month" in card(hybrid, "payg")

    settings.BILLING_CATALOG = "kaboot"
    assert "All of it back within 7 days of the first payment." in card(look(client), "pro")


def test_who_uses_little_and_who_uses_much_can_tell_which_plan_is_cheaper(client):
    page = look(client)

    assert "$0.50 a token" in card(page, "payg")
    assert "From 59 tokens a month on, Pro costs less." in card(page, "payg")


def test_a_price_that_is_negotiated_leads_to_people(client):
    page = look(client)

    assert "Custom" in card(page, "enterprise") and "Talk to us" in card(page, "enterprise")
    assert "/contact/?plan=enterprise" in page


def test_every_feature_is_compared_across_all_plans(client, settings):
    settings.BILLING_CATALOG = "automation"

    table = re.search(r"<table.*?</table>", look(client), re.S)[0]

    rows = [
        [words(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)
    ]
    assert ["Feature", "Free", "Team", "Enterprise"] in rows
    assert ["Test runs", "100 a month", "1,000 a month", "Unlimited"] in rows
    assert ["Storage", "1 GB", "10 GB", "100 GB"] in rows
    assert ["Single sign-on", "– No", "– No", "✓ Yes"] in rows
    assert ["Support", "Community", "E-mail", "Priority, around the clock"] in rows


def test_a_person_is_told_that_a_plan_is_for_organizations(as_charlie):
    page = look(as_charlie)

    assert "Your plan" in card(page, "free")
    assert "Try Pro free" in card(page, "pro")
    assert "For organizations. Open one" in card(page, "team")


def test_an_organization_picks_its_seats_within_what_is_sold(as_alice, account, settings):
    settings.BILLING_CATALOG = "protocol"

    page = look(acting_for(as_alice, account))

    assert "Seats for 5 : $39.95 a month 5 to 19 seats." in card(page, "starter")
    assert "20 seats and more: Department Professional." in card(page, "starter")
    assert re.search(r'name="quantity"[^>]* min="5" max="19" value="5"', page)
    assert "For one person." in card(page, "pro")


def test_the_seat_picker_begins_with_the_people_there_are(as_alice, account):
    for _ in range(4):
        factories.MemberFactory(account=account)
    factories.MemberFactory(account=account, role=Member.Role.GUEST)

    page = look(acting_for(as_alice, account))

    assert re.search(r'name="quantity"[^>]* min="2" value="5"', page)
    assert "$95.00 a month" in card(page, "team")
    assert "You are 5 people; Pay as you go has room for 1." in card(page, "payg")
    assert "Make room before you choose Pay as you go." in card(page, "payg")


def test_what_suits_the_account_comes_first(as_alice, account):
    def order(page):
        return re.findall(r'<h2 id="group-[^>]*>([^<]+)<|id="plan-([a-z]+)"', page)

    personal = ["For yourself", "free", "payg", "pro", "For organizations", "team", "enterprise"]
    assert [title or plan for title, plan in order(look(as_alice))] == personal

    organization = ["For organizations", "free", "payg", "team", "enterprise", "For yourself", "pro"]
    assert [title or plan for title, plan in order(look(acting_for(as_alice, account)))] == organization


def test_a_member_is_told_whom_to_ask(as_bob, account):
    page = look(acting_for(as_bob, account))

    assert "Ask Alice to choose a plan for Alice & Co." in card(page, "team")
    assert "/billing/upgrade/" not in page


def test_the_button_buys_what_the_card_says(shop, as_charlie):
    page = look(as_charlie)
    form = re.search(r'id="plan-payg".*?<form.*?</form>', page, re.S)[0]
    lookup_key = re.search(r'name="price" value="([^"]+)"', form)[1]

    answer = as_charlie.post("/billing/upgrade/", {"price": lookup_key})

    assert lookup_key == "hybrid_payg_tokens"
    assert answer.status_code == 303
    assert "/c/pay/" in answer["Location"] or "checkout" in answer["Location"]


def test_somebody_who_pays_manages_their_plan_and_may_move_to_the_free_one(kaboot, charlie, as_charlie):
    buy(kaboot, charlie.personal_account, charlie, "kaboot_pro_year")

    page = look(as_charlie)

    assert "Your plan" in card(page, "pro") and "Manage Pro" in card(page, "pro")
    assert "Move to Free" in card(page, "free")


def test_somebody_who_has_canceled_may_resume(kaboot, charlie, as_charlie):
    buy(kaboot, charlie.personal_account, charlie, "kaboot_pro_month")
    subscriptions.cancel(account=charlie.personal_account)

    page = look(as_charlie)

    assert "Resume Pro" in card(page, "pro")
    assert "You move here when your plan ends." in card(page, "free")


def test_who_has_canceled_is_told_to_keep_the_plan_before_switching(shop, charlie, as_charlie):
    buy(shop, charlie.personal_account, charlie, "hybrid_pro_month")
    subscriptions.cancel(account=charlie.personal_account)

    page = look(as_charlie)

    assert "Keep it first; then you can switch." in card(page, "payg")
    assert "Switch to Pay as you go" not in card(page, "payg")


def test_a_second_paid_plan_is_not_sold_beside_the_first(shop, charlie, as_charlie):
    buy(shop, charlie.personal_account, charlie, "hybrid_pro_month")

    page = look(as_charlie)

    assert "Switch to Pay as you go" in card(page, "payg")
    assert "/billing/change/?price=hybrid_payg_tokens" in page
    assert "/billing/upgrade/" not in page


def test_a_second_trial_is_not_promised(shop, charlie, as_charlie):
    account = charlie.personal_account
    buy(shop, account, charlie, "hybrid_pro_month")
    subscriptions.cancel_now(account=account)

    page = look(as_charlie)

    assert "Choose Pro" in card(page, "pro")
    assert "Free for 14 days" not in card(page, "pro")


def test_a_grandfathered_account_is_told_that_its_plan_stays(kaboot, charlie, as_charlie):
    account = charlie.personal_account
    grants.give(
        account=account,
        plan_key="grandfathered",
        kind="grandfathered",
        reason="with us from the start",
        now=clock.now(account),
    )

    page = look(as_charlie)

    assert "You are on Grandfathered, which is not for sale. It stays yours" in words(page)
    assert "Your plan" not in card(page, "pro")


def test_use_that_a_plan_would_not_have_allowed_is_mentioned_on_it(kaboot, charlie, as_charlie):
    from usage import metering

    account = charlie.personal_account
    buy(kaboot, account, charlie, "kaboot_pro_month")
    metering.consume(
        account=account, feature="ai_generations", units=12, idempotency_key="a-dozen", now=clock.now(account)
    )

    page = look(as_charlie)

    assert "You used 12 generations in this period; Free has no generations." in card(page, "free")


@pytest.mark.parametrize("business", catalog.names())
def test_every_business_has_a_price_list_page(client, settings, business):
    settings.BILLING_CATALOG = business

    page = look(client)

    for plan in catalog.current().for_sale():
        assert plan.name in card(page, plan.key)
    assert catalog.current().faq[0].question in words(page)


@pytest.mark.parametrize("adds_tax", [True, False])
def test_tax_is_announced_exactly_where_it_is_added(shop, charlie, client, settings, adds_tax):
    settings.STRIPE_AUTOMATIC_TAX = adds_tax

    intent = go_to_the_till(charlie.personal_account, charlie, "hybrid_pro_month")

    session = gateway.get(f"/v1/checkout/sessions/{intent.stripe_session_id}")
    assert session["automatic_tax"]["enabled"] is adds_tax
    assert ("tax is added at checkout" in words(look(client))) is adds_tax


@pytest.mark.parametrize("business", catalog.names())
def test_no_price_list_promises_what_the_house_does_not_do(business, client, settings):
    settings.BILLING_CATALOG = business

    page = words(look(client))

    for promise in ("We write to you before", "we write to you before", "we tell you at once"):
        assert promise not in page


@pytest.mark.parametrize(
    ("price", "query", "checked"),
    [
        ("kaboot_pro_year", "", "year"),
        ("kaboot_pro_year", "?every=month", "month"),
        ("kaboot_pro_month", "", "month"),
    ],
)
def test_the_page_opens_in_the_rhythm_that_is_paid(kaboot, charlie, as_charlie, price, query, checked):
    buy(kaboot, charlie.personal_account, charlie, price)

    page = as_charlie.get(f"/pricing/{query}").content.decode()

    assert re.search(r'name="every" value="(\w+)"[^>]*checked', page)[1] == checked


@pytest.mark.parametrize(
    ("units", "lines"),
    [
        ("10", ["Pay as you go $5.00", "Pro $29.00", "Team , 2 seats $38.00"]),
        ("59", ["Pro $29.00", "Pay as you go $29.50", "Team , 2 seats $38.00"]),
        ("0", ["Free $0.00", "Pay as you go $0.00", "Pro $29.00", "Team , 2 seats $38.00"]),
    ],
)
def test_who_knows_the_use_and_not_the_plan_sees_what_it_costs_on_each(client, units, lines):
    page = look(client, f"?units={units}&unit=tokens")

    said = words(page.split('<dl class="receipt"')[1].split(">", 1)[1].split("</dl>")[0])
    assert said == " ".join(lines)
    assert f"{units} tokens in a month, the cheapest first." in words(page)


@pytest.mark.parametrize(
    "query", ["?units=-1&unit=tokens", "?units=²&unit=tokens", "?units=5", "?units=5&unit=sso"]
)
def test_a_number_that_is_none_is_worked_out_to_nothing(client, query):
    page = look(client, query)

    assert "What would it cost?" in page
    assert 'class="receipt"' not in page


def test_where_nothing_is_paid_by_the_unit_nothing_is_worked_out(client, kaboot):
    assert "What would it cost?" not in look(client)
