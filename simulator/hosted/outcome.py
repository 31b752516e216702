"""How a try on a hosted page ended."""

from dataclasses import dataclass

from simulator.errors import StripeError


@dataclass(frozen=True)
class Outcome:
    """`paid`, `declined` (with what to tell the customer) or `requires_action` (with the intent to
    authenticate).
    """

    status: str
    message: str | None = None
    code: str | None = None
    decline_code: str | None = None
    intent: str | None = None

    @classmethod
    def declined(cls, error: StripeError) -> "Outcome":
        """The refusal as the page shows it."""
        return cls("declined", error.message, error.facts.get("code"), error.facts.get("decline_code"))


class NotOpen(ValueError):
    """The session has been completed or has expired: nothing more can be paid in it."""
