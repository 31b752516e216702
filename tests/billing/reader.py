"""A worker's process that reads Stripe's letters until it is killed; another is there within milliseconds.

Run as `python -m tests.billing.reader`: it loads the house once and then forks one reader for every line on stdin,
whose process id it answers with. A fork is a process of its own, with connections of its own.
"""

import os
import sys
import time


def main() -> None:
    import django

    django.setup()
    from billing import clock
    from billing.lifecycle import subscriptions
    from billing.stripe import inbox

    print("ready", flush=True)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            while True:
                inbox.drain(now=clock.wall(), limit=50)
                subscriptions.serve_owed(limit=5)
                time.sleep(0.01)
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
