"""What the button of a card does: the one next act that is right for this plan and this viewer."""

from __future__ import annotations

from enum import StrEnum

from billing.catalog import Catalog, Plan
from billing.pricing.viewer import Viewer
from billing.seats import MEMBERS


class Act(StrEnum):
    """What the button of a card does."""

    SIGN_UP = "sign_up"  # a visitor
    BUY = "buy"
    HERE = "here"  # the plan in force and nothing to do about it
    MANAGE = "manage"  # what is paid for, or was and is not any more
    RESUME = "resume"  # it would end; take that back
    LEAVE = "leave"  # from a paid plan to the free one
    SWITCH = "switch"  # another paid plan: its receipt comes first
    TALK = "talk"  # sold by people, or not sold in what the account pays in
    ON_HOLD = "on_hold"  # blocked: nothing is sold until staff lift it
    ASK = "ask"  # a member without the right to buy
    ORGANIZATION = "organization"  # for organizations, and this is a person
    PERSON = "person"  # for a person, and this is an organization
    TOO_SMALL = "too_small"  # more people than the plan has room for


def right_for(plan: Plan, catalog: Catalog, viewer: Viewer) -> Act:
    """The first that applies; buying is the last."""
    rights, account = viewer.rights, viewer.account
    if plan.contact_sales and not (rights and rights.plan.key == plan.key):
        return Act.TALK
    if rights is None or account is None:
        return Act.SIGN_UP
    subscription = rights.subscription
    has_bought = subscription is not None and not rights.may_check_out
    may_bill = viewer.member is not None and viewer.member.may_bill
    if subscription is not None and has_bought and subscription.plan_key == plan.key:
        if not may_bill:
            return Act.HERE
        # Nothing goes on that would be charged while a lost dispute keeps the account on hold.
        may_resume = subscription.is_canceling and not subscription.is_fixed_term
        return Act.RESUME if may_resume and rights.reason != "dispute_lost" else Act.MANAGE
    if rights.plan.key == plan.key:
        return Act.HERE
    if not plan.suits(account.kind):
        return Act.ORGANIZATION if plan.audience == "organization" else Act.PERSON
    if not may_bill:
        return Act.ASK
    if plan.key == catalog.default_plan.key:
        return Act.LEAVE if has_bought else Act.HERE
    if rights.is_blocked:
        return Act.ON_HOLD
    room = plan.limits.get(MEMBERS)
    if room is not None and viewer.people > room:
        return Act.TOO_SMALL
    if viewer.pays_in and not any(price.is_sold_in(viewer.pays_in) for price in plan.prices):
        return Act.TALK
    return Act.SWITCH if has_bought else Act.BUY
