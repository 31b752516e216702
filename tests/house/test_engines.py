"""What a whole run tests on one engine alone is nothing in which engines differ, and is tested on that one."""

import re
from itertools import combinations

import pytest
from _pytest.mark.expression import Expression

from tests import stages
from tests.stack import engines

# How a test is about the engine: several at once, what a commit keeps, promises of the database, its own SQL.
ABOUT_THE_ENGINE = re.compile(
    r"\bthreading\b|\bThread|\bmultiprocessing\b|\bsubprocess\b|\bdjango\.db\b|\bIntegrityError\b"
    r"|\bselect_for_update\b|\batomic\(|\bconnections?\.|\bcursor\(|\bpostgres\b|\bsqlite\b"
)


def test_what_runs_once_is_there_and_named_once():
    named = [name for names in engines.ONCE.values() for name in names]

    assert [name for name in named if not (engines.TESTS / name).is_file()] == []
    assert len(named) == len(set(named))


def test_what_runs_once_uses_nothing_in_which_engines_differ():
    found = {
        name: sorted(set(ABOUT_THE_ENGINE.findall((engines.TESTS / name).read_text())))
        for names in engines.ONCE.values()
        for name in names
    }

    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "marks", [marks for n in range(3) for marks in combinations(["no_database", "once"], n)]
)
def test_a_whole_run_leaves_nothing_out_on_both_engines(marks: tuple[str, ...]):
    chosen = [Expression.compile(option[1]) for option in (stages.BUT_ONCE, stages.ON_POSTGRES)]

    assert any(expression.evaluate(lambda name, /, **_: name in marks) for expression in chosen)
