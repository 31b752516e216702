"""The room's staff pages: what was bought and paid, letters, effects, grants, and the mirror of Stripe."""

from billing.admin import credits, effects, grants, leaving, letters, mirrored, purchases

__all__ = ["credits", "effects", "grants", "leaving", "letters", "mirrored", "purchases"]
