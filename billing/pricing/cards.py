"""A card for every plan for sale, as one viewer sees it, and the headings they stand under."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import Account
from billing import money
from billing.catalog import Catalog, Pack, Plan
from billing.pricing import acts, fitting, tags
from billing.pricing.acts import Act
from billing.pricing.tags import Tag
from billing.pricing.viewer import Viewer


@dataclass(frozen=True)
class Offer:
    """One card."""

    plan: Plan
    act: Act
    is_current: bool
    month: Tag | None
    year: Tag | None
    # "From 59 tokens a month on, Pro costs less."
    break_even: str
    # "You used 212 runs this month; this plan has 100."
    tight: tuple[str, ...]
    next_step: str

    @property
    def tags(self) -> list[tuple[str, Tag]]:
        """The prices with the part of the month/year switch they belong to; "" is shown in both positions."""
        if self.month and self.year:
            return [("m", self.month), ("y", self.year)]
        return [("", tag) for tag in (self.month, self.year) if tag]


def offers(catalog: Catalog, viewer: Viewer) -> list[Offer]:
    """A card for every plan for sale, in the catalog's order."""
    return [_offer(plan, catalog, viewer) for plan in catalog.for_sale()]


def _offer(plan: Plan, catalog: Catalog, viewer: Viewer) -> Offer:
    return Offer(
        plan=plan,
        act=acts.right_for(plan, catalog, viewer),
        is_current=viewer.rights is not None and viewer.rights.plan.key == plan.key,
        month=tags.of(plan, "month", catalog, viewer),
        year=tags.of(plan, "year", catalog, viewer),
        break_even=fitting.break_even(plan, catalog),
        tight=tuple(fitting.too_little(plan, catalog, viewer)),
        next_step=fitting.next_step(plan, catalog),
    )


def groups(shown: list[Offer], viewer: Viewer) -> list[tuple[str, list[Offer]]]:
    """The cards under headings, when people and organizations are sold different plans; else without.

    What everybody may have stands with what the viewer may have, and that comes first.
    """
    audiences = {offer.plan.audience for offer in shown}
    if not {"individual", "organization"} <= audiences:
        return [("", shown)]
    is_organization = viewer.account is not None and viewer.account.kind == Account.Kind.ORGANIZATION
    other = "individual" if is_organization else "organization"
    suiting = [offer for offer in shown if offer.plan.audience != other]
    rest = [offer for offer in shown if offer.plan.audience == other]
    if is_organization:
        return [("For organizations", suiting), ("For yourself", rest)]
    return [("For yourself", suiting), ("For organizations", rest)]


def packs(catalog: Catalog) -> list[tuple[Pack, str]]:
    """What can be bought ahead, with what it holds in words."""
    return [(pack, money.pack_phrase(pack, catalog.feature(pack.feature))) for pack in catalog.packs]
