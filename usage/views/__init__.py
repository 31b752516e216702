"""The pages about use: what is left, what was done, budgets, the demo's button, and the API described."""

from usage.views.api import api_description
from usage.views.demo import demo
from usage.views.overview import overview

__all__ = ["api_description", "demo", "overview"]
