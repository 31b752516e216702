"""What is logged, and how."""

import sys

from config.logs import configure, default_level
from config.settings.process import DEBUG, env

LOG_FORMAT = env.str("LOG_FORMAT", default="console" if DEBUG else "json")
LOG_LEVEL = env.str("LOG_LEVEL", default=default_level(sys.argv))
LOGGING = configure(log_format=LOG_FORMAT, level=LOG_LEVEL)
