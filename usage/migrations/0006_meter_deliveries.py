"""What went to Stripe's meters together."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0005_reservations")]

    operations = []
