"""Units held before the work and settled after it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0004_sources")]

    operations = []
