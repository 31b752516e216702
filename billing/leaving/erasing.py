"""What sales, contracts, withdrawals and letters know of a person: names and words go, the facts of a contract stay."""

from __future__ import annotations

import re
from datetime import datetime

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import Q

from accounts.closing import CLOSED_NAME, NOBODY
from accounts.models import Account, Member
from billing import effects
from billing.models import Alert, Customer, Departure, Effect, Enquiry, Offer, WebhookEvent, Withdrawal
from billing.stripe import mirror
from config import mailbox

# Mail about what is over with the account. All other mail that is still owed leaves first and is forgotten then:
# a confirmation of withdrawal is owed by law (Directive (EU) 2023/2673).
POINTLESS = ("mail:offer:", "mail:enquiry:")
# Who wrote for an organization that goes on without them.
FORMER_MEMBER = "A former member"


def of_account(account: Account, *, now: datetime) -> None:
    """In the transaction that closes `account`, while it still has its name.

    With a personal account, what its person wrote without a log-in goes too: it is found by their verified addresses,
    as anybody can type an address that is not theirs. What they wrote for an organization that goes on is the
    organization's: only who they were goes. A declaration of withdrawal that nobody has decided keeps name and address
    until then, because it must be answered.
    """
    addresses = proven_addresses(account)
    nobody = NOBODY.format(number=account.pk.hex)
    enquiries = Enquiry.objects.filter(own(account, addresses))
    numbers = list(enquiries.values_list("pk", flat=True))
    enquiries.filter(state__in=[Enquiry.State.NEW, Enquiry.State.TALKING, Enquiry.State.OFFERED]).update(
        state=Enquiry.State.LOST
    )
    Enquiry.objects.filter(pk__in=numbers).update(
        name=CLOSED_NAME, email=nobody, company="", message="", note=""
    )
    Alert.objects.filter(key__in=[f"enquiry:{number}" for number in numbers], resolved_at=None).update(
        resolved_at=now
    )
    offers = Offer.objects.filter(account=account)
    offers.filter(state=Offer.State.OPEN).update(state=Offer.State.WITHDRAWN)
    offers.update(recipient=nobody)
    offers.exclude(accepted_email="").update(accepted_name=CLOSED_NAME, accepted_email=nobody)
    written_for_others = list(Enquiry.objects.filter(elsewhere(account, addresses)).select_related("account"))
    for enquiry in written_for_others:
        _of_its_writer(enquiry, account, addresses)
    declared = Withdrawal.objects.filter(by(account, addresses))
    declared.filter(account=None).update(account=account)
    # First, so that whoever decides one meanwhile waits for us or is waited for.
    declared.update(is_erased_once_decided=True)
    for withdrawal in declared.exclude(state=Withdrawal.State.RECEIVED):
        of_withdrawal(withdrawal)
    Departure.objects.filter(account=account).update(comment="", user=None)
    _of_mails(account, addresses, numbers, now=now)
    _of_mails_of_others(account, addresses, [enquiry.pk for enquiry in written_for_others])
    for alert in Alert.objects.filter(account=account):
        words = alert.message.replace(account.name, CLOSED_NAME)
        Alert.objects.filter(pk=alert.pk).exclude(message=words).update(message=words)
    customer = Customer.objects.filter(account=account).first()
    if customer is not None:
        ids = [one for one in (customer.stripe_customer_id, *customer.former_stripe_ids) if one]
        letters = WebhookEvent.objects.filter(stripe_customer_id__in=ids)
        letters.exclude(state__in=WebhookEvent.WAITING).strip()
        mirror.anonymise(ids)
    transaction.on_commit(lambda: mailbox.forget(account=str(account.pk), addresses=addresses))


def of_withdrawal(withdrawal: Withdrawal) -> None:
    """Once it is decided: its reference, when it came and what became of it stay."""
    Withdrawal.objects.filter(pk=withdrawal.pk).update(
        name=CLOSED_NAME, email=NOBODY.format(number=withdrawal.reference.lower()), contract="", note=""
    )


