"""What a price list can say beyond one price and one allowance: packs, included units, steps, rollover, forgiveness."""

import re
from html import unescape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from billing import catalog, comparison, money
from billing.catalog import Price, Tier
from billing.stripe import gateway
from simulator.billing_engine import money as stripes_arithmetic

if TYPE_CHECKING:
    from simulator.core import Simulator

COPY_SHOP = Path(__file__).parent / "packs.toml"
TEXT = COPY_SHOP.read_text()

MISTAKES = [
    # what was written right, what was written wrong, the sentence
    (
        "windows = 2",
        "windows = 0",
        "plans.pro.allowances.pages.rollover.windows: must be from 1 to 36, got 0",
    ),
    (
        "cap = 50,",
        "cap = -1,",
        'plans.pro.allowances.pages.rollover.cap: must be a whole number from 0 or "unlimited", got -1',
    ),
    (
        "cap = 50,",
        "caps = 50,",
        'plans.pro.allowances.pages.rollover.caps: is not a key this table knows; did you mean "cap"?',
    ),
    (
        "rollover = { cap = 50, windows = 2 }",
        "rollover = 50",
        "plans.pro.allowances.pages.rollover: must be a table, got 50",
    ),
    (
        'quantity = "unlimited", per = "month"',
        'quantity = "unlimited", per = "month", rollover = { windows = 1 }',
        'plans.team.allowances.pages.rollover: of "unlimited" nothing is left over; take it out',
    ),
    (
        'quantity = "unlimited", per = "month"',
        'quantity = "unlimited", per = "month", forgive = 5',
        'plans.team.allowances.pages.forgive: nobody goes beyond "unlimited"; take it out',
    ),
    ("forgive = 5", "forgive = -5", "plans.free.allowances.pages.forgive: must be from 0"),
    ("forgive = 5", "forgive = 0.5", "plans.free.allowances.pages.forgive: must be whole units, got 0.5"),
    (
        "quantity = 10, per",
        "rollover = { windows = 1 }, quantity = 0, per",
        "plans.free.allowances.pages.rollover: of 0 nothing is left over; take it out",
    ),
    (
        "scans = { quantity = 1000",
        'scans = { quantity = "unlimited"',
        'plans.pro.allowances.scans.quantity: "unlimited" is never paid by the unit; write how many are included, or '
        'take "scans" out of plans.pro.metered',
    ),
    ("amount = 2500", "amount = 25.0", "packs[0].amount: must be whole cents, got 25.0"),
    ("amount = 2500", "amount = 0", "packs[0].amount: must be from 1 to 99999999, got 0"),
    ("units = 500", "units = 0", "packs[0].units: must be from 1 to 1000000000, got 0"),
    ("units = 500\n", "", "packs[0].units: is missing; write whole units"),
    (
        'feature = "pages"',
        'feature = "page"',
        'packs[0].feature: there is no [features.page]; did you mean "pages"?',
    ),
    (
        'feature = "pages"',
        'feature = "projects"',
        'packs[0].feature: "projects" is a limit; a pack sells what is used up',
    ),
    ("expires_days = 365", "expires_days = 0", "packs[0].expires_days: must be from 1 to 3650, got 0"),
    ("expires_days = 365", "expires = 365", "packs[0].expires: is not a key this table knows"),
    ("priority = 10", "priority = -1", "packs[1].priority: must be from 0 to 1000, got -1"),
    (
        'currency = "usd"\npriority',
        'currency = "eur"\npriority',
        'packs[1].currency: this price list is in "usd", got "eur"',
    ),
    (
        'lookup_key = "copy_scans_100"',
        'lookup_key = "copy_pro_month"',
        'packs[1].lookup_key: "copy_pro_month" is taken by plans.pro.prices[0]; every price needs its own',
    ),
    (
        'tiers_mode = "graduated"\n',
        "",
        'plans.pro.prices[1].tiers_mode: is missing; write one of "graduated", "volume"',
    ),
    (
        'tiers_mode = "graduated"\n',
        'tiers_mode = "gradual"\n',
        'plans.pro.prices[1].tiers_mode: must be one of "graduated", "volume", got "gradual"; did you mean',
    ),
    (
        "up_to = 1000, amount",
        "up_to = 100, amount",
        "plans.pro.prices[1].tiers[1].up_to: must be above 100, where the one before ends",
    ),
    (
        "{ amount = 30 }",
        "{ up_to = 5000, amount = 30 }",
        "plans.pro.prices[1].tiers[2].up_to: the last tier goes on without end; take up_to out",
    ),
    (
        "{ up_to = 100, amount = 50 }",
        "{ amount = 50 }",
        "plans.pro.prices[1].tiers[0].up_to: is missing; only the last tier goes on without end",
    ),
    (
        "{ up_to = 100, amount = 50 }",
        "{ up_to = 100, amount = 0.5 }",
        "plans.pro.prices[1].tiers[0].amount: must be whole cents, got 0.5",
    ),
    (
        "tiers = [{ up_to = 9, amount = 1000 }, { amount = 800 }]",
        "tiers = []",
        "plans.team.prices[0].tiers: is empty; write at least { amount = 40 }",
    ),
    (
        "tiers = [{ up_to = 9, amount = 1000 }, { amount = 800 }]",
        "tiers = [{ up_to = 9, amount = 1000 }, { amount = 800 }]\namount = 900",
        "plans.team.prices[0].amount: the tiers say what each costs; take out one of the two",
    ),
    (
        "amount = 2900",
        'tiers_mode = "volume"\ntiers = [{ amount = 2900 }]',
        "plans.pro.prices[0].tiers: are for what is counted; write per_seat = true or meter, or an amount",
    ),
    (
        "amount = 2900",
        'amount = 2900\ntiers_mode = "volume"',
        "plans.pro.prices[0].tiers_mode: there are no tiers; write tiers = [",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), MISTAKES, ids=[case[2][:70] for case in MISTAKES])
