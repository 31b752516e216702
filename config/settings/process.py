"""The process: where it lives, what it is called from outside, whether it may be trusted with a demo."""

from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parents[2]

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

# Everything a customer is sent back to is built from this one address, never from the request's Host header.
BASE_URL = env.str("BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS = [BASE_URL]

# Where the embedded demo keeps its database, its broker's folders and the simulator's store.
VAR_DIR = Path(env.str("TALLYHOUSE_VAR", default=str(BASE_DIR / "var")))

# DEMO shows demo log-ins, the mailbox and the fast-forward bar. It needs DEBUG and is refused without it (checks).
DEMO = env.bool("DEMO", default=False)
