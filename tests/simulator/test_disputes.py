"""A cardholder goes to their bank: the money goes, comes back, or stays away."""

from __future__ import annotations

import pytest
import stripe

from tests.simulator.shop import Shop

FEE = 1500


def disputed(shop: Shop, token: str = "pm_card_createDispute") -> stripe.Dispute:
    customer = shop.customer(pays_with=token)
    shop.subscribe(shop.price(2900), customer=customer)
    return shop.v1.disputes.list().data[0]


def answered(shop: Shop, dispute: stripe.Dispute, words: str) -> stripe.Dispute:
    return shop.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": words}})


def balance(shop: Shop) -> int:
    return shop.v1.balance.retrieve().available[0].amount


def told(shop: Shop) -> list[str]:
    return [kind for kind in shop.happened() if kind.startswith("charge.dispute")]


def test_a_dispute_takes_the_money_and_a_fee_at_once(shop: Shop) -> None:
    dispute = disputed(shop)

    assert (dispute.status, dispute.is_charge_refundable) == ("needs_response", False)
    assert balance(shop) == 2900 - (84 + 30) - 2900 - FEE
    assert [(entry.amount, entry.fee) for entry in dispute.balance_transactions] == [(-2900, FEE)]
    assert told(shop) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


def test_what_a_dispute_moves_is_dated_by_its_customers_clock(shop: Shop) -> None:
    dispute = disputed(shop)
    paid_at = shop.v1.charges.retrieve(str(dispute.charge)).created
    shop.advance(days=3)

    won = answered(shop, dispute, "winning_evidence")

    assert won.created == paid_at
    assert [entry.created for entry in won.balance_transactions] == [paid_at, paid_at + 3 * 86400]


def test_a_refund_is_dated_by_its_customers_clock(shop: Shop) -> None:
    shop.subscribe(shop.price(2900), customer=shop.customer(pays_with="pm_card_visa"))
    charge = shop.v1.charges.list().data[0]
    shop.advance(days=3)

    refund = shop.v1.refunds.create({"charge": charge.id})

    entry = shop.v1.balance_transactions.retrieve(str(refund.balance_transaction))
    assert entry.created == refund.created == charge.created + 3 * 86400


def test_a_won_dispute_brings_both_back(shop: Shop) -> None:
    before = balance(shop)
    won = answered(shop, disputed(shop), "winning_evidence")

    assert won.status == "won"
    assert balance(shop) == before + 2900 - (84 + 30)
    assert [entry.net for entry in won.balance_transactions] == [-2900 - FEE, 2900 + FEE]
    assert told(shop)[2:] == ["charge.dispute.closed", "charge.dispute.funds_reinstated"]


@pytest.mark.parametrize("how", ["losing_evidence", "close"])
def test_a_lost_dispute_brings_nothing_back(shop: Shop, how: str) -> None:
    dispute = disputed(shop)
    lost = shop.v1.disputes.close(dispute.id) if how == "close" else answered(shop, dispute, how)

    assert lost.status == "lost"
    assert len(lost.balance_transactions) == 1
    assert told(shop)[2:] == ["charge.dispute.closed"]
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        answered(shop, dispute, "winning_evidence")
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        shop.v1.disputes.close(dispute.id)


def test_an_inquiry_leaves_the_money_and_may_be_refunded(shop: Shop) -> None:
    inquiry = disputed(shop, "pm_card_createDisputeInquiry")

    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    assert balance(shop) == 2900 - (84 + 30)
    assert told(shop) == ["charge.dispute.created"]
    assert shop.v1.disputes.close(inquiry.id).status == "warning_closed"
    assert shop.v1.refunds.create({"charge": str(inquiry.charge)}).status == "succeeded"


def test_an_inquiry_may_become_a_dispute(shop: Shop) -> None:
    inquiry = disputed(shop, "pm_card_createDisputeInquiry")

    grown = answered(shop, inquiry, "escalate_inquiry_evidence")

    assert grown.status == "needs_response"
    assert told(shop)[1:] == ["charge.dispute.updated", "charge.dispute.funds_withdrawn"]
    assert answered(shop, inquiry, "losing_evidence").status == "lost"


def test_other_evidence_is_kept_and_decides_nothing(shop: Shop) -> None:
    dispute = answered(shop, disputed(shop), "They came every day.")

    assert (dispute.status, dispute.evidence_details.has_evidence) == ("needs_response", True)
    assert dispute.evidence.uncategorized_text == "They came every day."
