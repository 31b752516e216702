"""WHO: people, their accounts, the keys of their machines, and what they are told. Knows nothing of money."""

from accounts.models.notifications import (
    Delivery,
    DeliveryAttempt,
    Destination,
    InboxEntry,
    MailPreference,
    Notification,
)
from accounts.models.people import (
    Account,
    AccountQuerySet,
    ApiKey,
    ApiKeyQuerySet,
    Invitation,
    Member,
    Scope,
    User,
    UserManager,
    every_scope,
)

__all__ = [
    "Account",
    "AccountQuerySet",
    "ApiKey",
    "ApiKeyQuerySet",
    "Delivery",
    "DeliveryAttempt",
    "Destination",
    "InboxEntry",
    "Invitation",
    "MailPreference",
    "Member",
    "Notification",
    "Scope",
    "User",
    "UserManager",
    "every_scope",
]
