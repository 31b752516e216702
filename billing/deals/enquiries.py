"""Somebody wants to talk: their words are kept once, staff are told, and they wait in the queue."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Account
from billing import alerts, catalog, effects
from billing.models import Enquiry

# The same words of the same person within this time are one enquiry, sent twice.
SAME = timedelta(minutes=30)


def receive(
    *,
    name: str,
    email: str,
    message: str,
    now: datetime,
    company: str = "",
    plan_key: str = "",
    seats: int | None = None,
    account: Account | None = None,
) -> Enquiry:
    """Keep an enquiry, tell staff of it and owe the mail to the sales address. `now` is wall time.

    `account` is given only where a log-in proves it. Pressed twice it is kept once.
    """
    with transaction.atomic():
        again = Enquiry.objects.filter(email=email, message=message, created_at__gt=now - SAME).first()
        if again is not None:
            return again
        enquiry = Enquiry.objects.create(
            name=name,
            email=email,
            company=company,
            plan_key=plan_key,
            seats=seats,
            message=message,
            account=account,
            created_at=now,
        )
        alerts.raise_alert(
            key=f"enquiry:{enquiry.pk}",
            kind="enquiry",
            # Who it is stands in one place, from where it is erased.
            message=f"Somebody wants to talk about {_plan_name(enquiry)}. "
            "Name and words are among the enquiries on the staff pages.",
            account=account,
            now=now,
        )
        sales = catalog.current().company.sales_email
        if sales:
            effects.owe_mail(
                key=f"mail:enquiry:{enquiry.pk}",
                to=sales,
                subject=f"{enquiry.name} asks about {_plan_name(enquiry)}",
                body=_letter(enquiry),
                account=account,
                now=now,
            )
    return enquiry


def _letter(enquiry: Enquiry) -> str:
    said = [
        f"Name: {enquiry.name}",
        f"Address: {enquiry.email}",
        f"Company: {enquiry.company or 'not named'}",
        f"Plan: {_plan_name(enquiry)}",
        f"Seats: {enquiry.seats or 'not named'}",
        "",
        enquiry.message,
    ]
    return "\n".join(said) + "\n"


def _plan_name(enquiry: Enquiry) -> str:
    plan = catalog.current().plans.get(enquiry.plan_key)
    return plan.name if plan else "a contract"
