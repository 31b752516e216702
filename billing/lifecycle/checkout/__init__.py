"""The way to the till: one open checkout per account, opened only when nothing is bought yet, and the way back."""

from billing.lifecycle.checkout.offering import MOST_SEATS, check_standing
from billing.lifecycle.checkout.refusals import (
    AlreadySubscribed,
    BadQuantity,
    CheckoutRefused,
    NotForSale,
    NotYours,
    WrongAudience,
)
from billing.lifecycle.checkout.visits import Outcome, close_tills, complete, start
from billing.lifecycle.lease import LeaseTaken as Busy
from billing.lifecycle.portal import open_portal

__all__ = [
    "MOST_SEATS",
    "AlreadySubscribed",
    "BadQuantity",
    "Busy",
    "CheckoutRefused",
    "NotForSale",
    "NotYours",
    "Outcome",
    "WrongAudience",
    "check_standing",
    "close_tills",
    "complete",
    "open_portal",
    "start",
]
