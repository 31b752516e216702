"""The default business: pay as you go, Pro with a trial, teams by the seat; and the ways a checkout can go."""

import re

from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import Account
from billing import clock, entitlements
from billing.access import Level
from billing.models import Payment, Subscription
from tests.journeys import steps
from tests.stack.site import LiveSite


def account_of(email: str) -> Account:
    return Account.objects.get(person__email=email)


def has_plan(email: str, plan: str) -> bool:
    account = account_of(email)
    rights = entitlements.of(account, now=clock.now(account))
    return rights.plan.key == plan and rights.level == Level.FULL


def test_a_trial_of_pro_canceled_resumed_canceled_and_over(page: Page, live_site: LiveSite):
    steps.sign_up(page, "lee@example.com")

    steps.choose(page, "Pro")
    expect(page.get_by_text("14 days free")).to_be_visible()
    steps.pay(page)
    expect(page.get_by_role("heading", name="Pro is yours")).to_be_visible(timeout=30_000)
    assert Payment.objects.filter(account=account_of("lee@example.com"), amount_paid__gt=0).count() == 0

    # Cancel in Stripe's portal; our page says so when the customer comes back.
    page.goto("/billing/")
    page.get_by_role("button", name="Cards and invoices at Stripe").click()
    page.get_by_role("link", name="Cancel subscription").click()
    page.get_by_role("button", name="Cancel subscription").click()
    page.get_by_role("link", name="Return to the shop").click()
    expect(page.locator("aside").get_by_text("Your plan ends on")).to_be_visible()

    page.locator("aside").get_by_role("button", name="Keep my plan").click()
    expect(page.get_by_text("Your plan goes on.")).to_be_visible()
    expect(page.locator("aside").get_by_text("Your plan ends on")).to_have_count(0)

    page.get_by_role("link", name="Cancel plan").click()
    page.get_by_role("button", name=re.compile("Cancel my plan on")).click()
    expect(page.locator("aside").get_by_text("Your plan ends on")).to_be_visible()

    # The trial's end: Free, by the clock, and no money was ever taken.
    steps.jump(page, "A week")
    assert has_plan("lee@example.com", "pro")
    steps.jump(page, "A week")
    steps.jump(page, "A day")
    page.goto("/billing/")
    expect(page.get_by_role("heading", name="Free", exact=True)).to_be_visible()
    assert Payment.objects.filter(account=account_of("lee@example.com"), amount_paid__gt=0).count() == 0

    # No second trial: the checkout asks for the full price.
    steps.choose(page, "Pro")
    expect(page.get_by_text("14 days free")).to_have_count(0)
    steps.pay(page)
    expect(page.get_by_role("heading", name="Pro is yours")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("The payment went through")).to_be_visible()


def test_the_same_person_with_another_address_spelling_gets_no_second_trial(page: Page, live_site: LiveSite):
    steps.sign_up(page, "ann@example.com")
    steps.choose(page, "Pro")
    steps.pay(page)
    expect(page.get_by_role("heading", name="Pro is yours")).to_be_visible(timeout=30_000)
    page.context.clear_cookies()

    steps.sign_up(page, "ann+again@example.com")
    steps.choose(page, "Pro")

    expect(page.get_by_role("heading", name=re.compile("Subscribe to"))).to_be_visible()
    expect(page.get_by_text("14 days free")).to_have_count(0)


def test_a_declined_card_says_so_and_another_card_pays(page: Page, live_site: LiveSite):
    steps.sign_up(page, "dee@example.com")
    steps.choose(page, "Pay as you go")
    steps.pay(page, steps.DECLINED_CARD)
    expect(page.get_by_text(re.compile("declined", re.I)).first).to_be_visible()

    steps.fill_card(page, steps.GOOD_CARD)
    page.locator("button.go").last.click()

    expect(page.get_by_role("heading", name="Pay as you go is yours")).to_be_visible(timeout=30_000)


def test_a_3d_secure_card_is_confirmed_at_the_bank(page: Page, live_site: LiveSite):
    steps.sign_up(page, "tia@example.com")
    steps.choose(page, "Pro")
    steps.pay(page, steps.THREE_D_SECURE_CARD)

    page.get_by_role("button", name="Complete").click()

    expect(page.get_by_role("heading", name="Pro is yours")).to_be_visible(timeout=30_000)


def test_a_browser_closed_after_paying_is_activated_by_the_letter_alone(
    visitor: BrowserContext, live_site: LiveSite
):
    page = visitor.new_page()
    steps.sign_up(page, "oz@example.com")
    steps.choose(page, "Pro")
    # The tab never reaches our success page.
    page.route(re.compile(r".*/billing/upgraded/.*"), lambda route: route.abort())
    steps.pay(page)
    page.close()

    steps.eventually(lambda: has_plan("oz@example.com", "pro"), seconds=30)


def test_without_any_letter_the_success_page_alone_activates(page: Page, live_site: LiveSite):
    steps.sign_up(page, "una@example.com")
    steps.choose(page, "Pro")
    live_site.simulator.deliveries.set_hold(True)

    steps.pay(page)

    expect(page.get_by_role("heading", name="Pro is yours")).to_be_visible(timeout=30_000)


