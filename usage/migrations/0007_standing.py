"""Standing counts and slots."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0006_meter_deliveries")]

    operations = []
