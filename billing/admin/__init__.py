"""The room's staff pages: what was bought and paid, letters, effects, grants, and the mirror of Stripe."""

from billing.admin import (
    changes,
    credits,
    deals,
    effects,
    grants,
    leaving,
    letters,
    mirrored,
    price_rises,
    purchases,
)

__all__ = [
    "changes",
    "credits",
    "deals",
    "effects",
    "grants",
    "leaving",
    "letters",
    "mirrored",
    "price_rises",
    "purchases",
]
