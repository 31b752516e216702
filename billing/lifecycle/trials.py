"""One trial per person: by account, by proven mail address without its disguises, and by card."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.models import Account, Member, User
from billing import alerts, catalog
from billing.catalog import Plan
from billing.lifecycle.projection import OFFER_KEY
from billing.models import CheckoutIntent, Effect, Subscription, TrialRedemption
from billing.stripe import gateway, shapes
from billing.stripe.truth import Truth

if TYPE_CHECKING:
    from billing.lifecycle.lease import Held

SALT = "tallyhouse.trial"
KIND = "second_trial"
# A buyer's second till is used within its life (checkout.opening.SESSION_LIFE), and seen at once.
RACE = timedelta(hours=24)
# Mailboxes where dots in the name are ignored (https://support.google.com/mail/answer/7436150).
DOTLESS = ("gmail.com", "googlemail.com")


def days_for(*, account: Account, plan: Plan, user: User) -> int:
    """Trial days of a checkout: the plan's, or 0 when this account or person has had a trial of any plan."""
    if plan.trial_days == 0:
        return 0
    identities = [(kind, value) for kind, value in _identities(account, user) if kind in _counted()]
    return 0 if any(_is_redeemed(kind, value) for kind, value in identities) else plan.trial_days


def redeem(
    *,
    account: Account,
    stripe_subscription_id: str,
    emails: Iterable[str],
    card_fingerprint: str = "",
    now: datetime,
) -> None:
    """Record who has begun a trial; recording it again changes nothing. Inside the projecting transaction."""
    known = [(TrialRedemption.Kind.ACCOUNT, str(account.pk))]
    known += [(TrialRedemption.Kind.CARD, card_fingerprint)] if card_fingerprint else []
    if all(_is_redeemed(kind, value) for kind, value in known):
        return
    identities = [(TrialRedemption.Kind.ACCOUNT, str(account.pk))]
    identities += [(TrialRedemption.Kind.EMAIL, normalized(email)) for email in emails if email]
    if card_fingerprint:
        identities.append((TrialRedemption.Kind.CARD, card_fingerprint))
    TrialRedemption.objects.bulk_create(
        [
            TrialRedemption(
                kind=kind,
                identity_digest=_digest(kind, value, settings.SECRET_KEY),
                account=account,
                stripe_subscription_id=stripe_subscription_id,
                redeemed_at=now,
            )
            for kind, value in dict.fromkeys(identities)
        ],
        ignore_conflicts=True,
    )


def note(truth: Truth, *, account: Account, now: datetime) -> None:
    """Redeem the trials among an account's subscriptions at Stripe, however they came about."""
    on_trial = [sub for sub in truth.subscriptions if sub.get("trial_end")]
    if not on_trial:
        return
    assert truth.customer is not None
    owners = User.objects.filter(memberships__account=account, memberships__role=Member.Role.OWNER)
    emails = _proven_emails({*owners.values_list("pk", flat=True), *_buyers(account)})
    for subscription in on_trial:
        # A card that came after the trial had none.
        is_running = subscription["status"] == "trialing"
        redeem(
            account=account,
            stripe_subscription_id=subscription["id"],
            emails=emails,
            card_fingerprint=_fingerprint(subscription, truth) if is_running else "",
            now=now,
        )


def end_second(truth: Truth, *, account: Account, held: Held, now: datetime) -> bool:
    """End a trial whose buyer, or whose card, has had one with another account. Who is known by address gets none at
    the till, unless both tills were open before either was used; a card is known only when it has been entered.

    Nothing is taken: who was told at the till that nothing is due today is not charged for having been told so. The
    plan is not started, and the page says why. It is written down first, so that a crash in between is made good by
    the next sync. Once per subscription: a trial that staff give after it stays. Answers True when one was ended: then
    ask anew. Raises LeaseLost and the gateway's errors.
    """
    for subscription in truth.live():
        # A trial that is part of an offer was given by staff, who know whom.
        is_sold = not (subscription.get("metadata") or {}).get(OFFER_KEY)
        if subscription["status"] == "trialing" and is_sold:
            _write_down(subscription, truth, account=account, held=held, now=now)
    owed = list(Effect.objects.filter(account=account, kind=KIND, done_at__isnull=True).order_by("pk"))
    for effect in owed:
        held.renew()
        became = _refuse(effect.detail["subscription"])
        with held.saving():
            Effect.objects.filter(pk=effect.pk).update(done_at=now)
            alerts.raise_alert(
                key=effect.key,
                kind=KIND,
                message=f"{account} asked for a trial, and its {effect.detail['known']} has had one with another "
                f"account, so it was given none: {became}",
                account=account,
                now=now,
            )
    return bool(owed)


def key_of(subscription_id: str) -> str:
    """Names, among the effects, a second trial that was not given."""
    return f"{KIND}:{subscription_id}"