def test_a_mistake_is_named_by_its_key(right: str, wrong: str, sentence: str, tmp_path: Path) -> None:
    assert right in TEXT
    file = tmp_path / "shop.toml"
    file.write_text(TEXT.replace(right, wrong, 1))
    with pytest.raises(catalog.CatalogError) as error:
        catalog.load(file)
    assert any(problem.startswith(f"shop.toml: {sentence}") for problem in error.value.problems), (
        error.value.problems
    )


def test_the_words_are_read_as_they_are_written() -> None:
    shop = catalog.load(COPY_SHOP)
    pages = shop.plan("pro").allowances["pages"]
    assert pages.rollover == catalog.Rollover(cap=50, windows=2)
    assert shop.plan("free").allowances["pages"].forgive == 5
    assert shop.plan("pro").included("scans") == catalog.Allowance("scans", 1000, "month")
    assert shop.plan("pro").included("pages") is None
    assert [pack.lookup_key for pack in shop.packs] == ["copy_pages_500", "copy_scans_100"]
    assert shop.pack("copy_pages_500").expires_days == 365
    assert shop.pack("copy_scans_100").priority == 10
    with pytest.raises(catalog.UnknownPack, match="no pack 'gold'"):
        shop.pack("gold")


def test_graduated_and_volume_steps_cost_what_they_say() -> None:
    shop = catalog.load(COPY_SHOP)
    scans, seats = shop.price("copy_pro_scans"), shop.price("copy_team_month")
    assert [scans.charge(n) for n in (0, 1, 100, 101, 1000, 1001)] == [0, 50, 5000, 5540, 41500, 41530]
    assert [seats.charge(n) for n in (2, 9, 10, 11)] == [2000, 9000, 8000, 8800]
    assert money.price_phrase(scans) == "from $0.30 a scan"
    assert money.steps(seats) == ["1 to 9 all for $10.00 each", "from 10 on all for $8.00 each"]


@st.composite
def tiered(draw: Any) -> Price:
    ends = sorted(draw(st.sets(st.integers(1, 500), max_size=4)))
    sums = st.integers(0, 1_000)
    tiers = tuple(Tier(end, draw(sums), draw(sums)) for end in [*ends, None])
    return Price(
        lookup_key="x",
        plan_key="x",
        amount=tiers[0].amount,
        currency="usd",
        interval="month",
        tiers=tiers,
        tiers_mode=draw(st.sampled_from(["graduated", "volume"])),
    )


@given(tiered(), st.integers(0, 1_000))
def test_our_arithmetic_is_stripes(price: Price, quantity: int) -> None:
    at_stripe = {
        "billing_scheme": "tiered",
        "tiers_mode": price.tiers_mode,
        "tiers": [
            {"up_to": tier.up_to, "unit_amount": tier.amount, "flat_amount": tier.flat}
            for tier in price.tiers
        ],
        "transform_quantity": None,
    }
    assert price.charge(quantity) == stripes_arithmetic.cost(at_stripe, quantity)


def test_the_comparison_says_what_is_included_kept_and_paid() -> None:
    shop = catalog.load(COPY_SHOP)
    cells = {row.name: [cell.text for cell in row.cells] for row in comparison.rows(shop)}
    assert cells["Scans"] == [
        "No",
        "1,000 a month included, then from $0.30 each",
        "No",
    ]
    assert cells["Pages"] == ["10 a month", "100 a month (up to 50 left over stay for 2 months)", "Unlimited"]


@pytest.mark.django_db(transaction=True)
def test_the_pricing_page_shows_steps_included_units_and_packs(client: Client, settings: Any) -> None:
    settings.BILLING_CATALOG = str(COPY_SHOP)
    page = unescape(" ".join(re.sub(r"<[^>]+>", " ", client.get("/pricing/").content.decode()).split()))
    assert "1,000 scans a month included, then from $0.30 a scan 1 to 100 for $0.50 each 101 to 1,000" in page
    assert "from $8 a seat and month" in page and "from 10 on all for $8.00 each" in page
    assert "500 pages $25 once 500 pages, for 365 days" in page
    assert "100 scans $30 once 100 scans, without an end" in page


@pytest.mark.django_db(transaction=True)
def test_steps_come_to_stripe_once_and_another_step_is_a_new_price(
    simulator: "Simulator", settings: Any, tmp_path: Path
) -> None:
    settings.BILLING_CATALOG = str(COPY_SHOP)
    call_command("sync_catalog", verbosity=0)
    [price] = gateway.pages("/v1/prices", {"lookup_keys": ["copy_pro_scans"], "expand": ["data.tiers"]})
    assert (price["billing_scheme"], price["tiers_mode"]) == ("tiered", "graduated")
    assert [(tier["up_to"], tier["unit_amount"], tier["flat_amount"] or 0) for tier in price["tiers"]] == [
        (100, 50, 0),
        (1000, 40, 500),
        (None, 30, 0),
    ]
    assert "nothing to do" in told()

    other = tmp_path / "packs.toml"
    other.write_text(
        TEXT.replace("{ amount = 30 }", "{ amount = 31 }").replace("amount = 2500", "amount = 2400")
    )
    settings.BILLING_CATALOG = str(other)
    said = told()
    assert "in tiers, a unit → from $0.31 a scan; who pays the old one keeps it" in said
    assert "$25.00 once → $24.00 once\n" in said
    assert "nothing to do" in told()


def told() -> str:
    said = StringIO()
    call_command("sync_catalog", stdout=said)
    return said.getvalue()
