"""Price rises, account by account."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_deals"),
        ("accounts", "0004_leaving"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PriceRise',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_name', models.CharField(max_length=120)),
                ('to_lookup_key', models.CharField(max_length=120)),
                ('to_price_id', models.CharField(max_length=64)),
                ('notice_days', models.PositiveIntegerField()),
                ('reason', models.CharField(max_length=300)),
                ('begun_at', models.DateTimeField()),
                ('stopped_at', models.DateTimeField(blank=True, null=True)),
                ('begun_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='PriceRiseStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stripe_subscription_id', models.CharField(max_length=64)),
                ('stripe_item_id', models.CharField(max_length=64)),
                ('old_price_id', models.CharField(max_length=64)),
                ('old_amount', models.BigIntegerField()),
                ('new_amount', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('quantity', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('planned', 'To be told'), ('told', 'Told, to be moved before the renewal'), ('moving', 'Being moved: Stripe may have done it'), ('moved', 'Moved: the next invoice has the new price'), ('undoing', 'To be given the old price again'), ('left_out', 'Left out'), ('undone', 'Undone: the old price again')], default='planned', max_length=8)),
                ('told_at', models.DateTimeField(blank=True, null=True)),
                ('applies_at', models.DateTimeField(blank=True, null=True)),
                ('moved_at', models.DateTimeField(blank=True, null=True)),
                ('note', models.CharField(blank=True, max_length=200)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.account')),
                ('rise', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steps', to='billing.pricerise')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state__in', ['planned', 'told', 'moving', 'undoing'])), fields=['state'], name='price_rise_steps_waiting')],
                'constraints': [models.UniqueConstraint(fields=('rise', 'stripe_item_id'), name='one_step_per_rise_and_item')],
            },
        ),
    ]
