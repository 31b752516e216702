"""What each kind of letter asks us to do. Whatever is not named here is kept and ignored."""

from __future__ import annotations

from enum import StrEnum


class Meaning(StrEnum):
    """What a letter asks for. The letter itself is only the hint; the answer comes from Stripe."""

    SYNC = "sync"  # look at this customer again
    CLOCK = "clock"  # a test clock moved
    DISPUTE = "dispute"  # a charge is disputed, or a dispute is decided
    METER_ERROR = "meter_error"  # Stripe could not count what we reported


# The longest matching beginning decides, so `charge.dispute.` wins over `charge.`.
MEANINGS = {
    "customer.": Meaning.SYNC,
    "checkout.session.": Meaning.SYNC,
    "invoice.": Meaning.SYNC,
    "charge.": Meaning.SYNC,
    "charge.dispute.": Meaning.DISPUTE,
    "payment_method.": Meaning.SYNC,
    "refund.": Meaning.SYNC,
    "subscription_schedule.": Meaning.SYNC,
    "test_helpers.test_clock.": Meaning.CLOCK,
    "v1.billing.meter.error_report_triggered": Meaning.METER_ERROR,
    "v1.billing.meter.no_meter_found": Meaning.METER_ERROR,
}
_LONGEST_FIRST = sorted(MEANINGS.items(), key=lambda pair: -len(pair[0]))


def meaning(type: str) -> Meaning | None:
    """What a letter of this type asks for; None: nothing, it is kept as ignored."""
    return next((asked for beginning, asked in _LONGEST_FIRST if type.startswith(beginning)), None)
