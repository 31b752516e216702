"""Reasons for leaving, and withdrawals from contracts."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_changes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="paused_from",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="subscription",
            name="pause_resumes_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='Departure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stripe_subscription_id', models.CharField(max_length=64)),
                ('plan_key', models.CharField(max_length=60)),
                ('feedback', models.CharField(blank=True, choices=[('too_expensive', 'It costs too much'), ('missing_features', 'Something I need is missing'), ('switched_service', 'I am going to use something else'), ('unused', 'I do not use it enough'), ('customer_service', 'I was not helped well'), ('too_complex', 'It is too hard to use'), ('low_quality', 'It does not work well enough'), ('other', 'Something else')], max_length=20)),
                ('comment', models.CharField(blank=True, max_length=500)),
                ('at', models.DateTimeField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='departures', to='accounts.account')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['-at'], name='departures_newest_first')],
            },
        ),
        migrations.CreateModel(
            name='Withdrawal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reference', models.CharField(max_length=12, unique=True)),
                ('name', models.CharField(max_length=150)),
                ('email', models.EmailField(max_length=254)),
                ('contract', models.CharField(blank=True, max_length=200)),
                ('state', models.CharField(choices=[('received', 'Received, for staff to settle'), ('settled', 'Settled: the money is back, the plan over'), ('declined', 'Declined, with a reason')], default='received', max_length=8)),
                ('received_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('account', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='withdrawals', to='accounts.account')),
            ],
            options={
                'indexes': [models.Index(fields=['state', 'received_at'], name='withdrawals_waiting')],
            },
        ),
    ]
