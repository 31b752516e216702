"""From a TOML file to a Catalog, or to every mistake in it at once."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from billing.catalog import priced, rules
from billing.catalog.model import (
    Allowance,
    Answer,
    Audience,
    Catalog,
    Company,
    Feature,
    Kind,
    Per,
    Plan,
    Rollover,
    Seats,
    TrialIdentity,
)
from billing.catalog.table import Table, listed, meant, shown

AUDIENCES: tuple[Audience, ...] = ("individual", "organization", "any")
KINDS: tuple[Kind, ...] = ("switch", "limit", "allowance", "metered")
PERIODS: tuple[Per, ...] = ("day", "week", "month")
IDENTITIES: tuple[TrialIdentity, ...] = ("account", "email", "card")
METER_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
# Stripe: a trial is at most 730 days; https://docs.stripe.com/billing/subscriptions/trials
LONGEST_TRIAL_DAYS = 730
# Units are not carried further than so many windows; each is looked at when a window opens.
MOST_WINDOWS = 36


class CatalogError(Exception):
    """The price list has mistakes. `problems`: one sentence each, naming the file and the key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path) -> Catalog:
    """The catalog in this file. Raises CatalogError with every mistake found."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        others = sorted(file.stem for file in path.parent.glob("*.toml"))
        hint = f"; BILLING_CATALOG may be {listed(others)} or a path ending in .toml" if others else ""
        raise CatalogError([f"{path.name}: there is no such file in {path.parent}{hint}"]) from None
    except UnicodeDecodeError:
        raise CatalogError([f"{path.name}: is not UTF-8 text; save it as UTF-8"]) from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogError([f"{path.name}: is not TOML: {error}"]) from None
    problems: list[str] = []
    catalog = _catalog(Table(values, path="", problems=problems), key=path.stem)
    problems += rules.broken(catalog)
    if problems:
        raise CatalogError([f"{path.name}: {problem}" for problem in problems])
    return catalog


def _catalog(table: Table, *, key: str) -> Catalog:
    name = table.text("name")
    currency = priced.currency(table, "currency", fallback=None)
    features = _features(table.table("features"))
    plans = _plans(table.table("plans"), features=features, currency=currency)
    if not plans:
        table.complain("plans", "there is none; write at least the [plans.…] everybody starts with")
    identity = tuple(table.texts("trial_identity")) or IDENTITIES
    for word in identity:
        if word not in IDENTITIES:
            table.complain(
                "trial_identity", f"knows {listed(IDENTITIES)}, got {shown(word)}{meant(word, IDENTITIES)}"
            )
    catalog = Catalog(
        key=key,
        name=name,
        tagline=table.text("tagline", ""),
        currency=currency,
        company=_company(table.table("company"), name=name),
        default_plan=_default_plan(table, plans),
        plans=plans,
        features=features,
        trial_identity=tuple(word for word in IDENTITIES if word in identity),
        tax_note=table.text("tax_note", ""),
        trust=tuple(table.texts("trust")),
        faq=tuple(_answer(entry) for entry in table.tables("faq")),
        fingerprint=_fingerprint(table.values),
        packs=tuple(priced.pack(entry, currency=currency) for entry in table.tables("packs")),
        promotion_codes="promotion_codes" not in table.values or table.flag("promotion_codes"),
    )
    table.finish()
    return catalog


def _default_plan(table: Table, plans: dict[str, Plan]) -> Plan:
    key = table.text("default_plan")
    if key and key not in plans:
        table.complain("default_plan", f"there is no [plans.{key}]{meant(key, plans)}")
    nothing = Plan(key=key, name=key, summary="", audience="any", rank=0)
    return plans.get(key, nothing)


def _company(table: Table, *, name: str) -> Company:
    company = Company(
        name=table.text("name", name),
        support_email=_address(table, "support_email", required=True),
        sales_email=_address(table, "sales_email"),
        address=table.text("address", ""),
        terms_url=table.text("terms_url", ""),
        privacy_url=table.text("privacy_url", ""),
    )
    for key in ("terms_url", "privacy_url"):
        url = getattr(company, key)
        if url and not url.startswith(("https://", "/")):
            table.complain(key, f"must begin with https:// or /, got {shown(url)}")
    table.finish()
    return company


def _address(table: Table, key: str, *, required: bool = False) -> str:
    address = table.text(key, None if required else "")
    if address and not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
        table.complain(key, f"must be an e-mail address, got {shown(address)}")
    return address


def _answer(table: Table) -> Answer:
    answer = Answer(question=table.text("question"), answer=table.text("answer"))
    table.finish()
    return answer


def _features(table: Table) -> dict[str, Feature]:
    return {key: _feature(table.table(key), key=key) for key in table.entries()}


def _feature(table: Table, *, key: str) -> Feature:
    kind = table.choice("kind", KINDS)
    unit = table.texts("unit")
    if len(unit) not in (0, 2) or (not unit and kind not in ("switch", None)):
        table.complain(
            "unit", f'must be one and many, such as ["run", "runs"], got {shown(table.get("unit"))}'
        )
    meter = table.text("meter_event_name", "")
    if kind == "metered" and not METER_NAME.fullmatch(meter):
        table.complain(
            "meter_event_name", f"must name Stripe's meter for a metered feature, got {shown(meter or None)}"
        )
    if kind not in ("metered", None) and meter:
        table.complain("meter_event_name", f"is for metered features; this one's kind is {shown(kind)}")
    feature = Feature(
        key=key,
        name=table.text("name"),
        unit_one=unit[0] if unit else "",
        unit_many=unit[-1] if unit else "",
        # An unreadable kind is complained about here and left empty, so that no plan is blamed for it too.
        kind=kind or "",  # type: ignore[arg-type]
        meter_event_name=meter or None,
        hint=table.text("hint", ""),
    )
    table.finish()
    return feature


def _plans(table: Table, *, features: dict[str, Feature], currency: str) -> dict[str, Plan]:
    return {
        key: _plan(table.table(key), key=key, rank=rank, features=features, currency=currency)
        for rank, key in enumerate(table.entries())
    }


def _plan(table: Table, *, key: str, rank: int, features: dict[str, Feature], currency: str) -> Plan:
    plan = Plan(
        key=key,
        name=table.text("name"),
        summary=table.text("summary", ""),
        audience=table.choice("audience", AUDIENCES, "any") or "any",
        rank=table.whole("rank", fallback=rank),
        prices=tuple(
            priced.price(entry, plan_key=key, currency=currency) for entry in table.tables("prices")
        ),
        switches=frozenset(table.texts("switches")),
        limits=_limits(table.table("limits"), features),
        allowances=_allowances(table.table("allowances")),
        metered=frozenset(table.texts("metered")),
        seats=_seats(table),
        trial_days=table.whole("trial_days", fallback=0, high=LONGEST_TRIAL_DAYS, unit="days"),
        trial_needs_card=not table.flag("trial_without_card"),
        grace_days=table.whole("grace_days", fallback=0, high=365, unit="days"),
        money_back_days=table.whole("money_back_days", fallback=0, high=365, unit="days"),
        pause_months=table.whole("pause_months", fallback=0, high=12, unit="months"),
        retired=table.flag("retired"),
        contact_sales=table.flag("contact_sales"),
        popular=table.flag("popular"),
        selling_points=tuple(table.texts("selling_points")),
        facts=_facts(table.table("facts")),
    )
    table.finish()
    return plan


def _limits(table: Table, features: dict[str, Feature]) -> dict[str, int | None]:
    return {
        key: table.whole_or_unlimited(key, is_bytes=key in features and features[key].is_bytes)
        for key in table.entries()
    }


def _allowances(table: Table) -> dict[str, Allowance]:
    return {key: _allowance(table.table(key), feature=key) for key in table.entries()}


def _allowance(table: Table, *, feature: str) -> Allowance:
    allowance = Allowance(
        feature=feature,
        quantity=table.whole_or_unlimited("quantity"),
        per=table.choice("per", PERIODS) or "month",
        rollover=_rollover(table),
        forgive=table.whole("forgive", fallback=0, unit="units"),
    )
    table.finish()
    return allowance


def _rollover(allowance: Table) -> Rollover | None:
    if allowance.get("rollover") is None:
        return None
    table = allowance.table("rollover")
    rollover = Rollover(
        cap=None if table.get("cap") is None else table.whole_or_unlimited("cap"),
        windows=table.whole("windows", fallback=1, low=1, high=MOST_WINDOWS, unit="windows"),
    )
    table.finish()
    return rollover


def _facts(table: Table) -> dict[str, str]:
    return {label: table.text(label) for label in table.values}


def _seats(plan: Table) -> Seats | None:
    table = plan.table("seats")
    if plan.get("seats") is None:
        return None
    seats = Seats(
        min=table.whole("min", fallback=1, low=1, high=1_000_000, unit="number"),
        max=None if table.get("max") is None else table.whole("max", low=1, high=1_000_000, unit="number"),
        ladder=table.text("ladder", ""),
        follow_members=table.flag("follow_members"),
    )
    table.finish()
    return seats


def _fingerprint(values: dict[str, Any]) -> str:
    content = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
