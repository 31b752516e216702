"""Where units come from: allowance, rolled over, credits, paid by the unit."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0003_consume_function")]

    operations = []
