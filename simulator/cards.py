"""Stripe's test cards and test bank accounts, and what each does: docs.stripe.com/testing."""

from dataclasses import dataclass

from simulator.errors import StripeError, card, invalid
from simulator.shapes import Obj


@dataclass(frozen=True)
class Card:
    """A test card or account: where it says no, and when its bank wants to see the customer."""

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
    inquires: bool = False
    """Disputed by an inquiry only: the money stays for now."""
    at_once: bool = False
    """Its money is in the available balance at once."""
    takes: int | None = None
    """Seconds until a bank account's debit is known to have gone through or not; None answers at once."""
    bounces: bool = False
    """A bank account's debit that comes back."""

    @property
    def kind(self) -> str:
        """Stripe's type of payment method."""
        return "card" if self.number.isdigit() else "sepa_debit"


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
    Card("4000000000000077", at_once=True),
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
    Card("4000000000001976", inquires=True),
    Card("4000000000003220", authentication="on_session"),
    Card("4000002500003155", authentication="on_session"),
    Card("4000003800000446", authentication="on_session"),
    Card("4000002760003184", authentication="always"),
    Card("4000008260003178", authentication="always", declines="insufficient_funds", attaches=True),
)
# docs.stripe.com/payments/sepa-debit/accept-a-payment#test-your-integration; the last is the one that the
# scenario for `checkout.session.async_payment_failed` of Stripe's own command-line tool pays with.
_ACCOUNTS = (
    Card("AT611904300234573201", country="AT", takes=0),
    Card("AT321904300235473204", country="AT", takes=180),
    Card("AT861904300235473202", country="AT", takes=0, bounces=True),
    Card("AT051904300235473205", country="AT", takes=180, bounces=True),
    Card("AT591904300235473203", country="AT", takes=0, disputes=True),
    Card("IT60X0542811101000000123456", country="IT", takes=0, bounces=True),
)
_BY_NUMBER = {found.number: found for found in (*_CARDS, *_ACCOUNTS)}

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


def by_iban(iban: str) -> Card:
    """The test account with this IBAN; one that only looks right behaves like the first of them."""
    plain = iban.replace(" ", "").upper()
    found = _BY_NUMBER.get(plain)
    if found is not None and found.kind == "sepa_debit":
        return found
    digits = "".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4]) if plain.isalnum() else ""
    if not 15 <= len(plain) <= 34 or not plain[:2].isalpha() or int(digits or 0) % 97 != 1:
        raise invalid(
            "The IBAN you provided is invalid.", param="sepa_debit[iban]", code="invalid_bank_account_iban"
        )
    return Card(plain, country=plain[:2], takes=0)


def by_token(token: str) -> Card | None:
    """The card behind `pm_card_visa`, `pm_card_visa_chargeDeclined`, `tok_amex`…, or None."""
    for prefix in ("pm_card_visa_", "pm_card_", "tok_visa_", "tok_"):
        number = _TOKENS.get(token[len(prefix) :]) if token.startswith(prefix) else None
        if number:
            return _BY_NUMBER[number]
    return None


def behind(payment_method: Obj) -> Card:
    """The card a payment method stands for."""
    number = payment_method["_"]["number"]
    return _BY_NUMBER.get(number) or by_iban(number)


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
