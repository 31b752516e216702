"""`./run test`: the suite on SQLite, on PostgreSQL and Redis, the browser journeys; lint and Stripe's own tools beside.

`stripe-live`, the contract's scenarios against a real account in test mode, is never part of it: it runs when named.
"""

import os
import re
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests import chromium, servers, stages
from tests.contract import live
from tests.stages import Going

ROOT = Path(__file__).resolve().parent.parent
OK, FAILED, NOT_RUN = "ok", "FAILED", "not run"

STAGES: dict[str, Callable[[Going], str]] = {
    "lint": stages.lint,
    "sqlite": stages.sqlite,
    "postgres": stages.postgres,
    "journeys": stages.journeys,
    "conformance": stages.conformance,
    "stripe-live": stages.stripe_live,
}
USUAL = ["lint", "sqlite", "postgres", "journeys", "conformance"]
# These two run beside the others, with what the tests leave idle while they wait for clocks and for each other. SQLite
# beside PostgreSQL took longer than one after the other: six processes of tests wait for two processors.
BESIDE = {"lint", "conformance"}


@dataclass(frozen=True)
class Outcome:
    """How one stage went."""

    stage: str
    ended: str  # ok, FAILED or not run
    seconds: float
    said: str


def main(words: list[str]) -> int:
    """Run the stages named (all, when none is); 0 when every one passed. See `./run help`."""
    os.chdir(ROOT)
    wanted = USUAL
    if words and words[0] == "--fast":
        wanted, words = ["lint", "sqlite"], words[1:]
    elif words and words[0] in STAGES:
        wanted, words = [words[0]], words[1:]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tallyhouse-run-") as home:
        os.environ["TEST_LOADED_DATABASES"] = home
        outcomes = _do_all(wanted, words)
    if wanted == ["conformance"]:  # Asked for by name, it has to run.
        outcomes = [
            replace(outcome, ended=FAILED) if outcome.ended == NOT_RUN else outcome for outcome in outcomes
        ]
    _summarise(outcomes, time.monotonic() - began)
    return 1 if any(outcome.ended == FAILED for outcome in outcomes) else 0


def _do_all(wanted: list[str], words: list[str]) -> list[Outcome]:
    """One after the other; those of BESIDE in a row of their own, which speaks when each of them has ended."""
    first = [name for name in wanted if name not in BESIDE]
    is_whole = wanted == USUAL
    outcomes: dict[str, Outcome] = {}

    def beside() -> None:
        for name in wanted:
            if name in BESIDE:
                heard: list[str] = []
                outcomes[name] = _do(name, Going(words, heard.append, gives_way=True, in_whole_run=is_whole))
                _say("\n".join(heard) + f"\n=== end of {name}")

    if not first:
        return [_do(name, Going(words, _say)) for name in wanted]
    second = threading.Thread(target=beside, name="beside", daemon=True)
    second.start()
    for name in first:
        outcomes[name] = _do(name, Going(words, _say, in_whole_run=is_whole))
    second.join()
    return [outcomes[name] for name in wanted]


def _do(name: str, going: Going) -> Outcome:
    going.say(f"\n=== {name} " + "=" * (74 - len(name)))
    began = time.monotonic()
    try:
        said, ended = STAGES[name](going), OK
    except stages.StageNotRun as lack:
        said, ended = str(lack), NOT_RUN
        going.say(f"Not run: {said}")
    except (stages.StageFailed, servers.ServerMissing, chromium.ChromiumMissing, live.WrongKey) as problem:
        said, ended = str(problem), FAILED
        going.say(said)
    return Outcome(name, ended, time.monotonic() - began, said)


def _summarise(outcomes: list[Outcome], seconds: float) -> None:
    _say("\n" + "=" * 80)
    for outcome in outcomes:
        _say(f"{outcome.ended:9}{outcome.stage:12}{outcome.seconds:7.1f} s   {outcome.said}")
    passed = sum(int(found[1]) for outcome in outcomes if (found := re.search(r"(\d+) passed", outcome.said)))
    ends = {outcome.ended for outcome in outcomes}
    ended = (
        "SOMETHING FAILED"
        if FAILED in ends
        else "All stages that ran passed"
        if NOT_RUN in ends
        else "All stages passed"
    )
    if ends != {NOT_RUN}:
        _say(f"{ended}: {passed} passed in {seconds:.1f} s, {_processor_seconds():.0f} processor seconds")


def _processor_seconds() -> float:
    """Of everything that was started and has ended: on a busy machine a better measure than the clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
