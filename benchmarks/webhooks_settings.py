"""The real settings, with the benchmark's own map of the site."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.webhooks_site"
