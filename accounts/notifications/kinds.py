"""Everything somebody may be told: its name, its heading in the preferences, and whether mail of it can be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Category = Literal["billing", "security", "usage", "team"]

# Headings of the preferences page, in its order.
CATEGORIES: dict[Category, str] = {
    "billing": "Billing",
    "security": "Security",
    "usage": "Usage",
    "team": "Members",
}
# Money and doors: who pays, or whose key it is, must hear of it.
ALWAYS_BY_MAIL: tuple[Category, ...] = ("billing", "security")


class UnknownKind(KeyError):
    """Nothing of this name is told; the words of every kind are in templates/notifications/."""

    def __str__(self) -> str:
        return f"There is no notification of the kind {self.args[0]!r}."


@dataclass(frozen=True)
class Kind:
    """One kind of notification. Its words are in templates/notifications/<name>.txt."""

    name: str
    label: str
    category: Category
    # Whether it comes by mail to those who have not said otherwise.
    by_mail: bool = True
    is_urgent: bool = False
    # Whether a person is asked about mail of it.
    is_listed: bool = True

    @property
    def may_refuse_mail(self) -> bool:
        return self.category not in ALWAYS_BY_MAIL


_ALL = (
    Kind("receipt", "A payment went through", "billing"),
    Kind("upcoming_charge", "A charge is coming", "billing"),
    Kind("yearly_renewal", "A yearly plan renews soon", "billing"),
    Kind("invoice_sent", "An invoice is to be paid", "billing"),
    Kind("invoice_overdue", "An invoice is overdue", "billing", is_urgent=True),
    Kind("plan_off", "The plan is off because an invoice is overdue", "billing", is_urgent=True),
    Kind("payment_failed", "A payment failed", "billing", is_urgent=True),
    Kind("action_required", "A payment waits for your confirmation", "billing", is_urgent=True),
    Kind("card_missing", "There is no card for the next charge", "billing", is_urgent=True),
    Kind("trial_started", "A trial began", "billing"),
    Kind("trial_ending", "A trial ends soon", "billing"),
    Kind("trial_converted", "A trial became a paid plan", "billing"),
    Kind("trial_failed", "A trial ended without payment", "billing", is_urgent=True),
    Kind("plan_started", "A plan began", "billing"),
    Kind("plan_changed", "The plan changed", "billing"),
    Kind("downgrade_scheduled", "A change of plan is planned", "billing"),
    Kind("downgrade_undone", "A planned change was taken back", "billing"),
    Kind("price_rise", "A price will rise", "billing"),
    Kind("price_rise_off", "A price does not rise after all", "billing"),
    Kind("seats_changed", "The number of seats changed", "billing"),
    Kind("canceled", "The plan was canceled", "billing"),
    Kind("resumed", "A cancellation was taken back", "billing"),
    Kind("ended", "The plan ended", "billing"),
    Kind("paused", "The plan was paused", "billing"),
    Kind("unpaused", "A paused plan goes on", "billing"),
    Kind("refunded", "Money was given back", "billing"),
    Kind("dispute_opened", "A payment is disputed", "billing", is_urgent=True),
    Kind("dispute_won", "A dispute is over, in your favor or withdrawn", "billing"),
    Kind("dispute_lost", "A disputed payment was taken back", "billing", is_urgent=True),
    Kind("sign_in_changed", "How you sign in changed", "security"),
    Kind("api_key_made", "An API key was made", "security"),
    Kind("api_key_rolled", "An API key was rolled: a new one took its place", "security"),
    Kind("api_key_revoked", "An API key was revoked", "security"),
    Kind("test", "A test of Slack or a webhook", "security", is_listed=False),
    Kind("destination_disabled", "Slack or a webhook was switched off", "security"),
    Kind("quota", "An allowance is nearly used", "usage"),
    Kind("quota_urgent", "An allowance is used up, or almost", "usage", is_urgent=True),
    Kind("allowance_back", "An allowance is back", "usage"),
    Kind("paid_use", "Use beyond the allowance is paid for", "usage"),
    Kind("credits_given", "Credits were given to you", "usage"),
    Kind("credits_ending", "Credits end soon", "usage"),
    Kind("spend", "Usage reached a sum you named", "usage"),
    Kind("budget_reached", "Usage reached the budget", "usage", is_urgent=True),
    Kind("over_limit", "More is kept than the plan gives", "usage"),
    Kind("cheaper_plan", "Another plan would cost less", "usage"),
    Kind("invited", "Somebody invites you", "team"),
    Kind("member_joined", "Somebody joined", "team"),
    Kind("member_removed", "Somebody left or was removed", "team"),
    Kind("role_changed", "Your role changed", "team"),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}


def find(name: str) -> Kind:
    """Raises UnknownKind."""
    try:
        return KINDS[name]
    except KeyError:
        raise UnknownKind(name) from None