def test_two_tabs_paying_at_once_end_in_one_subscription(visitor: BrowserContext, live_site: LiveSite):
    first = visitor.new_page()
    steps.sign_up(first, "two@example.com")
    steps.choose(first, "Pay as you go")
    # The second checkout is opened behind our back: its session must not have been expired by ours.
    second_url = open_another_checkout(live_site, "two@example.com")
    second = visitor.new_page()
    second.goto(second_url)

    steps.pay(first)
    steps.pay(second)

    account = account_of("two@example.com")
    steps.eventually(lambda: at_stripe(live_site, account, live_only=False) == 2, seconds=30)
    steps.eventually(lambda: at_stripe(live_site, account, live_only=True) == 1, seconds=30)
    steps.eventually(lambda: Subscription.objects.live().filter(account=account).count() == 1, seconds=30)


def test_two_tabs_of_our_own_leave_one_open_checkout(visitor: BrowserContext, live_site: LiveSite):
    first = visitor.new_page()
    steps.sign_up(first, "tabs@example.com")
    steps.choose(first, "Pay as you go")
    second = visitor.new_page()
    steps.choose(second, "Pro")

    steps.pay(second)
    expect(second.get_by_role("heading", name="Pro is yours")).to_be_visible(timeout=30_000)
    first.reload()

    expect(first.get_by_text("This checkout has expired")).to_be_visible()


def test_pay_as_you_go_counts_bills_and_then_costs_less_as_pro(page: Page, live_site: LiveSite, settings):
    settings.STRIPE_TEST_CLOCKS = True
    account = steps.come_in(page, "meter@example.com")
    page.goto("/pricing/")
    expect(page.locator("#plan-payg")).to_contain_text("$0.50")
    expect(page.locator("#plan-enterprise")).to_contain_text("Free for 30 days to begin with.")
    # Nothing to transform on Free, and no keys.
    assert steps.use(page, "tokens", 1, "none").status == 403
    assert page.request.get("/account/keys/").status == 403

    steps.choose(page, "Pay as you go")
    steps.pay(page)
    steps.is_theirs(page, "Pay as you go")
    key = steps.make_key(page, "transformer")
    sent = {"feature": "tokens", "units": 59, "idempotency_key": "a book"}
    assert steps.with_key(page, key, "/api/v1/usage", sent).status == 200
    again = steps.with_key(page, key, "/api/v1/usage", sent).json()
    assert (again["replayed"], again["used"]) == (True, 59)
    page.goto("/usage/")
    expect(page.locator("main")).to_contain_text("$29.50")
    # More was spent than Pro costs, and the page says so.
    expect(page.locator("body")).to_contain_text("Pro is $29")

    # Up to Pro, now: what was used until then is billed, and what comes after is not.
    steps.switch_to(page, "hybrid_pro_month")
    assert has_plan("meter@example.com", "pro")
    steps.eventually(
        lambda: sum(Payment.objects.filter(account=account).values_list("amount_paid", flat=True)) >= 2950,
        seconds=30,
    )
    assert steps.use(page, "tokens", 10_000, "no end").status == 200


def test_a_team_of_two_buys_seats_and_invites(page: Page, live_site: LiveSite):
    steps.come_in(page, "boss@example.com")
    account = steps.open_organization(page, "Two of us")
    steps.choose(page, "Team", seats=2)
    expect(page.get_by_text("14 days free")).to_be_visible()
    steps.pay(page)
    steps.is_theirs(page, "Team")
    bought = Subscription.objects.live().get(account=account)
    assert (bought.quantity, bought.next_charge_amount) == (2, 3800)

    page.goto("/account/members/")
    for email in ("second@example.com", "third@example.com"):
        page.get_by_label("E-mail").fill(email)
        page.get_by_role("button", name="Send invitation").click()
    # The second seat is held by the open invitation; the third person has none.
    expect(page.get_by_role("row", name=re.compile("second@example.com"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("third@example.com"))).to_have_count(0)


def open_another_checkout(live_site: LiveSite, email: str) -> str:
    """A second session for the same customer, as a race at Stripe could leave one."""
    from billing.stripe import gateway

    account = account_of(email)
    session = gateway.post(
        "/v1/checkout/sessions",
        {
            "mode": "subscription",
            "customer": account.customer.stripe_customer_id,
            "line_items": [{"price": price_at_stripe("hybrid_pro_month"), "quantity": 1}],
            "success_url": f"{live_site.url}/billing/upgraded/?session_id={{CHECKOUT_SESSION_ID}}",
            "cancel_url": f"{live_site.url}/billing/checkout-canceled/",
            "client_reference_id": str(account.pk),
        },
        idempotency_key=f"journey:{account.pk}",
    )
    return str(session["url"])


def price_at_stripe(lookup_key: str) -> str:
    from billing.stripe import gateway

    return str(gateway.get("/v1/prices", {"lookup_keys": [lookup_key]})["data"][0]["id"])


def at_stripe(live_site: LiveSite, account: Account, *, live_only: bool) -> int:
    from billing.stripe import gateway

    account.refresh_from_db()
    found = gateway.get(
        "/v1/subscriptions", {"customer": account.customer.stripe_customer_id, "status": "all"}
    )["data"]
    return len([s for s in found if not live_only or s["status"] not in ("canceled", "incomplete_expired")])
