"""The settings of the tests: the real ones, with a throw-away database, broker and Stripe."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.servers import free_port

_var = Path(tempfile.mkdtemp(prefix="tallyhouse-tests-"))
_owner = os.getpid()
for _folder in ("broker", "broker-control", "static"):
    (_var / _folder).mkdir()


def _remove_what_was_written() -> None:
    if os.getpid() == _owner:  # not in a forked child
        shutil.rmtree(_var, ignore_errors=True)


atexit.register(_remove_what_was_written)

# `pytest -n 2` runs several of these at once; each has a Redis database of its own.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_redis = os.environ.get("TEST_REDIS_URL", "")
if _redis:
    _base, _, _number = _redis.rpartition("/")
    _redis = f"{_base}/{int(_number or 0) + _worker}"

WEBHOOK_SECRET = "whsec_" + "t" * 32

# dj-stripe reads the address once, when imported: it is chosen here and served by tests/stack/stripe.py.
_simulator = f"http://127.0.0.1:{free_port()}"

# Who is behind a proxy does not reach this machine's own servers through it; and to be told so is quicker than to
# look for a proxy before each call.
os.environ["no_proxy"] = ",".join(
    filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"])
)

# The environment wins over .env, so a developer's own keys never reach a test.
os.environ.update(
    {
        "DEBUG": "1",
        "DEMO": "1",
        "SECRET_KEY": "only-for-the-tests-" + "k" * 40,
        "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{_var / 'unused.sqlite3'}",
        "REDIS_URL": _redis,
        "TALLYHOUSE_VAR": str(_var),
        "BASE_URL": "http://testserver",
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "STRIPE_SECRET_KEY": "sk_test_" + "0" * 24,
        "STRIPE_API_BASE": _simulator,
        "STRIPE_PAGE_ORIGINS": _simulator,
        "STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "BILLING_CATALOG": os.environ.get("TEST_BILLING_CATALOG", "hybrid"),
    }
)

from config.settings import *  # noqa: E402, F403
from config.settings import CACHES, DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, not memory: threads, live servers and workers open connections of their own, as in the demo.
    DATABASES["default"]["TEST"] = {"NAME": str(_var / "test.sqlite")}

# Where the journal of the calls to Stripe is kept for many processes: Redis, or files. That is a millisecond or several
# for each call, of which a test makes dozens in one process. tests/billing/test_breaker.py has it as it is shipped.
OPERATIONS_CACHE_AS_SHIPPED = CACHES["operations"]
CACHES["operations"] = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "LOCATION": "operations",
    "OPTIONS": {"MAX_ENTRIES": 2000},
}

# The strong hashers exist to be slow.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
