"""Whatever price list a founder writes down, that is the one that is read."""

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from billing import catalog

keys = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
# Any letters, signs and emoji; quotes and backslashes too. Surrounding blanks are not kept.
words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)
quantities = st.one_of(st.just("unlimited"), st.integers(0, 10**12))
days = st.integers(0, 365)
KINDS = ["switch", "limit", "allowance", "metered"]


@st.composite
def price_lists(draw):
    """A valid price list as the tables a founder would write."""
    features = draw(st.dictionaries(keys, st.sampled_from(KINDS), max_size=6))
    of_kind = {kind: [key for key, its in features.items() if its == kind] for kind in KINDS}
    countable = of_kind["allowance"] + of_kind["metered"]
    start, *others = draw(st.lists(keys, min_size=1, max_size=4, unique=True))
    return {
        "name": draw(words),
        "currency": draw(st.sampled_from(["usd", "eur", "jpy", "kwd"])),
        "default_plan": start,
        "company": {"support_email": "help@shop.example"},
        "features": {key: draw(features_of(key, kind)) for key, kind in features.items()},
        "plans": {
            start: {"name": draw(words)},
            **{key: draw(paid_plans(key, of_kind)) for key in others},
        },
        "packs": [
            draw(packs(number, countable)) for number in range(draw(st.integers(0, 3)) if countable else 0)
        ],
    }


@st.composite
def features_of(draw, key, kind):
    feature = {
        "name": draw(words),
        "kind": kind,
        "unit": draw(st.lists(words, min_size=2, max_size=2, unique=True)),
    }
    return feature | ({"meter_event_name": f"{key}_used"} if kind == "metered" else {})


@st.composite
def packs(draw, number, countable):
    return {
        "lookup_key": f"pack.{number}",
        "name": draw(words),
        "feature": draw(st.sampled_from(countable)),
        "units": draw(st.integers(1, 10**9)),
        "amount": draw(st.integers(1, 99_999_999)),
        "priority": draw(st.integers(0, 1000)),
        **draw(st.sampled_from([{}, {"expires_days": 1}, {"expires_days": 3650}])),
    }


@st.composite
def paid_plans(draw, key, of_kind):
    some = {
        kind: draw(st.lists(st.sampled_from(of_kind[kind]), unique=True)) if of_kind[kind] else []
        for kind in KINDS
    }
    every = draw(st.lists(st.sampled_from(["month", "year"]), min_size=1, unique=True))
    seats = draw(st.none() | st.tuples(st.integers(1, 50), st.none() | st.integers(50, 500)))
    prices = [
        {
            "lookup_key": f"{key}.{interval}",
            "amount": draw(st.integers(1, 99_999_999)),
            "interval": interval,
            "per_seat": seats is not None,
        }
        for interval in every
    ]
    metered = [
        {
            "lookup_key": f"{key}.{interval}.{feature}",
            "amount": draw(st.integers(1, 10_000)),
            "interval": interval,
            "meter": feature,
        }
        for feature in some["metered"]
        for interval in every
    ]
    plan = {
        "name": draw(words),
        "summary": draw(words),
        "audience": draw(st.sampled_from(["organization", "any"])),
        "switches": some["switch"],
        "metered": some["metered"],
        "trial_days": draw(days),
        "grace_days": draw(days),
        "money_back_days": draw(days),
        "pause_months": draw(st.integers(0, 12)) if "month" in every else 0,
        "retired": draw(st.booleans()),
        "selling_points": draw(st.lists(words, max_size=3, unique=True)),
        "limits": {limit: draw(quantities) for limit in some["limit"]},
        "allowances": {
            allowance: {"quantity": draw(quantities), "per": draw(st.sampled_from(["day", "week", "month"]))}
            for allowance in some["allowance"]
        },
        "prices": prices + metered,
    }
    if seats is not None:
        plan["seats"] = {"min": seats[0]} | ({"max": seats[1]} if seats[1] is not None else {})
    return plan


@given(written=price_lists())
def test_a_written_price_list_is_read_as_it_was_written(written):
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "shop.toml"
        file.write_text(toml(written), encoding="utf-8")

        read = catalog.load(file)

    assert (read.name, read.currency, read.default_plan.key) == (
        written["name"],
        written["currency"],
        written["default_plan"],
    )
    assert {key: feature.kind for key, feature in read.features.items()} == {
        key: feature["kind"] for key, feature in written["features"].items()
    }
    assert list(read.plans) == list(written["plans"])
    for key, wrote in written["plans"].items():
        assert as_written(read.plan(key)) == {
            **BARE,
            **wrote,
            "switches": sorted(wrote.get("switches", [])),
        } | {"metered": sorted(wrote.get("metered", []))}
    assert [
        {
            key: getattr(pack, key)
            for key in ("lookup_key", "name", "feature", "units", "amount", "priority", "expires_days")
        }
        for pack in read.packs
    ] == [{"expires_days": None, **pack} for pack in written["packs"]]
    assert [price.currency for price in read.prices()] == [written["currency"]] * len(read.prices())


BARE = {
    "summary": "",
    "audience": "any",
    "trial_days": 0,
    "grace_days": 0,
    "money_back_days": 0,
    "pause_months": 0,
    "retired": False,
    "selling_points": [],
    "limits": {},
    "allowances": {},
    "prices": [],
}


def as_written(plan):
    """A read plan in the words of the file."""
    return {
        "name": plan.name,
        "summary": plan.summary,
        "audience": plan.audience,
        "switches": sorted(plan.switches),
        "metered": sorted(plan.metered),
        "trial_days": plan.trial_days,
        "grace_days": plan.grace_days,
        "money_back_days": plan.money_back_days,
        "pause_months": plan.pause_months,
        "retired": plan.retired,
        "selling_points": list(plan.selling_points),
        "limits": {key: unlimited(limit) for key, limit in plan.limits.items()},
        "allowances": {
            key: {"quantity": unlimited(allowance.quantity), "per": allowance.per}
            for key, allowance in plan.allowances.items()
        },
        "prices": [
            {"lookup_key": price.lookup_key, "amount": price.amount, "interval": price.interval}
            | ({"meter": price.meter} if price.meter else {"per_seat": price.per_seat})
            for price in plan.prices
        ],
    } | (
        {"seats": {"min": plan.seats.min} | ({"max": plan.seats.max} if plan.seats.max is not None else {})}
        if plan.seats
        else {}
    )


def unlimited(quantity):
    return "unlimited" if quantity is None else quantity


def toml(values):
    """Tables as TOML: JSON's strings, numbers and booleans are TOML's too; tables are written inline."""
    return "\n".join(f"{key} = {inline(value)}" for key, value in values.items())


def inline(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(entry) for entry in value) + "]"
    return json.dumps(value, ensure_ascii=False)
