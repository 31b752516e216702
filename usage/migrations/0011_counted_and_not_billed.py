"""A delivery that Stripe's meter has counted and no invoice has billed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0010_reports")]

    operations = [
        migrations.AddField(
            model_name="meterdelivery",
            name="is_counted",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
