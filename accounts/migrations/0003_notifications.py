"""Messages, preferences, and where else they go."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_keys")]

    operations = []
