"""What an account and its members may spend."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0008_alerts")]

    operations = []
