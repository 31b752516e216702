"""The HTTP API below /api/v1/, for products that live beside this project and for pages inside it."""

from usage.api import batch, funds, reservations, standing
from usage.api.routes import api

batch.install(api)
standing.install(api)
funds.install(api)
reservations.install(api)

__all__ = ["api"]
