"""Mail, and the other places that what we have to say may go to."""

from config.settings.process import DEBUG, VAR_DIR, env

EMAIL_BACKEND = env.str(
    "EMAIL_BACKEND",
    default="django.core.mail.backends.filebased.EmailBackend"
    if DEBUG
    else "django.core.mail.backends.smtp.EmailBackend",
)
EMAIL_FILE_PATH = str(VAR_DIR / "mail")
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Tallyhouse <billing@example.com>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Seconds. A mail server that does not answer must hold up neither a page nor a worker.
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=10)
vars().update(env.email_url("EMAIL_URL") if env.str("EMAIL_URL", default="") else {})

# Customers name addresses that our servers then call (Slack, webhooks). In a private network those could be ours.
OUTGOING_TO_PRIVATE_ADDRESSES = env.bool("OUTGOING_TO_PRIVATE_ADDRESSES", default=DEBUG)
