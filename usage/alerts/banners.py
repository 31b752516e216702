"""What the banner says about money for units: the budget is used up, or another plan would cost less."""

from __future__ import annotations

from billing import money
from billing.entitlements import Entitlements
from billing.notices import Notice
from usage.alerts import sums
from usage.metering import spending
from usage.models import Budget


def of(rights: Entitlements, *, may_bill: bool) -> list[Notice]:
    """Nothing where nothing is paid by the unit. What would cost less is said to those who can choose it."""
    if not spending.prices(rights):
        return []
    spent = spending.spent(rights)
    month = spending.month(rights)
    found = []
    budget = Budget.objects.filter(account=rights.account).first()
    if budget is not None and sums.is_used_up(rights, budget, spent):
        words = money.text(budget.amount, rights.currency)
        found.append(Notice("budget_reached", at=month.end, budget=words))
    better = sums.cheaper(rights, spent=spent) if may_bill else None
    if better is not None:
        found.append(
            Notice(
                "cheaper_plan",
                plan=better.plan.name,
                spent=money.text(better.spent, better.currency, short=True),
                price=money.text(better.amount, better.currency, short=True),
            )
        )
    return found
