"""The business: its name, its price list, what only customers may open, how use is counted."""

from config.settings.process import BASE_DIR, env

SITE_NAME = env.str("SITE_NAME", default="Tallyhouse")
BILLING_CATALOG = env.str("BILLING_CATALOG", default="hybrid")
BILLING_CATALOG_DIR = BASE_DIR / "config" / "catalogs"
# Beginnings of addresses that only accounts with a plan may open ("/app/"), and exceptions to them. The pages of this
# house stay open whatever is named here.
SUBSCRIPTION_REQUIRED_PATHS = env.list("SUBSCRIPTION_REQUIRED_PATHS", default=[])
SUBSCRIPTION_OPEN_PATHS = env.list("SUBSCRIPTION_OPEN_PATHS", default=[])
STAFF_ALERT_EMAIL = env.str("STAFF_ALERT_EMAIL", default="")

# Early lock release on PostgreSQL: off | on | auto (auto: only accounts that are hot right now).
METERING_EARLY_LOCK_RELEASE = env.str("METERING_EARLY_LOCK_RELEASE", default="auto")
# Calls of one API key in a minute; beyond, 429.
API_CALLS_PER_MINUTE = env.int("API_CALLS_PER_MINUTE", default=60_000)
