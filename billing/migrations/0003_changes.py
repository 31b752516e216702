"""Changes of plan and seats, and those that wait for the period's end."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_credits")]

    operations = []
