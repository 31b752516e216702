"""`manage.py sync_catalog` shows how Stripe differs from the price list and makes it so, safely twice."""

from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from billing import catalog
from billing.stripe import catalog_push, gateway

pytestmark = pytest.mark.django_db(transaction=True)


def sync(*flags):
    told = StringIO()
    call_command("sync_catalog", *flags, stdout=told)
    return told.getvalue()


def prices(**params):
    return list(gateway.pages("/v1/prices", params))


@pytest.fixture
def own(settings, tmp_path):
    """A price list of one's own, to be edited: `own(wrong="right")` writes it and chooses it."""
    text = catalog.file_of("kaboot").read_text()

    def write(*edits):
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}" / "quiz.toml"
        file.parent.mkdir()
        edited = text
        for old, new in edits:
            assert old in edited
            edited = edited.replace(old, new)
        file.write_text(edited)
        settings.BILLING_CATALOG = str(file)

    return write


@pytest.mark.parametrize("business", catalog.names())
def test_every_business_comes_to_stripe_and_a_second_time_nothing_is_done(simulator, settings, business):
    settings.BILLING_CATALOG = business
    ours = catalog.current()
    prices_there = {price.lookup_key: price for price in ours.prices()}
    products = {price.plan_key for price in ours.prices()}
    meters = [feature for feature in ours.features.values() if feature.meter_event_name]

    first, second = sync(), sync()

    expected = len(prices_there) + len(products) + len(meters) + 1  # and the portal
    assert f"\n{expected} to create: done.\n" in first
    assert second.endswith(f"\n{expected} unchanged: nothing to do.\n")
    assert {price["lookup_key"] for price in prices()} == set(prices_there)
    for price in prices():
        written = prices_there[price["lookup_key"]]
        assert (price["unit_amount"], price["currency"]) == (written.amount, written.currency)
        assert price["recurring"]["interval"] == written.interval
        assert price["metadata"]["tallyhouse_price"] == written.lookup_key
        assert price["metadata"]["tallyhouse_plan"] == written.plan_key


def test_two_pushes_at_once_make_everything_once(simulator, settings):
    settings.BILLING_CATALOG = "hybrid"
    both = [catalog_push.changes(catalog.current()) for _ in range(2)]  # neither has seen the other's work

    def push(changes):
        for change in changes:
            if change.act is not None:
                change.act()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(push, both))

    keys = [price["lookup_key"] for price in prices()]
    assert sorted(keys) == sorted({price.lookup_key for price in catalog.current().prices()})
    assert len(list(gateway.pages("/v1/billing/meters"))) == 1
    assert len(list(gateway.pages("/v1/products"))) == 3
    assert sync().endswith("nothing to do.\n")


def test_a_dry_run_shows_everything_and_does_nothing(simulator, settings):
    settings.BILLING_CATALOG = "kaboot"

    told = sync("--dry-run")

    assert "create     price    kaboot_pro_month  $5.00 a month" in told
    assert told.endswith("nothing was done (--dry-run).\n")
    assert prices() == []


def test_tokens_are_counted_by_a_meter_and_paid_by_a_price_that_reads_it(simulator, settings):
    settings.BILLING_CATALOG = "hybrid"

    sync()

    [meter] = gateway.pages("/v1/billing/meters")
    assert meter["event_name"] == "transformation_tokens"
    assert meter["default_aggregation"]["formula"] == "sum"
    [price] = prices(lookup_keys=["hybrid_payg_tokens"])
    assert price["recurring"]["usage_type"] == "metered"
    assert price["recurring"]["meter"] == meter["id"]


def test_another_amount_is_a_new_price_and_the_old_one_is_archived(simulator, own):
    own()
    sync()
    [old] = prices(lookup_keys=["kaboot_pro_month"])

    own(("amount = 500\n", "amount = 700\n"))
    told = sync()

    [new] = prices(lookup_keys=["kaboot_pro_month"])
    assert "$5.00 a month → $7.00 a month; who pays the old one keeps it" in told
    assert (new["unit_amount"], new["active"]) == (700, True)
    old = gateway.get(f"/v1/prices/{old['id']}")
    assert (old["active"], old["lookup_key"]) == (False, None)
    assert old["metadata"]["tallyhouse_price"] == "kaboot_pro_month"
    assert sync().endswith("nothing to do.\n")


def test_an_amount_may_go_up_and_down_again_on_one_day(simulator, own):
    for amount in (500, 700, 500, 700, 500):
        own(("amount = 500\n", f"amount = {amount}\n"))
        sync()

        [price] = prices(lookup_keys=["kaboot_pro_month"])
        assert (price["unit_amount"], price["active"]) == (amount, True)
    assert len(prices(active=True)) == 2  # the monthly and the yearly one


def test_a_plan_is_retired_and_sold_again(simulator, own):
    own()
    sync()

    for retired in (True, False, True):
        own(("popular = true", f"retired = {str(retired).lower()}"))
        sync()
        assert {price["active"] for price in prices()} == {not retired}
        assert {product["active"] for product in gateway.pages("/v1/products")} == {not retired}


