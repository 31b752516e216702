"""A declaration of withdrawal remembers that whoever declared it has gone, and is erased when it is decided."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_price_use")]

    operations = [
        migrations.AddField(
            model_name="withdrawal",
            name="is_erased_once_decided",
            field=models.BooleanField(default=False),
        ),
    ]
