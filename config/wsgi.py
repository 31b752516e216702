"""The WSGI door that granian opens."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from billing import checks  # noqa: E402, needs the apps

checks.refuse_to_start()

# What was loaded stays: the collector need not look through all of it again and again while requests are answered.
# https://docs.python.org/3/library/gc.html#gc.freeze
gc.collect()
gc.freeze()
