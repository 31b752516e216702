"""The price list as one visitor sees it: each plan with its price and the right next act. Pure."""

from billing.pricing.cards import Offer, groups, offers, packs
from billing.pricing.paid import price_of
from billing.pricing.savings import best_saving, has_both
from billing.pricing.viewer import Viewer

__all__ = ["Offer", "Viewer", "best_saving", "groups", "has_both", "offers", "packs", "price_of"]
