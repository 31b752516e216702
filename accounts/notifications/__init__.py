"""The mail room: `notify` tells people what became true, in the site at once and elsewhere after the commit."""

from accounts.notifications.kinds import UnknownKind
from accounts.notifications.notifying import NotInATransaction, notify, overtake

__all__ = ["NotInATransaction", "UnknownKind", "notify", "overtake"]
