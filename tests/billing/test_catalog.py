"""The five price lists say what their businesses sell."""

import pytest

from billing import catalog


def of(name):
    return catalog.load(catalog.file_of(name))


def test_all_five_businesses_have_a_price_list_without_a_mistake():
    assert catalog.names() == ["automation", "hybrid", "kaboot", "ocr", "protocol"]
    for name in catalog.names():
        assert of(name).default_plan.is_free


@pytest.mark.parametrize(
    ("business", "lookup_key", "amount", "interval"),
    [
        ("ocr", "ocr_pro_month", 1000, "month"),
        ("ocr", "ocr_enterprise_month", 9900, "month"),
        ("kaboot", "kaboot_pro_month", 500, "month"),
        ("kaboot", "kaboot_pro_year", 5000, "year"),
        ("automation", "automation_team_month", 9900, "month"),
        ("automation", "automation_team_year", 95000, "year"),
        ("automation", "automation_enterprise_month", 49900, "month"),
        ("automation", "automation_enterprise_year", 480000, "year"),
        ("protocol", "protocol_pro_month", 999, "month"),
        ("protocol", "protocol_pro_year", 8900, "year"),
        ("protocol", "protocol_starter_month", 799, "month"),
        ("protocol", "protocol_starter_year", 9588, "year"),
        ("protocol", "protocol_professional_month", 599, "month"),
        ("protocol", "protocol_professional_year", 7188, "year"),
        ("hybrid", "hybrid_payg_tokens", 50, "month"),
        ("hybrid", "hybrid_pro_month", 2900, "month"),
        ("hybrid", "hybrid_team_month", 1900, "month"),
    ],
)
def test_a_price_costs_what_the_business_asks(business, lookup_key, amount, interval):
    price = of(business).price(lookup_key)

    assert (price.amount, price.currency, price.interval) == (amount, "usd", interval)


def test_kaboot_gives_250_generations_a_month_on_the_yearly_price_too():
    kaboot = of("kaboot")

    pro = kaboot.plan(kaboot.price("kaboot_pro_year").plan_key)

    assert pro.allowances["ai_generations"] == catalog.Allowance("ai_generations", 250, "month")
    assert (pro.grace_days, pro.money_back_days, pro.trial_days) == (1, 7, 0)


def test_kaboot_free_has_no_generations_and_the_grandfathered_have_no_end_of_them():
    kaboot = of("kaboot")

    assert "ai_generations" not in kaboot.plan("free").allowances
    assert kaboot.plan("grandfathered").allowances["ai_generations"].quantity is None
    assert "grandfathered" not in [plan.key for plan in kaboot.for_sale()]
    assert kaboot.plan("grandfathered").rank > kaboot.plan("pro").rank


def test_unlimited_is_unlimited_and_not_a_large_number():
    enterprise = of("automation").plan("enterprise")

    assert enterprise.limits["projects"] is None
    assert enterprise.allowances["test_runs"].quantity is None
    assert enterprise.limits["concurrent_runs"] == 20
    assert enterprise.limits["storage_bytes"] == 100 * 1024**3


@pytest.mark.parametrize(
    ("seats", "plan"),
    [
        (4, None),
        (5, "starter"),
        (19, "starter"),
        (20, "professional"),
        (99, "professional"),
        (100, "department_enterprise"),
        (5000, "department_enterprise"),
    ],
)
def test_a_department_of_any_size_belongs_to_exactly_one_plan(seats, plan):
    found = of("protocol").for_seats("department", seats)

    assert (found and found.key) == plan


def test_hybrid_sells_tokens_one_by_one_or_without_end():
    hybrid = of("hybrid")

    assert hybrid.feature("tokens").meter_event_name == "transformation_tokens"
    assert hybrid.plan("payg").metered == {"tokens"}
    assert hybrid.price("hybrid_payg_tokens").meter == "tokens"
    assert hybrid.plan("payg").price_every("month") == hybrid.price("hybrid_payg_tokens")
    assert hybrid.plan("pro").allowances["tokens"].quantity is None
    assert not hybrid.plan("free").metered and "tokens" not in hybrid.plan("free").allowances
    assert [hybrid.plan(key).trial_days for key in ("payg", "pro", "team", "enterprise")] == [0, 14, 14, 30]
    assert hybrid.plan("team").seats == catalog.Seats(min=2, max=None)
    assert hybrid.plan("enterprise").contact_sales and not hybrid.plan("enterprise").is_free


def test_the_chosen_business_is_the_one_that_is_sold(settings):
    settings.BILLING_CATALOG = "kaboot"
    assert catalog.current().name == "Kaboot"

    settings.BILLING_CATALOG = "ocr"
    assert catalog.current().name == "California Vision OCR"


def test_a_price_list_of_ones_own_is_chosen_by_its_path(settings, tmp_path):
    own = tmp_path / "bakery.toml"
    own.write_text(catalog.file_of("kaboot").read_text().replace('name = "Kaboot"', 'name = "Bakery"'))

    settings.BILLING_CATALOG = str(own)

    assert catalog.current().name == "Bakery"
    assert catalog.current().key == "bakery"


def test_what_is_not_in_the_catalog_is_an_error_that_names_it():
    kaboot = of("kaboot")

    with pytest.raises(catalog.UnknownPlan, match="no plan 'gold'"):
        kaboot.plan("gold")
    with pytest.raises(catalog.UnknownPrice, match="no price 'gold_month'"):
        kaboot.price("gold_month")
    with pytest.raises(catalog.UnknownFeature, match="no feature 'gold_bars'"):
        kaboot.feature("gold_bars")
    assert kaboot.find_price("gold_month") is None


def test_the_fingerprint_follows_the_content_and_not_the_comments(tmp_path):
    text = catalog.file_of("kaboot").read_text()
    same, other = tmp_path / "same.toml", tmp_path / "other.toml"
    same.write_text("# another remark\n" + text)
    other.write_text(text.replace("quantity = 250", "quantity = 251"))

    assert catalog.load(same).fingerprint == of("kaboot").fingerprint
    assert catalog.load(other).fingerprint != of("kaboot").fingerprint
    assert len(of("kaboot").fingerprint) == 12


def test_a_personal_plan_is_not_for_organizations():
    hybrid = of("hybrid")

    assert hybrid.plan("pro").suits("personal") and not hybrid.plan("pro").suits("organization")
    assert hybrid.plan("team").suits("organization") and not hybrid.plan("team").suits("personal")
    assert hybrid.plan("free").suits("personal") and hybrid.plan("free").suits("organization")
