"""People, the accounts they act for, and the keys their machines use."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower


class UserManager(BaseUserManager["User"]):
    """People log in by e-mail address; there are no user names."""

    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> User:
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})


class User(AbstractUser):
    """A person. What they may do depends on the account they act for (Member.role)."""

    username = None  # type: ignore[assignment]
    email = models.EmailField("e-mail address", unique=True)
    name = models.CharField(max_length=150, blank=True)

    # The account they acted for last, in whatever browser: signing in anew begins there.
    last_account = models.ForeignKey(
        "Account", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="one_user_per_email_whatever_the_case"),
        ]

    def __str__(self) -> str:
        return self.email


class AccountQuerySet(models.QuerySet["Account"]):
    def of(self, user: User) -> AccountQuerySet:
        """The accounts this person may act for."""
        return self.filter(members__user=user).distinct()

    def by_id_alone(self, account_id: uuid.UUID) -> Account:
        """The account as far as its id tells, without a query.

        Whoever needs more of it reads it then, or learns that there is none (Account.DoesNotExist).
        """
        return self.model.from_db(self.db, ["id"], [account_id])


class Account(models.Model):
    """The billed party: a person alone or an organization. Everything bought or used belongs to one."""

    class Kind(models.TextChoices):
        PERSONAL = "personal", "Personal"
        ORGANIZATION = "organization", "Organization"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=12, choices=Kind)
    name = models.CharField(max_length=120)
    # Where receipts go. Empty: to the owner's address.
    billing_email = models.EmailField(blank=True)
    # Daily limits count this zone's days. Changing it grants nothing: an open window stays as it was opened.
    timezone = models.CharField(max_length=64, default="UTC")
    # The person a personal account belongs to; empty for an organization, whose owners are members.
    person = models.OneToOneField(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="personal_account"
    )
    created_at = models.DateTimeField()
    # Closed for good: nobody is a member, nothing personal is left, the books stay.
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = AccountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="personal", person__isnull=False)
                | models.Q(kind="organization", person__isnull=True),
                name="a_personal_account_has_its_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"

    @property
    def email(self) -> str:
        """Where mail about money goes."""
        if self.billing_email:
            return self.billing_email
        owner = (
            self.members.filter(role=Member.Role.OWNER).select_related("user").order_by("joined_at").first()
        )
        return owner.user.email if owner else ""


class Member(models.Model):
    """A person in an account. Owner and admin touch billing; member uses; guest reads and takes no seat."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        ADMIN = "admin", "Admin"
        MEMBER = "member", "Member"
        GUEST = "guest", "Guest"

    # Who may buy, change, cancel and see invoices.
    BILLING_ROLES = (Role.OWNER, Role.ADMIN)

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    joined_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "user"], name="one_membership_per_person_and_account"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.account}"

    @property
    def role_phrase(self) -> str:
        """The role after "you are": "an owner", "a guest"."""
        return with_article(self.get_role_display().lower())

    @property
    def may_bill(self) -> bool:
        """May buy, change, cancel and see invoices."""
        return self.role in self.BILLING_ROLES

    @property
    def may_use(self) -> bool:
        """May use what the account bought; a guest only reads."""
        return self.role != self.Role.GUEST


class Invitation(models.Model):
    """A letter that lets one address join one account once. Only the token's hash is kept."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=8, choices=Member.Role, default=Member.Role.MEMBER)
    token_digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                "account",
                condition=models.Q(accepted_at__isnull=True, revoked_at__isnull=True),
                name="one_open_invitation_per_address_and_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.account}"

    @property
    def role_phrase(self) -> str:
        """The role after "to join as": "an admin", "a guest"."""
        return with_article(self.get_role_display().lower())

    def is_open(self, now: datetime) -> bool:
        return self.accepted_at is None and self.revoked_at is None and now < self.expires_at


def with_article(word: str) -> str:
    """ "an owner", "a guest"."""
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


class Scope(models.TextChoices):
    """What a key may do. A call beyond its scopes is refused, whatever the plan includes."""

    READ = "read", "See balances, acts, entitlements and prices. It changes nothing and costs nothing."
    COUNT = (
        "usage:write",
        "Count, hold and settle units. It uses up what the account has, or what it pays for.",
    )
    STANDING = "limits:write", "Claim and release projects, storage and running slots."
    BUDGETS = "budgets:write", "Change budgets, which say how much may be spent."


def every_scope() -> list[str]:
    return list(Scope.values)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self, now: datetime) -> ApiKeyQuerySet:
        return self.filter(revoked_at__isnull=True).filter(
            models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now)
        )


class ApiKey(models.Model):
    """A machine's way in: an account key acts for its account, a service key names the account in a call."""

    class Kind(models.TextChoices):
        ACCOUNT = "account", "Account key"
        SERVICE = "service", "Service key"

    kind = models.CharField(max_length=8, choices=Kind)
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, null=True, blank=True, related_name="api_keys"
    )
    name = models.CharField(max_length=80)
    # The first characters, so that a person can tell keys apart; the key itself is shown once and not kept.
    prefix = models.CharField(max_length=24)
    # SHA-256 of the whole key: 178 random bits need no slow hash; one would cost every call 100 ms.
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=every_scope)
    # The key that took over when this one was rolled; until `expires_at` both work.
    replaced_by = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replaces"
    )
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="account", account__isnull=False)
                | models.Q(kind="service", account__isnull=True),
                name="an_account_key_has_its_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_usable(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
