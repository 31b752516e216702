"""What can go wrong when we ask Stripe, in our own words (https://docs.stripe.com/error-low-level)."""

from __future__ import annotations


class InsideTransaction(RuntimeError):
    """A call to Stripe was attempted inside a database transaction: locks would wait for the network (D5)."""


class StripeError(Exception):
    """Stripe was asked and did not do it. `request_id` finds the call in Stripe's own log."""

    def __init__(self, message: str, *, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class StripeUnavailable(StripeError):
    """Network, timeout, 5xx or rate limit, after the retries.

    `outcome_unknown`: a write was sent and may have happened; repeat it with the same idempotency key.
    `was_replayed`: Stripe saved this answer for the idempotency key. It will not change for 24 hours, so
    a new key is due once a look has shown that nothing was made.
    """

    def __init__(
        self, message: str, *, request_id: str = "", outcome_unknown: bool = False, was_replayed: bool = False
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.outcome_unknown = outcome_unknown
        self.was_replayed = was_replayed


class NotAllowed(StripeError):
    """The key is wrong, revoked or may not do this. Nothing was done; a person must set another key."""


class WrongMode(StripeError):
    """The id exists in the other mode (test or live): the key was switched. No reason to forget the id."""


class InvalidRequest(StripeError):
    """Stripe refused the request as sent; sending it again would be refused again."""

    def __init__(self, message: str, *, request_id: str = "", code: str = "", param: str = "") -> None:
        super().__init__(message, request_id=request_id)
        self.message = message
        self.code = code
        self.param = param


class NotFound(InvalidRequest):
    """There is no such object in this account and mode."""


class CardDeclined(StripeError):
    """The card was refused; `message` is for people. Codes: https://docs.stripe.com/declines/codes."""

    def __init__(self, message: str, *, request_id: str = "", code: str = "", decline_code: str = "") -> None:
        super().__init__(message, request_id=request_id)
        self.message = message
        self.code = code
        self.decline_code = decline_code


class IdempotencyMismatch(StripeError):
    """An idempotency key came again with other parameters: a mistake in our code, never retried."""
