"""Limits a customer sets for themselves: money for units paid one by one, and units for a single member.

Both only make less possible than the plan allows. Counting enforces them (`metering`), from the next act on.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import Account, Member, User
from billing import catalog, currencies, grants
from billing.lifecycle import customers
from usage.models import Budget, MemberBudget

# Eight digits, as the largest charge at Stripe: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MOST_AMOUNT = 99_999_999
MOST_UNITS = 1_000_000_000


class BadBudget(ValueError):
    """This cannot be a budget; the text is for the customer."""


def set_budget(*, account: Account, amount: int, now: datetime, by: User | None) -> Budget:
    """Let units paid one by one cost `amount` (minor units of the currency it pays in) a billing month at most.

    Zero: none are paid. What has been used already stays and is billed. Raises BadBudget.
    """
    if type(amount) is not int or not 0 <= amount <= MOST_AMOUNT:
        raise BadBudget("A budget is an amount of money from zero up. Write a smaller one.")
    customers.row(account)
    with transaction.atomic():
        grants.rights_changed(account)
        budget, _ = Budget.objects.update_or_create(
            account=account,
            defaults={
                "amount": amount,
                "currency": currencies.of(account.pk),
                "set_by": by,
                "changed_at": now,
            },
        )
    return budget


def clear_budget(*, account: Account) -> bool:
    """Let the plan alone decide again; answers whether there was a budget."""
    with transaction.atomic():
        grants.rights_changed(account)
        deleted, _ = Budget.objects.filter(account=account).delete()
    return bool(deleted)


def set_member_budget(
    *, account: Account, user: User, feature: str, units: int, now: datetime, by: User | None
) -> MemberBudget:
    """Let this member use `units` of `feature` per usage window at most, of what the organization has.

    Zero: none at all. Raises BadBudget for someone who is not a member who may use, and for what is not counted.
    """
    if account.kind != Account.Kind.ORGANIZATION:
        raise BadBudget("Budgets for members are for organizations; you are the only one here.")
    member = Member.objects.filter(account=account, user=user).first()
    if member is None:
        raise BadBudget("This person is not in your organization any more. Reload the page.")
    if not member.may_use:
        raise BadBudget("Guests only read, so there is nothing to limit.")
    if feature not in countable():
        raise BadBudget("Your price list counts nothing of that name. Choose one from the list.")
    if type(units) is not int or not 0 <= units <= MOST_UNITS:
        raise BadBudget(f"Units must be a whole number from 0 to {MOST_UNITS:,}.")
    customers.row(account)
    with transaction.atomic():
        grants.rights_changed(account)
        budget, _ = MemberBudget.objects.update_or_create(
            account=account,
            user=user,
            feature=feature,
            defaults={"units": units, "set_by": by, "changed_at": now},
        )
    return budget


def clear_member_budget(*, account: Account, user: User, feature: str) -> bool:
    """Let this member use what the organization has; answers whether there was a budget."""
    with transaction.atomic():
        grants.rights_changed(account)
        deleted, _ = MemberBudget.objects.filter(account=account, user=user, feature=feature).delete()
    return bool(deleted)


def countable() -> dict[str, catalog.Feature]:
    """The features a member can be given a budget of, in the catalog's order."""
    features = catalog.current().features
    return {key: feature for key, feature in features.items() if feature.kind in ("allowance", "metered")}
