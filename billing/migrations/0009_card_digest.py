"""A card is known again on another account."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_taken_back")]

    operations = [
        migrations.AddField(
            model_name="customer",
            name="card_digest",
            field=models.CharField(blank=True, db_default="", db_index=True, default="", max_length=64),
        ),
    ]
