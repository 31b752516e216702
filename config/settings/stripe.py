"""Stripe: the account, the address, the policies; and what its mirror for staff wants to be told."""

from config.settings.process import DEMO, env

STRIPE_API_VERSION = "2026-08-26.dahlia"
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
# Several secrets, so that one can be rolled: add the new one, roll at Stripe, drop the old one.
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRETS", default=[])
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
# A test key with DEBUG off is refused unless this says that it is a rehearsal.
STRIPE_ALLOW_TEST_MODE = env.bool("STRIPE_ALLOW_TEST_MODE", default=False)
# Only a stand-in needs another address than Stripe's own.
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="https://api.stripe.com").rstrip("/")
STRIPE_TIMEOUT_SECONDS = env.int("STRIPE_TIMEOUT_SECONDS", default=10)
# New customers get a Stripe test clock of their own (test mode only): time can then be moved for each of them.
STRIPE_TEST_CLOCKS = env.bool("STRIPE_TEST_CLOCKS", default=DEMO)
# Stripe Tax computes tax at checkout; it has to be set up at Stripe first.
STRIPE_AUTOMATIC_TAX = env.bool("STRIPE_AUTOMATIC_TAX", default=False)
STRIPE_DOWNGRADE_ON_DISPUTE = env.bool("STRIPE_DOWNGRADE_ON_DISPUTE", default=False)
# So many days Stripe's letters stay whole for staff to look at; then only the ids stay. 0: for ever.
STRIPE_LETTER_DAYS = env.int("STRIPE_LETTER_DAYS", default=90)
# Origins the browser may be sent to by our forms: hosted Checkout and Portal (a strict form-action blocks others).
STRIPE_PAGE_ORIGINS = env.list(
    "STRIPE_PAGE_ORIGINS",
    default=["https://checkout.stripe.com", "https://billing.stripe.com", "https://invoice.stripe.com"],
)

# dj-stripe mirrors Stripe's objects for staff and for invoices; it decides nothing (docs/decisions).
STRIPE_TEST_SECRET_KEY = "" if STRIPE_LIVE_MODE else STRIPE_SECRET_KEY
STRIPE_LIVE_SECRET_KEY = STRIPE_SECRET_KEY if STRIPE_LIVE_MODE else ""
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
DJSTRIPE_SUBSCRIBER_CUSTOMER_KEY = None
if STRIPE_API_BASE != "https://api.stripe.com":
    STRIPE_API_HOST = STRIPE_API_BASE
FORMS_URLFIELD_ASSUME_HTTPS = True
