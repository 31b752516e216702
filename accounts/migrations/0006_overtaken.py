"""What was told of things to come may be taken back, and then says so."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_last_account")]

    operations = [
        migrations.AddField(
            model_name="notification",
            name="overtaken_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
