"""The pages people see: hosted Checkout, the customer portal, invoices, the 3-D Secure step, the overview."""

from __future__ import annotations

from simulator.pages.routes import respond

__all__ = ["respond"]
