"""What is logged, and how."""

from config.logs import configure
from config.settings.process import DEBUG, env

LOG_FORMAT = env.str("LOG_FORMAT", default="console" if DEBUG else "json")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = configure(log_format=LOG_FORMAT, level=LOG_LEVEL)
