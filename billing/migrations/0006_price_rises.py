"""Price rises, account by account."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_deals")]

    operations = []
