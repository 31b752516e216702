"""The soak of the counting in small: `./run soak usage` is the same with 500 rounds and killed backends."""

import pytest

from soaks import usage as soak

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


def test_processes_that_use_up_an_allowance_together_get_exactly_the_limit() -> None:
    verdict = soak.soak(rounds=3, processes=4, threads=1, attempts=40, limit=100, kill_every=0, seed=1)

    assert verdict.faults == []
    assert (verdict.granted, verdict.refused) == (300, 180)


def test_threads_whose_acts_travel_together_get_exactly_the_limit_too() -> None:
    verdict = soak.soak(rounds=3, processes=2, threads=4, attempts=20, limit=100, kill_every=0, seed=1)

    assert verdict.faults == []
    assert (verdict.granted, verdict.refused) == (300, 180)
