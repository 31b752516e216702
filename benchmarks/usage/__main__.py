"""The numbers of usage, each within one run on a PostgreSQL with durability on.

    .venv/bin/python -m benchmarks.usage [counting] [http] [windows] [pages]
        [--seconds 3] [--rounds 3] [--clients 16] [--processes 2]

counting  `metering.consume` beside pgbench and beside the ORM, and what the roll-up costs
http      POST /api/v1/usage and /api/v1/usage/batch beside a view that asks the database for 1, on the same server
windows   the first act of a new month beside any other, among --accounts 1,000,000
pages     the usage page on --rows 10,000,000 acts, a tenth of them one account's

Without a name all of them. `--flush-ms 1` gives the server a slower disk.
Starts a server of its own, or takes DATABASE_URL (its database is written to).
"""

from __future__ import annotations

import argparse

from benchmarks.usage import counting, house, http, pages, windows

MEASURES = {
    "counting": counting.measure,
    "http": http.measure,
    "windows": windows.measure,
    "pages": pages.measure,
}


def main() -> None:
    options = _options()
    with house.database(flush_ms=options.flush_ms) as url:
        house.prepare()
        for name in options.measures or MEASURES:
            MEASURES[name](url, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.usage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, []], help="default: all of them")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument(
        "--processes", type=int, default=2, help="How many processes the clients of `counting` are in."
    )
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--flush-ms", type=int, default=0, help="Make the server's disk slower by so much.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
