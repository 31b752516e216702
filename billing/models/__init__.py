"""WHAT THEY BOUGHT, as rows: the account at Stripe, its subscriptions and payments, the letters and the effects."""

from billing.models.changes import PlanChange
from billing.models.checkout import CheckoutIntent, TrialRedemption
from billing.models.credits import CreditEntry, CreditGrant
from billing.models.customer import Customer
from billing.models.deals import Enquiry, Offer
from billing.models.effects import Alert, Effect
from billing.models.grants import PlanGrant
from billing.models.leaving import Departure, Withdrawal
from billing.models.payments import Payment
from billing.models.price_rises import PriceRise, PriceRiseStep
from billing.models.prices import PriceUse
from billing.models.subscriptions import Subscription, SubscriptionItem
from billing.models.webhooks import WebhookEvent, WebhookRejection

__all__ = [
    "Alert",
    "CheckoutIntent",
    "CreditEntry",
    "CreditGrant",
    "Customer",
    "Departure",
    "Effect",
    "Enquiry",
    "Offer",
    "Payment",
    "PlanChange",
    "PlanGrant",
    "PriceRise",
    "PriceRiseStep",
    "PriceUse",
    "Subscription",
    "SubscriptionItem",
    "TrialRedemption",
    "WebhookEvent",
    "WebhookRejection",
    "Withdrawal",
]
