"""People and accounts for the tests, as the front door would have made them."""

import factory
from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts.models import Account, Member, User

PASSWORD = "correct horse battery staple"


class UserFactory(factory.django.DjangoModelFactory):
    """A person whose password is PASSWORD."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@example.com")
    name = factory.Sequence(lambda n: f"Person {n}")
    password = factory.django.Password(PASSWORD)


class OrganizationFactory(factory.django.DjangoModelFactory):
    """An organization without members."""

    class Meta:
        model = Account

    kind = Account.Kind.ORGANIZATION
    name = factory.Sequence(lambda n: f"Organization {n}")
    created_at = factory.LazyFunction(timezone.now)


class PersonalAccountFactory(factory.django.DjangoModelFactory):
    """A person's own account; its membership is added by `person`."""

    class Meta:
        model = Account

    kind = Account.Kind.PERSONAL
    name = factory.LazyAttribute(lambda account: account.person.name)
    person = factory.SubFactory(UserFactory)
    created_at = factory.LazyFunction(timezone.now)


class MemberFactory(factory.django.DjangoModelFactory):
    """A person in an account."""

    class Meta:
        model = Member

    account = factory.SubFactory(OrganizationFactory)
    user = factory.SubFactory(UserFactory)
    role = Member.Role.MEMBER
    joined_at = factory.LazyFunction(timezone.now)


def person(**fields: object) -> User:
    """Somebody who signed up: verified address and a personal account they own."""
    user: User = UserFactory(**fields)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    if not Account.objects.filter(person=user).exists():
        MemberFactory(account=PersonalAccountFactory(person=user), user=user, role=Member.Role.OWNER)
    return user


def organization(*, owner: User, **fields: object) -> Account:
    """An organization with its owner."""
    account: Account = OrganizationFactory(**fields)
    MemberFactory(account=account, user=owner, role=Member.Role.OWNER)
    return account
