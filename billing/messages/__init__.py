"""What customers are told about their money and plans: read off the rows before and after a sync, once per fact."""

from billing.messages.following import Before, before, tell

__all__ = ["Before", "before", "tell"]
