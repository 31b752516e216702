"""The public price list; somebody who is signed in sees their own plan in it."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.models import Account, Member, User
from billing import catalog, clock, comparison, entitlements, estimates, pricing
from billing.catalog import Catalog
from billing.leaving import refund_window
from billing.lifecycle import trials
from billing.models import Customer
from billing.price_rises import coming
from billing.pricing import Viewer
from usage import metering

# In the session: the currency prices are shown in.
CURRENCY = "currency"


@require_GET
@never_cache
def pricing_page(request: HttpRequest) -> HttpResponse:
    """All plans for sale. `?every=year` opens it with the yearly prices; else it opens as the viewer pays."""
    viewer = _viewer(request)
    fixed = viewer.pays_in
    prices = catalog.current().in_currency(fixed or _chosen_currency(request))
    offers = pricing.offers(prices, viewer)
    rights = viewer.rights
    return render(
        request,
        "billing/pricing.html",
        {
            "catalog": prices,
            "tax_note": prices.tax_note if settings.STRIPE_AUTOMATIC_TAX else "",
            "groups": pricing.groups(offers, viewer),
            "offers": offers,
            "rights": rights,
            # Shown apart, because no card stands for a plan that is not sold any more.
            "kept_plan": rights.plan if rights is not None and rights.plan.retired else None,
            "subscription": rights.subscription if rights is not None else None,
            "owner": _owner(viewer.account) if viewer.member and not viewer.member.may_bill else None,
            "has_switch": pricing.has_both(prices),
            "saving": pricing.best_saving(prices),
            "every": _every(request, viewer),
            "plans": prices.for_sale(),
            "rows": comparison.rows(prices),
            # What is chosen once is kept: there is nothing to choose after the first purchase.
            "currencies": () if fixed else catalog.current().currencies,
            # Their first purchase was in something that is not sold any more.
            "pays_in": fixed if fixed not in ("", *catalog.current().currencies) else "",
            "list_currency": catalog.current().currency,
            "next_charge": _next_charge(viewer),
            "countable": estimates.countable(prices),
            "sought": _estimate(request, prices),
            "has_money_back": _is_promised_money_back(viewer, request),
            "packs": pricing.packs(prices),
            "sales_email": prices.company.sales_email or prices.company.support_email,
        },
    )


def _viewer(request: HttpRequest) -> Viewer:
    account: Account | None = getattr(request, "account", None)
    member: Member | None = getattr(request, "member", None)
    if account is None or member is None or not isinstance(request.user, User):
        return Viewer(now=clock.wall())
    now = clock.now(account)
    rights = entitlements.of(account, now=now)
    return Viewer(
        now=now,
        account=account,
        member=member,
        rights=rights,
        pays_in=_fixed_currency(account),
        people=account.members.exclude(role=Member.Role.GUEST).count(),
        trials={
            plan.key: trials.days_for(account=account, plan=plan, user=request.user)
            for plan in catalog.current().for_sale()
            if plan.trial_days
        },
        used={
            balance.feature: balance.used for balance in metering.balances(account, now=now, rights=rights)
        },
    )


def _is_promised_money_back(viewer: Viewer, request: HttpRequest) -> bool:
    """A visitor is promised it; who had it, or paid before, is not promised it again."""
    if viewer.account is None or not isinstance(request.user, User):
        return True
    return refund_window.is_promised_to(viewer.account, by=request.user, now=viewer.now)


def _estimate(request: HttpRequest, prices: Catalog) -> dict[str, object]:
    """`?units=60&unit=tokens`: what so many cost on each plan; nothing where that cannot be read."""
    text, countable = request.GET.get("units", ""), estimates.countable(prices)
    feature = next((one for one in countable if one.key == request.GET.get("unit")), None)
    if feature is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return {}
    units = int(text)
    return {"feature": feature, "units": units, "found": estimates.of(prices, feature, units)}


def _next_charge(viewer: Viewer) -> int | None:
    """What the viewer's own plan costs at its next payment: they may have it at an older price, or with a discount."""
    rights = viewer.rights
    if rights is None or rights.subscription is None or viewer.member is None or not viewer.member.may_bill:
        return None
    subscription = rights.subscription
    if rights.reason not in ("active", "trialing") or rights.pays_by_use:
        return None
    return coming.next_charge(subscription, rise=coming.rise_of(subscription, now=viewer.now))


def _every(request: HttpRequest, viewer: Viewer) -> str:
    asked = request.GET.get("every")
    if asked in ("month", "year"):
        return asked
    bought = viewer.rights.subscription if viewer.rights is not None else None
    price = pricing.price_of(bought) if bought is not None else None
    return "year" if price is not None and price.interval == "year" else "month"


def _fixed_currency(account: Account) -> str:
    """What the account pays in since its first purchase; empty before it."""
    customer = Customer.objects.filter(account=account).first()
    return customer.currency if customer else ""


def _chosen_currency(request: HttpRequest) -> str:
    """`?currency=eur`, kept for the next look."""
    wanted = request.GET.get("currency", "")
    if wanted in catalog.current().currencies:
        request.session[CURRENCY] = wanted
    return str(request.session.get(CURRENCY, catalog.current().currency))


def _owner(account: Account | None) -> str:
    """Whom a member asks: only the name of somebody in their own account."""
    owners = account.members.filter(role=Member.Role.OWNER).select_related("user") if account else ()
    return next((member.user.name or member.user.email for member in owners), "the owner")
