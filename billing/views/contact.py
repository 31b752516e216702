"""Talking to sales: the form anybody may send, and what happens next."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import Member
from billing import catalog, clock
from billing.deals import enquiries
from billing.forms import ContactForm
from billing.views import visitors

# From one address within an hour.
MOST_ENQUIRIES = 5
HOUR = 3600


@require_http_methods(["GET", "POST"])
@never_cache
def contact(request: HttpRequest) -> HttpResponse:
    """Ask about a contract; nobody need be logged in. `?plan=enterprise` chooses what it is about."""
    form = ContactForm(
        request.POST if request.method == "POST" else None, initial=_what_is_known(request), plans=_plans()
    )
    if request.method == "POST" and form.is_valid():
        if form.is_machine():
            return redirect("billing:contacted")
        if visitors.is_too_often(request, "enquiries", most=MOST_ENQUIRIES):
            form.add_error(None, "Too many messages came from here. Try again in an hour, or write a mail.")
        else:
            enquiries.receive(
                name=form.cleaned_data["name"],
                email=form.cleaned_data["email"],
                company=form.cleaned_data["company"],
                plan_key=form.cleaned_data["plan"],
                seats=form.cleaned_data["seats"],
                message=form.cleaned_data["message"],
                account=getattr(request, "account", None),
                now=clock.wall(),
            )
            return redirect("billing:contacted")
    company = catalog.current().company
    context = {"form": form, "sales_email": company.sales_email or company.support_email}
    return render(request, "billing/contact.html", context, status=422 if form.errors else 200)


@require_GET
@never_cache
def contacted(request: HttpRequest) -> HttpResponse:
    """The words are kept and a person answers."""
    return render(request, "billing/contacted.html")


def _plans() -> list[tuple[str, str]]:
    """What can be asked about: all that is paid for, what is sold by talking first."""
    paid = [plan for plan in catalog.current().for_sale() if not plan.is_free]
    return [(plan.key, plan.name) for plan in sorted(paid, key=lambda plan: not plan.contact_sales)]


def _what_is_known(request: HttpRequest) -> dict[str, Any]:
    known: dict[str, Any] = {"plan": request.GET.get("plan", "")}
    if request.user.is_authenticated:
        member: Member | None = getattr(request, "member", None)
        known |= {"name": request.user.name, "email": request.user.email}
        if member is not None and member.account.kind == "organization":
            known["company"] = member.account.name
    return known
