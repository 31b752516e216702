"""The soak of whole lives, small: some customers for some months, and that it notices what is wrong."""

from dataclasses import replace

import pytest

from soaks.life import command, terms
from soaks.life.births import FIRST_DAY
from soaks.life.expected import Life

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def selling(settings, simulator, tmp_path):
    """The price list of a business in force, here and at Stripe."""

    def sell(business):
        settings.STRIPE_TEST_CLOCKS = True
        for name, value in command.settings_of(business, tmp_path).items():
            setattr(settings, name, value)
        command.open_shop(simulator)
        return simulator

    return sell


@pytest.mark.parametrize(("business", "seed"), [("kaboot", 3), ("hybrid", 3), ("protocol", 3)])
def test_bills_allowances_and_access_are_as_calculated_whatever_a_customer_does(selling, business, seed):
    verdict = command.soak(selling(business), business, seed=seed, accounts=1, months=4)
    assert verdict.faults == []
    assert verdict.acts > 5
    assert verdict.letters > 10


def test_a_cent_too_much_is_noticed_and_the_story_told(selling):
    wrong = terms.read("kaboot")
    pro = wrong.plans["pro"]
    dearer = replace(pro, prices=tuple(replace(price, amount=price.amount + 1) for price in pro.prices))
    verdict = command.soak(
        selling("kaboot"),
        "kaboot",
        seed=1,
        accounts=1,
        months=36,
        sold=replace(wrong, plans={**wrong.plans, "pro": dearer}),
    )
    assert len(verdict.faults) == 1
    assert "--seed 1 --business kaboot --only 0" in verdict.faults[0]
    assert "buys 1 × kaboot_pro_" in verdict.faults[0]
    assert "differs: bill at Stripe" in verdict.faults[0]


def test_a_unit_too_few_is_noticed(selling):
    wrong = terms.read("ocr")
    free = replace(wrong.default, allowances={"documents": (9, "month")})
    sold = replace(wrong, plans={**wrong.plans, "free": free}, default=free)
    verdict = command.soak(selling("ocr"), "ocr", seed=1, accounts=1, months=1, sold=sold)
    assert "documents: used, limit, window (0, 10," in verdict.faults[0]


def test_a_declined_upgrade_leaves_what_was_planned_in_the_calculation_too():
    sold, start = terms.read("automation"), int(FIRST_DAY.timestamp())
    life = Life(sold, "organization", start, start)
    life.buy(sold.price("automation_team_year"), 1)
    assert life.change(sold.price("automation_team_month"), 1)
    life.card_is_good = False

    assert not life.change(sold.price("automation_enterprise_year"), 1)

    assert life.purchase.planned == (sold.price("automation_team_month"), 1)


def test_a_lost_dispute_in_the_calculation_ends_the_plan_with_what_is_paid_and_forgiven_it_goes_on():
    sold, start = terms.read("kaboot"), int(FIRST_DAY.timestamp())
    life = Life(sold, "personal", start, start)
    life.buy(sold.price("kaboot_pro_month"), 1)
    life.lose_dispute(life.bills[0])
    assert life.level() == "BLOCKED"
    life.forgive()
    life.live_until(life.purchase.end + 2 * 3600)
    assert [bill.state for bill in life.bills] == ["paid", "paid"]

    life.lose_dispute(life.bills[1])
    life.live_until(life.purchase.end + 2 * 3600)

    assert life.purchase is None
    assert len(life.bills) == 2
