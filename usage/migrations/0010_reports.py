"""What the usage pages read."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0009_budgets")]

    operations = []
