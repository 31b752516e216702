"""`./run soak NAME …`: which soak, and the rest of the words are for it."""

import importlib
import sys

SOAKS = {
    "life": "years in the life of customers of all five businesses, held against a calculation of its own",
    "meters": "units on their way to Stripe's meters through drops, refusals, failures and kills",
    "usage": "one allowance used up by many processes at once while PostgreSQL's backends are killed",
}


def main(words: list[str]) -> int:
    """Run the soak named; the exit status is 0 when nothing was lost and nothing came twice."""
    if not words or words[0] not in SOAKS:
        known = "\n".join(f"  ./run soak {name:10} {what}" for name, what in SOAKS.items())
        print(f"Which soak? Each takes --help.\n{known}")
        return 0 if words[:1] in ([], ["--help"], ["-h"]) else 1
    return int(importlib.import_module(f"soaks.{words[0]}").main(words[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