def test_a_plan_that_left_the_price_list_is_archived_and_nothing_else(simulator, own, settings):
    settings.BILLING_CATALOG = "hybrid"
    sync()
    own()
    sync()

    own(("[plans.pro", "[plans.plus"), ("kaboot_pro_", "kaboot_plus_"))
    told = sync()

    assert "archive    product  pro" in told
    assert "archive    price    kaboot_pro_year" in told
    sold = {price["lookup_key"] for price in prices(active=True)}
    assert {"kaboot_plus_month", "kaboot_plus_year"} < sold
    assert not any(key.startswith("kaboot_pro") for key in sold)
    assert {"hybrid_pro_month", "hybrid_team_month", "hybrid_payg_tokens"} < sold


def test_a_new_name_for_a_plan_is_a_change_to_its_product(simulator, own):
    own()
    sync()

    own(('name = "Pro"', 'name = "Plus"'))
    told = sync()

    assert "change     product  pro" in told
    [product] = gateway.pages("/v1/products")
    assert product["name"] == "Kaboot Plus"


def test_a_price_made_by_hand_is_taken_over_when_it_is_the_same(simulator, own):
    product = gateway.post("/v1/products", {"name": "By hand"}, idempotency_key="hand")
    by_hand = {
        "product": product["id"],
        "currency": "usd",
        "unit_amount": 500,
        "recurring": {"interval": "month"},
        "lookup_key": "kaboot_pro_month",
    }
    made = gateway.post("/v1/prices", by_hand, idempotency_key="hand-price")
    own()

    sync()

    [price] = prices(lookup_keys=["kaboot_pro_month"])
    assert price["id"] == made["id"]
    assert price["metadata"]["tallyhouse_plan"] == "pro"
    assert sync().endswith("nothing to do.\n")


def test_a_price_made_by_hand_that_is_another_one_is_left_alone(simulator, own):
    product = gateway.post("/v1/products", {"name": "By hand"}, idempotency_key="hand")
    by_hand = {
        "product": product["id"],
        "currency": "usd",
        "unit_amount": 900,
        "recurring": {"interval": "month"},
        "lookup_key": "kaboot_pro_month",
    }
    made = gateway.post("/v1/prices", by_hand, idempotency_key="hand-price")
    own()

    with pytest.raises(CommandError, match=r"did not come from a price list.*another lookup_key"):
        sync()

    assert gateway.get(f"/v1/prices/{made['id']}")["active"] is True
    assert len(prices()) == 1


def test_a_meter_that_counts_otherwise_is_not_taken(simulator, settings):
    settings.BILLING_CATALOG = "hybrid"
    other = {
        "display_name": "Ours",
        "event_name": "transformation_tokens",
        "default_aggregation": {"formula": "count"},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }
    gateway.post("/v1/billing/meters", other, idempotency_key="other")

    with pytest.raises(CommandError, match=r"counts in another way.*features\.tokens\.meter_event_name"):
        sync()


def test_the_portal_lets_customers_cancel_at_the_periods_end_and_not_change_plans(simulator, settings):
    settings.BILLING_CATALOG = "kaboot"

    sync()

    [portal] = gateway.pages("/v1/billing_portal/configurations", {"active": True})
    features = portal["features"]
    assert features["subscription_cancel"]["enabled"] is True
    assert features["subscription_cancel"]["mode"] == "at_period_end"
    assert "too_expensive" in features["subscription_cancel"]["cancellation_reason"]["options"]
    assert features["payment_method_update"]["enabled"] is True
    assert features["invoice_history"]["enabled"] is True
    assert features["subscription_update"]["enabled"] is False
    assert portal["default_return_url"] == f"{settings.BASE_URL}/billing/"


def test_the_letter_box_is_made_when_asked_for_and_its_secret_is_told_once(simulator, settings):
    url = "https://app.shop.example/stripe/webhook/"

    before = {endpoint["url"] for endpoint in gateway.pages("/v1/webhook_endpoints")}
    first, second = sync("--webhook-url", url), sync("--webhook-url", url)

    assert "STRIPE_WEBHOOK_SECRETS=whsec_" in first
    assert "whsec_" not in second and second.endswith("nothing to do.\n")
    [made] = [entry for entry in gateway.pages("/v1/webhook_endpoints") if entry["url"] not in before]
    assert made["url"] == url
    assert made["api_version"] == settings.STRIPE_API_VERSION
    assert "customer.subscription.deleted" in made["enabled_events"]


@pytest.mark.parametrize(("business", "is_told"), [("hybrid", True), ("kaboot", False)])
def test_who_sells_by_the_unit_is_told_that_meter_errors_need_a_destination_of_their_own(
    simulator, settings, business, is_told
):
    settings.BILLING_CATALOG = business

    said = sync("--webhook-url", "https://shop.example/stripe/webhook/")

    assert ("v1.billing.meter.error_report_triggered" in said) is is_told


def test_every_letter_stripe_is_asked_for_has_a_meaning():
    from billing.stripe import letters
    from billing.stripe.catalog_push.endpoint import EVENTS, THIN_EVENTS

    assert [kind for kind in EVENTS + THIN_EVENTS if letters.meaning(kind) is None] == []


def test_a_stripe_that_does_not_answer_is_told_in_a_sentence(settings):
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"

    with pytest.raises(CommandError, match="Nothing is half done that the same command does not finish"):
        sync()
