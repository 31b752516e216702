"""`{% notice %}`: the one banner under the header, worded for whoever looks at it."""

from typing import Any

from django import template
from django.template.loader import render_to_string

from accounts.models import Account, Member
from billing import catalog, clock, credits, notices, seats
from billing import rights as rights_of_request
from billing.changes import telling
from billing.entitlements import Entitlements
from billing.models import PlanChange
from billing.notices import Notice
from usage import metering
from usage.alerts import banners
from usage.metering import Balance, windows
from usage.periods import Period

register = template.Library()

LOW = 0.8


@register.simple_tag(takes_context=True)
def notice(context: dict[str, Any]) -> str:
    """The page's one notice, or nothing for visitors, and nothing where the page itself says it (`quiet_notice`)."""
    request = context.get("request")
    account = getattr(request, "account", None)
    if request is None or account is None or context.get("quiet_notice"):
        return ""
    rights = rights_of_request.of(request)
    now = rights.now
    may_bill = request.member is not None and request.member.may_bill
    about_money = banners.of(rights, may_bill=may_bill)
    candidates = [notices.of(rights), _seats_notice(rights), *_allowance_notices(rights), *about_money]
    found = notices.first(candidates)
    if found is None:
        return ""
    return render_to_string(
        f"billing/notices/_{'admin' if may_bill else 'member'}_{found.kind}.html",
        {
            "notice": found,
            "now": now,
            "rights": rights,
            "account": account,
            "ask": None if may_bill else _whom_to_ask(account),
        },
        request=request,
    )


@register.simple_tag
def planned_change(account: Account) -> PlanChange | None:
    """The change of plan that waits for its payment, else the one that waits for the period's end."""
    waiting = PlanChange.objects.filter(account=account, state__in=["waiting", "scheduled"])
    return waiting.order_by("is_later").first()


@register.simple_tag
def change_set_aside(account: Account) -> PlanChange | None:
    """What is planned for the period's end if the change that waits for its payment is not confirmed."""
    return PlanChange.objects.filter(account=account, state="set_aside").order_by("-pk").first()


@register.filter
def ends_of(change: PlanChange) -> dict[str, str]:
    """`before` and `after` of a change, in words."""
    return telling.names(change)


def _seats_notice(rights: Entitlements) -> Notice | None:
    """More people than seats, as after a change at Stripe itself."""
    if rights.plan.seats is None:
        return None
    standing = seats.standing(rights.account, now=clock.wall())
    if not standing.is_over:
        return None
    return Notice("seats_over", used=standing.taken, limit=standing.bought or 0)


def _allowance_notices(rights: Entitlements) -> list[Notice]:
    found = []
    ahead = {balance.feature for balance in credits.balances(rights.account, now=rights.now)}
    for balance in metering.balances(rights.account, now=rights.now, rights=rights):
        if not balance.limit or balance.feature in ahead:
            continue  # unlimited, metered, nothing granted, or credits beyond it: there is no end to warn of
        kind = "allowance_exhausted" if balance.used >= balance.limit else "allowance_low"
        feature = catalog.current().feature(balance.feature)
        if balance.used >= LOW * balance.limit or not balance.remaining:
            found.append(
                Notice(
                    kind,
                    at=balance.period_end,
                    unit=feature.unit_one if balance.limit == 1 else feature.unit_many,
                    used=balance.used,
                    held=balance.reserved,
                    limit=balance.limit,
                    helps=_what_helps(balance),
                )
            )
    return found


def _what_helps(balance: Balance) -> str:
    """Nobody is sent to look at plans of which none gives more."""
    if balance.is_metered:
        return "budget"  # what is paid by the unit has no other end
    period = Period(balance.period_start, balance.period_end)
    if windows.is_more_sold(balance.feature, limit=balance.limit or 0, period=period):
        return "plans"
    sells_packs = any(pack.feature == balance.feature for pack in catalog.current().packs)
    return "credits" if sells_packs else "contact"


def _whom_to_ask(account: Account) -> Member | None:
    """The owner a member is sent to; only the names of one's own account are shown."""
    owner: Member | None = (
        account.members.filter(role=Member.Role.OWNER).select_related("user").order_by("joined_at").first()
    )
    return owner