def undecided(account: Account) -> list[str]:
    """The references of the withdrawals that keep name and address until they are decided."""
    declared = Withdrawal.objects.filter(
        by(account, proven_addresses(account)), state=Withdrawal.State.RECEIVED
    )
    return list(declared.order_by("received_at").values_list("reference", flat=True))


def proven_addresses(account: Account) -> set[str]:
    """In lower case, of the person a personal account belongs to; an organization has none of its own."""
    found = EmailAddress.objects.filter(user=account.person_id, verified=True).values_list("email", flat=True)
    return {address.lower() for address in found} if account.person_id else set()


def by(account: Account, addresses: set[str], *, column: str = "email") -> Q:
    """Rows of the account, and those that name one of its person's `addresses`."""
    return Q(account=account) | _naming(addresses, column)


def own(account: Account, addresses: set[str], *, column: str = "email") -> Q:
    """Rows of the account, and those of no account that name one of its person's `addresses`."""
    return Q(account=account) | _naming(addresses, column) & Q(account=None)


def elsewhere(account: Account, addresses: set[str], *, column: str = "email") -> Q:
    """Rows of other accounts that name one of its person's `addresses`."""
    return _naming(addresses, column) & Q(account__isnull=False) & ~Q(account=account)


def _naming(addresses: set[str], column: str) -> Q:
    found = Q(pk__in=[])
    for address in addresses:
        found |= Q(**{f"{column}__iexact": address})
    return found


def _of_its_writer(enquiry: Enquiry, account: Account, addresses: set[str]) -> None:
    """An organization's enquiry: what is asked stays, and whom to answer is the organization."""
    assert enquiry.account is not None
    said = {}
    for field in ("message", "note"):
        words = getattr(enquiry, field)
        for personal in sorted({enquiry.name, account.name, enquiry.email, *addresses} - {""}, key=len)[::-1]:
            words = re.sub(rf"(?<!\w){re.escape(personal)}(?!\w)", FORMER_MEMBER, words, flags=re.IGNORECASE)
        said[field] = words[:4000]
    Enquiry.objects.filter(pk=enquiry.pk).update(
        name=FORMER_MEMBER, email=_whom_to_answer(enquiry.account, account, addresses), **said
    )


def _whom_to_answer(organization: Account, leaving: Account, addresses: set[str]) -> str:
    if organization.billing_email and organization.billing_email.lower() not in addresses:
        return organization.billing_email
    owners = organization.members.filter(role=Member.Role.OWNER).exclude(user=leaving.person_id)
    owner = owners.select_related("user").order_by("joined_at").first()
    return owner.user.email if owner else NOBODY.format(number=organization.pk.hex)


def _of_mails(account: Account, addresses: set[str], enquiries: list[int], *, now: datetime) -> None:
    about = own(account, addresses, column="detail__to")
    about |= Q(key__in=[f"mail:enquiry:{number}" for number in enquiries])
    mails = Effect.objects.filter(about, kind="mail")
    pointless = Q()
    for beginning in POINTLESS:
        pointless |= Q(key__startswith=beginning)
    mails.filter(pointless, done_at=None).update(done_at=now, next_attempt_at=None)
    mails.filter(done_at=None).update(account=account)
    mails.exclude(done_at=None).update(detail={}, last_error="")


def _of_mails_of_others(account: Account, addresses: set[str], enquiries: list[int]) -> None:
    """An organization's mail to its person, and to sales about what they wrote: what is owed still leaves, and is
    forgotten then.
    """
    about = elsewhere(account, addresses, column="detail__to")
    about |= Q(key__in=[f"mail:enquiry:{number}" for number in enquiries])
    mails = Effect.objects.filter(about, kind="mail")
    mails.exclude(done_at=None).update(detail={}, last_error="")
    for mail in mails.filter(done_at=None).select_for_update():
        Effect.objects.filter(pk=mail.pk).update(detail={**mail.detail, effects.FORGET: True})
