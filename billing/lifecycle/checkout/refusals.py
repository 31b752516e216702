"""Why something cannot be bought now; each text says what is the matter and what to do next."""

from __future__ import annotations


class CheckoutRefused(Exception):
    """This cannot be bought now. The text is for the customer: what is the matter and what to do next."""


class AlreadySubscribed(CheckoutRefused):
    """There is a live subscription; it is changed, not bought again."""


class NotForSale(CheckoutRefused):
    """The plan is retired, free, sold by sales, or not known to Stripe; or this account may not buy."""


class BadQuantity(CheckoutRefused):
    """Fewer or more seats than the plan is sold with."""


class WrongAudience(CheckoutRefused):
    """A plan for organizations asked for by a person, or the other way round."""


class NotYours(Exception):
    """No checkout of this account has that id."""
