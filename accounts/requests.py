"""A request as a view behind `account_required` sees it: a person, an account, and their membership."""

from django.http import HttpRequest

from accounts.models import Account, Member, User


class AccountRequest(HttpRequest):
    """For type annotations only; the attributes are set by `accounts.middleware`."""

    user: User
    account: Account
    member: Member
    memberships: list[Member]
