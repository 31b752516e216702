"""Stripe's test cards and what each does: docs.stripe.com/testing."""

from dataclasses import dataclass

from simulator.errors import StripeError, card
from simulator.shapes import Obj


@dataclass(frozen=True)
class Card:
    """A test card: where it says no, and when its bank wants to see the customer."""

    number: str
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    declines: str = ""
    """The decline this card always meets."""
    attaches: bool = False
    """Saved without complaint although later charges are declined."""
    authentication: str = ""
    """`always`, `on_session` (until it is set up), `off_session_only` never again after set-up."""
    disputes: bool = False


# code, decline_code, message
DECLINES = {
    "generic_decline": ("card_declined", "generic_decline", "Your card was declined."),
    "insufficient_funds": ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "lost_card", "Your card was declined."),
    "stolen_card": ("card_declined", "stolen_card", "Your card was declined."),
    "fraudulent": ("card_declined", "fraudulent", "Your card was declined."),
    "card_velocity_exceeded": ("card_declined", "card_velocity_exceeded", "Your card was declined."),
    "expired_card": ("expired_card", None, "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", None, "Your card's security code is incorrect."),
    "processing_error": (
        "processing_error",
        None,
        "An error occurred while processing your card. Try again in a little bit.",
    ),
}

_CARDS = (
    Card("4242424242424242"),
    Card("4000056655665556", funding="debit"),
    Card("5555555555554444", brand="mastercard"),
    Card("5200828282828210", brand="mastercard", funding="debit"),
    Card("378282246310005", brand="amex"),
    Card("6011111111111117", brand="discover"),
    Card("4000000000000077"),
    Card("4000002760000016", country="DE"),
    Card("4000008260000000", country="GB"),
    Card("4000000000000002", declines="generic_decline"),
    Card("4000000000009995", declines="insufficient_funds"),
    Card("4000000000009987", declines="lost_card"),
    Card("4000000000009979", declines="stolen_card"),
    Card("4100000000000019", declines="fraudulent"),
    Card("4000000000000069", declines="expired_card"),
    Card("4000000000000127", declines="incorrect_cvc"),
    Card("4000000000000119", declines="processing_error"),
    Card("4000000000006975", declines="card_velocity_exceeded"),
    Card("4000000000000341", declines="generic_decline", attaches=True),
    Card("4000000000000259", disputes=True),
    Card("4000000000001976", disputes=True),  # at Stripe an inquiry; here a dispute like the other
    Card("4000000000003220", authentication="on_session"),
    Card("4000002500003155", authentication="on_session"),
    Card("4000003800000446", authentication="on_session"),
    Card("4000002760003184", authentication="always"),
    Card("4000008260003178", authentication="always", declines="insufficient_funds", attaches=True),
)
_BY_NUMBER = {found.number: found for found in _CARDS}

_TOKENS = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "mastercard_debit": "5200828282828210",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "us": "4242424242424242",
    "de": "4000002760000016",
    "gb": "4000008260000000",
    "bypassPending": "4000000000000077",
    "chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedLostCard": "4000000000009987",
    "chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedFraudulent": "4100000000000019",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "chargeCustomerFail": "4000000000000341",
    "createDispute": "4000000000000259",
    "createDisputeInquiry": "4000000000001976",
    "threeDSecure2Required": "4000000000003220",
    "authenticationRequiredOnSetup": "4000002500003155",
    "authenticationRequiredSetupForOffSession": "4000003800000446",
    "authenticationRequired": "4000002760003184",
    "authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
}


def by_number(number: str) -> Card:
    """The test card with this number; raises what Stripe says of any other."""
    digits = number.replace(" ", "").replace("-", "")
    found = _BY_NUMBER.get(digits)
    if found is not None:
        return found
    if not digits.isdigit() or not 12 <= len(digits) <= 19 or not _luhn(digits):
        raise card("Your card number is incorrect.", "incorrect_number", param="number")
    raise card(
        "Your card was declined. Your request was in test mode, but used a non test card. "
        "For a list of valid test cards, visit: https://docs.stripe.com/testing.",
        "card_declined",
        "test_mode_live_card",
    )


def by_token(token: str) -> Card | None:
    """The card behind `pm_card_visa`, `pm_card_visa_chargeDeclined`, `tok_amex`…, or None."""
    for prefix in ("pm_card_visa_", "pm_card_", "tok_visa_", "tok_"):
        number = _TOKENS.get(token[len(prefix) :]) if token.startswith(prefix) else None
        if number:
            return _BY_NUMBER[number]
    return None


def behind(payment_method: Obj) -> Card:
    """The card a payment method stands for."""
    return _BY_NUMBER[payment_method["_"]["number"]]


def decline(found: Card) -> StripeError:
    """Stripe's refusal for a card that declines."""
    code, decline_code, message = DECLINES[found.declines]
    return card(message, code, decline_code)


def _luhn(digits: str) -> bool:
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if at % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