def _write_down(
    subscription: dict[str, Any], truth: Truth, *, account: Account, held: Held, now: datetime
) -> None:
    key = key_of(subscription["id"])
    if Effect.objects.filter(key=key).exists():
        return
    known = _known_by(subscription, truth, account=account, now=now)
    if known:
        with held.saving():
            Effect.objects.create(
                key=key,
                kind=KIND,
                account=account,
                created_at=now,
                detail={"subscription": subscription["id"], "known": known},
            )


def _known_by(subscription: dict[str, Any], truth: Truth, *, account: Account, now: datetime) -> str:
    """What has had a trial elsewhere: "buyer", "card", or nothing."""
    counted = _counted()
    # An address that is proven later takes nothing away from a trial that was begun in good faith.
    is_young = now - shapes.known_moment(subscription["created"]) < RACE
    if is_young and TrialRedemption.Kind.EMAIL in counted and _had_one_elsewhere(account):
        return "buyer"
    if TrialRedemption.Kind.CARD not in counted:
        return ""
    # A card that comes later, into a trial that was begun in good faith, takes nothing away.
    began = TrialRedemption.objects.filter(account=account, kind=TrialRedemption.Kind.ACCOUNT).exists()
    # Nor is a trial that staff give to a plan that runs already held against a card.
    is_new = not Subscription.objects.filter(stripe_subscription_id=subscription["id"]).exists()
    fingerprint = _fingerprint(subscription, truth) if is_new and not began else ""
    digests = _all_digests(TrialRedemption.Kind.CARD, fingerprint) if fingerprint else []
    elsewhere = TrialRedemption.objects.filter(identity_digest__in=digests).exclude(account=account)
    return "card" if elsewhere.exists() else ""


def _fingerprint(subscription: dict[str, Any], truth: Truth) -> str:
    """The same for a number wherever it is entered
    (https://docs.stripe.com/api/payment_methods/object#payment_method_object-card-fingerprint); "" without a card.
    """
    assert truth.customer is not None
    card = (shapes.default_card(truth.customer, [subscription]) or {}).get("card") or {}
    return card.get("fingerprint") or ""


def was_refused(account: Account) -> str:
    """What had had its trial before, "buyer" or "card", where the account's latest subscription was a second trial;
    else empty.
    """
    latest = Subscription.objects.filter(account=account).order_by("-started_at", "-pk").first()
    if latest is None or latest.is_live:
        return ""
    refused = Effect.objects.filter(key=key_of(latest.stripe_subscription_id)).first()
    return str(refused.detail["known"]) if refused else ""


def _refuse(subscription_id: str) -> str:
    """Over before it began: nothing was due, and nothing will be."""
    try:
        gateway.delete(f"/v1/subscriptions/{subscription_id}", {"invoice_now": False, "prorate": False})
    except gateway.NotFound:
        return f"{subscription_id} had ended already."
    return f"{subscription_id} was ended before it began, and nothing was charged."


def _had_one_elsewhere(account: Account) -> bool:
    digests = [
        digest
        for email in _proven_emails(_buyers(account))
        for digest in _all_digests(TrialRedemption.Kind.EMAIL, normalized(email))
    ]
    return TrialRedemption.objects.filter(identity_digest__in=digests).exclude(account=account).exists()


def normalized(email: str) -> str:
    """The mailbox behind an address: without case, without `+anything`, and for Gmail without dots."""
    name, _, domain = email.strip().lower().rpartition("@")
    name = name.partition("+")[0]
    if domain in DOTLESS:
        name, domain = name.replace(".", ""), "gmail.com"
    return f"{name}@{domain}"


def _identities(account: Account, user: User) -> list[tuple[TrialRedemption.Kind, str]]:
    emails = dict.fromkeys(normalized(email) for email in _proven_emails([user.pk]))
    return [
        (TrialRedemption.Kind.ACCOUNT, str(account.pk)),
        *((TrialRedemption.Kind.EMAIL, email) for email in emails),
    ]


def _counted() -> tuple[str, ...]:
    return catalog.current().trial_identity


def _buyers(account: Account) -> set[int]:
    """Who went to the till for a trial; they need not own the account, and one who turned back is not meant."""
    intents = CheckoutIntent.objects.filter(
        account=account,
        trial_days__gt=0,
        started_by__isnull=False,
        state__in=[CheckoutIntent.State.OPEN, CheckoutIntent.State.COMPLETE],
    )
    return {pk for pk in intents.values_list("started_by", flat=True) if pk is not None}


def _proven_emails(people: Iterable[int]) -> list[str]:
    """Addresses these people have shown to be theirs. An account's billing address is anybody's word, and would
    let one person use up another's trial.
    """
    proven = EmailAddress.objects.filter(user__in=list(people), verified=True)
    return list(proven.values_list("email", flat=True))


def _is_redeemed(kind: str, value: str) -> bool:
    return TrialRedemption.objects.filter(identity_digest__in=_all_digests(kind, value)).exists()


def _all_digests(kind: str, value: str) -> list[str]:
    """Under the present key and the ones it replaced, so that rolling the key gives nobody a second trial."""
    return [_digest(kind, value, key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def _digest(kind: str, value: str, secret: str) -> str:
    return salted_hmac(SALT, f"{kind}:{value}", secret=secret, algorithm="sha256").hexdigest()
