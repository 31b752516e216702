"""The price list: plans, prices and features, read from one TOML file once per process.

from billing import catalog
catalog.current().plan("pro").allowances["ai_generations"].quantity
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from billing.catalog.model import (
    Allowance,
    Answer,
    Catalog,
    Company,
    Feature,
    Plan,
    Rollover,
    Seats,
    UnknownFeature,
    UnknownPack,
    UnknownPlan,
    UnknownPrice,
)
from billing.catalog.reading import CatalogError, load
from billing.catalog.sold import Pack, Price, Tier

__all__ = [
    "Allowance",
    "Answer",
    "Catalog",
    "CatalogError",
    "Company",
    "Feature",
    "Pack",
    "Plan",
    "Price",
    "Rollover",
    "Seats",
    "Tier",
    "UnknownFeature",
    "UnknownPack",
    "UnknownPlan",
    "UnknownPrice",
    "current",
    "file_of",
    "load",
    "names",
]


def current() -> Catalog:
    """The catalog that settings.BILLING_CATALOG names; read once per process. Raises CatalogError."""
    # By the words of the settings: a path is slow to compare, and this is asked for with every unit.
    return _read_once(settings.BILLING_CATALOG, settings.BILLING_CATALOG_DIR)


def file_of(name: str) -> Path:
    """`kaboot` is config/catalogs/kaboot.toml; a name ending in .toml is a path of its own."""
    if name.endswith(".toml"):
        return Path(name)
    return Path(settings.BILLING_CATALOG_DIR) / f"{name}.toml"


def names() -> list[str]:
    """The catalogs that come with the house, by name."""
    return sorted(path.stem for path in Path(settings.BILLING_CATALOG_DIR).glob("*.toml"))


@lru_cache(maxsize=32)
def _read_once(name: str, folder: Path) -> Catalog:
    return load(file_of(name))
