"""What is no longer so before it has left is not sent; the words of a choice, no change of the table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_overtaken")]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="state",
            field=models.CharField(
                choices=[
                    ("waiting", "Waiting"),
                    ("delivered", "Delivered"),
                    ("given_up", "Given up"),
                    ("overtaken", "No longer so, not sent"),
                ],
                default="waiting",
                max_length=10,
            ),
        ),
    ]
