"""Charges and the entries they leave in the balance: the record of what a card said."""

from typing import TYPE_CHECKING

from simulator.errors import StripeError
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def charge(
    sim: "Simulator",
    payment: Obj,
    method: Obj,
    error: StripeError | None,
    *,
    captures: bool = True,
    is_pending: bool = False,
) -> Obj:
    """A charge of an intent's amount; failed when there is an `error`, else taken, only held, or pending as
    long as a bank has not answered.
    """
    is_paid = error is None and not is_pending
    found = new(
        "charge",
        amount=payment["amount"],
        amount_captured=payment["amount"] if is_paid and captures else 0,
        billing_details=method["billing_details"],
        calculated_statement_descriptor="SIMULATED SHOP",
        captured=is_paid and captures,
        created=sim.clock.now(payment),
        currency=payment["currency"],
        customer=payment["customer"],
        description=payment["description"],
        failure_code=error.facts.get("code") if error else None,
        failure_message=error.message if error else None,
        fraud_details={},
        metadata=dict(payment["metadata"]),
        outcome=outcome(error),
        paid=is_paid,
        payment_intent=payment["id"],
        payment_method=method["id"],
        payment_method_details=_details(method, payment["amount"]),
        radar_options={},
        receipt_email=payment["receipt_email"],
        status="pending" if is_pending else "succeeded" if is_paid else "failed",
    )
    found["receipt_url"] = f"{sim.base_url}/receipts/{found['id']}" if is_paid else None
    return sim.save(found)


def outcome(error: StripeError | None) -> Obj:
    """What the bank, and Stripe's own rules, said of a charge."""
    if error is None:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 12,
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "advice_code": "try_again_later",
        "network_advice_code": None,
        "network_decline_code": "01",
        "network_status": "declined_by_network",
        "reason": error.facts.get("decline_code") or error.facts.get("code"),
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def _details(method: Obj, amount: int) -> Obj:
    if method["type"] == "card":
        return {"card": _card_details(method, amount), "type": "card"}
    kept = {key: value for key, value in method[method["type"]].items() if key != "generated_from"}
    return {"type": method["type"], method["type"]: {**kept, "expected_debit_date": None, "mandate": None}}


def _card_details(method: Obj, amount: int) -> Obj:
    kept = (
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
        "wallet",
    )
    return {key: method["card"][key] for key in kept} | {
        "amount_authorized": amount,
        "authorization_code": "123456",
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": method["card"]["brand"],
        "network_token": {"used": False},
        "network_transaction_id": "104999992599999",
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None,
    }


def transaction(
    sim: "Simulator", *, kind: str, source: Obj, amount: int, fee: int, description: str | None
) -> Obj:
    """An entry of Stripe's balance."""
    now = sim.clock.now(source)
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": source["currency"],
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return sim.save(
        new(
            "balance_transaction",
            amount=amount,
            available_on=now,
            balance_type="payments",
            created=now,
            currency=source["currency"],
            description=description,
            fee=fee,
            fee_details=details if fee else [],
            net=amount - fee,
            reporting_category=kind,
            source=source["id"],
            status="available",
            type=kind,
        )
    )
