"""Thresholds and what was said when one was crossed."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0007_standing")]

    operations = []
