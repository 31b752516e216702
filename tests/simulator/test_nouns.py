"""A noun is told in its own file: how its ids begin, what it is found by, what can be searched."""

from __future__ import annotations

import pytest
import stripe

from simulator import nouns, view
from simulator.core import Simulator
from tests.simulator.shop import Shop


def test_the_longest_beginning_of_an_id_decides_what_it_names(sim: Simulator) -> None:
    assert nouns.kind_of("sub_sched_1") == "subscription_schedule"
    assert nouns.kind_of("sub_1") == "subscription"
    assert nouns.kind_of("nobody_1") is None


def test_what_a_file_says_of_its_noun_is_all_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Said here and forgotten after the test.
    monkeypatch.setitem(nouns.PREFIXES, "gadget", "")
    monkeypatch.setitem(nouns.INDEXES, "gadget", ())
    monkeypatch.setattr(nouns, "_LONGEST_FIRST", list(nouns._LONGEST_FIRST))

    nouns.noun("gadget", "gdg_", found_by=("customer",))

    sim = Simulator()
    gadget = {"id": "gdg_1", "object": "gadget", "customer": "cus_1"}
    sim.save(gadget)
    assert view.fetch(sim, "gdg_1") == gadget
    assert sim.store.find("gadget", "customer", "cus_1") == [gadget]


@pytest.mark.parametrize(
    "noun", ["customers", "subscriptions", "invoices", "prices", "products", "charges", "payment_intents"]
)
def test_each_searchable_noun_answers_and_knows_what_it_cannot_be_asked(shop: Shop, noun: str) -> None:
    service = getattr(shop.v1, noun)

    assert service.search({"query": 'metadata["a"]:"b"'}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="unsupported search field"):
        service.search({"query": 'colour:"red"'})
