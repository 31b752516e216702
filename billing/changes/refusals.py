"""Why a change of plan or seats cannot be made, each with its way out; nothing has been charged then."""

from __future__ import annotations

from enum import StrEnum


class WayOut(StrEnum):
    """What the page offers instead."""

    PAY = "pay"  # the open invoice
    RESUME = "resume"  # take the cancellation back
    GO_ON = "go_on"  # end the pause
    CARD = "card"  # add or change the card
    CALL_OFF = "call_off"  # the change that waits for its payment
    MEMBERS = "members"  # make room
    SUPPORT = "support"  # write to us
    SALES = "sales"  # ask for an offer
    SEATS = "seats"  # choose another number
    PLANS = "plans"  # choose from the price list
    LATER = "later"


class ChangeRefused(Exception):
    """This change cannot be made now. The text is for the customer; `way_out` is the next step offered beside it."""

    def __init__(self, text: str, *, way_out: WayOut = WayOut.PLANS) -> None:
        super().__init__(text)
        self.way_out = way_out


class NothingBought(Exception):
    """There is no running plan to change: it is bought at the till."""


class Stale(Exception):
    """Something changed between what was shown and the button. The text says what; show the new receipt."""


class Expired(Stale):
    """The receipt is older than it is good for."""


class NotYours(Exception):
    """The token was not made here, for this person and account."""
