"""Where units come from: allowance, rolled over, credits, paid by the unit. The function that counts learns it too."""

from importlib import import_module

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# What was metered until now was paid by the unit, all of it.
BILLED_RECORDS = (
    "UPDATE usage_usagerecord SET billed = units WHERE id IN (SELECT record_id FROM usage_meterevent)"
)
BILLED_COUNTERS = """
UPDATE usage_usagecounter SET billed = COALESCE((
    SELECT SUM(r.billed) FROM usage_usagerecord r
    WHERE r.account_id = usage_usagecounter.account_id AND r.feature = usage_usagecounter.feature
        AND r.period_start = usage_usagecounter.period_start
), 0) WHERE is_metered
"""
# No terms of before are trusted: the next act asks again.
FORGET_TERMS = "UPDATE usage_usagecounter SET stamp = ''"

# The arguments are `usage.metering.attempts.Ask`, the answer is `Attempt`; usage/metering/portable.py is the same in
# Python, and the tests hold the two against each other.
CREATE = """
CREATE FUNCTION usage_consume(
    p_account uuid, p_feature varchar, p_units bigint, p_key varchar, p_now timestamptz, p_catalog varchar,
    p_meter_event varchar, p_user bigint, p_api_key bigint, p_early_lock_release varchar,
    p_patience varchar DEFAULT NULL
)
-- One text is what PostgreSQL is quickest at handing out, empty where there is nothing:
-- outcome|seen_at|record|used|reserved|limit|period_start|period_end|credited|billed|cost|needs_barrier
-- p_patience: how long to wait at most for others who count this (as lock_timeout); NULL is as long as it takes.
RETURNS text
LANGUAGE plpgsql AS $function$
DECLARE
    v_is_hot boolean;
    v_seen_at timestamptz;
    v_version bigint;
    v_outcome text;
    v_found record;
    v_earlier record;
    v_record bigint;
BEGIN
    -- A fair queue per account and feature: without it everyone waiting for the counter's row is woken at each commit.
    -- Having to wait is also how `auto` knows that an account is hot.
    IF NOT pg_try_advisory_xact_lock(hashtextextended(p_account::text || ':' || p_feature, 0)) THEN
        IF p_patience IS NOT NULL THEN
            PERFORM set_config('lock_timeout', p_patience, true);
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended(p_account::text || ':' || p_feature, 0));
        v_is_hot := p_early_lock_release IN ('on', 'auto');
    ELSE
        v_is_hot := p_early_lock_release = 'on';
    END IF;
    IF v_is_hot THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    SELECT clock_now, access_version INTO v_seen_at, v_version FROM billing_customer WHERE account_id = p_account;
    v_seen_at := COALESCE(v_seen_at, p_now);

    FOR v_looked IN 1 .. 2 LOOP
        -- The counter of the window, and what the units would come out of: of the allowance as far as it goes, the rest
        -- to be paid for. Later windows first, and none that began over 40 days ago: none is so long.
        SELECT c.id, c.used, c.reserved, c.paid_reserved, c.limit_units + c.credited + c.paid_limit AS ceiling,
            c.unit_amount, c.period_start, c.period_end, c.counts_members, c.asks_first,
            c.paid_limit - c.billed - c.paid_reserved AS payable,
            CASE
                WHEN c.limit_units - c.used + c.credited + c.billed - c.reserved < p_units
                THEN p_units - GREATEST(c.limit_units - c.used + c.credited + c.billed - c.reserved, 0)
                ELSE 0
            END AS billed
        INTO v_found
        FROM usage_usagecounter c
        WHERE c.account_id = p_account AND c.feature = p_feature
            AND c.period_start <= v_seen_at AND c.period_start > v_seen_at - interval '40 days'
            AND v_seen_at < c.period_end AND v_seen_at < c.valid_until
            AND c.stamp = p_catalog || ':' || COALESCE(v_version, 0)
        ORDER BY c.period_start DESC LIMIT 1;
        v_outcome := CASE
            WHEN v_found.id IS NULL THEN 'stale'
            WHEN v_found.billed > 0 AND v_found.asks_first THEN 'asks'
            WHEN v_found.counts_members AND p_user IS NOT NULL THEN 'asks'
            WHEN v_found.billed > 0 AND v_found.billed > v_found.payable THEN 'exhausted'
            ELSE 'granted'
        END;
        EXIT WHEN v_looked = 2 OR v_outcome <> 'stale';

        -- A new month on the terms of the last one begins here; anything else is for entitlements to say.
        INSERT INTO usage_usagecounter (
            account_id, feature, period_start, period_end, used, carried, credited, billed, reserved, paid_reserved,
            limit_units, rolled_over, is_metered, paid_limit, unit_amount, asks_first, counts_members, anchor,
            valid_until, stamp
        )
        SELECT p_account, p_feature, month.starts_at, month.ends_at, 0, 0, 0, 0, 0, 0,
            c.limit_units, 0, c.is_metered, c.paid_limit, c.unit_amount, c.asks_first, c.counts_members, c.anchor,
            c.valid_until, c.stamp
        FROM (
            SELECT * FROM usage_usagecounter w
            WHERE w.account_id = p_account AND w.feature = p_feature AND w.period_start <= v_seen_at
            ORDER BY w.period_start DESC LIMIT 1
        ) c
        CROSS JOIN LATERAL usage_month(c.anchor, v_seen_at) month
        WHERE c.anchor IS NOT NULL AND c.period_end <= v_seen_at AND v_seen_at < c.valid_until
            AND c.stamp = p_catalog || ':' || COALESCE(v_version, 0)
            AND NOT EXISTS (
                SELECT FROM usage_usagerecord r WHERE r.account_id = p_account AND r.idempotency_key = p_key
            )
            AND NOT EXISTS (
                SELECT FROM usage_usagecounter o
                WHERE o.account_id = p_account AND o.feature = p_feature AND o.period_end > month.starts_at
            );
        EXIT WHEN NOT FOUND;
    END LOOP;

    IF v_outcome = 'granted' THEN
        -- The key decides: who finds it taken has counted nothing.
        INSERT INTO usage_usagerecord (
            account_id, feature, units, credited, billed, cost, used_after, limit_at_grant, idempotency_key,
            period_start, recorded_at, user_id, api_key_id
        ) VALUES (
            p_account, p_feature, p_units, 0, v_found.billed, v_found.billed * COALESCE(v_found.unit_amount, 0),
            v_found.used + p_units, v_found.ceiling, p_key, v_found.period_start, v_seen_at, p_user, p_api_key
        )
        ON CONFLICT (account_id, idempotency_key) DO NOTHING
        RETURNING id INTO v_record;
        IF v_record IS NOT NULL THEN
            -- Whoever changed the counter outside the queue since it was read has the act tried again.
            UPDATE usage_usagecounter c
            SET used = c.used + p_units, billed = c.billed + v_found.billed
            WHERE c.id = v_found.id AND c.used = v_found.used AND c.reserved = v_found.reserved
                AND c.paid_reserved = v_found.paid_reserved;
            IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = 'the counter has changed';
            END IF;
            -- The roll-up. Its row is nearly always there, and to change one is quicker than to offer one.
            UPDATE usage_usageday d SET units = d.units + p_units
            WHERE d.account_id = p_account AND d.feature = p_feature AND d.day = (v_seen_at AT TIME ZONE 'UTC')::date
                AND d.user_id = COALESCE(p_user, 0) AND d.api_key_id = COALESCE(p_api_key, 0);
            IF NOT FOUND THEN
                INSERT INTO usage_usageday (account_id, feature, day, user_id, api_key_id, units)
                VALUES (
                    p_account, p_feature, (v_seen_at AT TIME ZONE 'UTC')::date, COALESCE(p_user, 0),
                    COALESCE(p_api_key, 0), p_units
                );
            END IF;
            IF v_found.billed > 0 AND p_meter_event IS NOT NULL THEN
                INSERT INTO usage_meterevent (
                    record_id, account_id, event_name, identifier, units, occurred_at, state, attempts,
                    next_attempt_at, last_error
                ) VALUES (
                    v_record, p_account, p_meter_event, p_account || '-' || v_record, v_found.billed, v_seen_at,
                    'waiting', 0, '1970-01-01 00:00:00+00', ''
                );
            END IF;
            RETURN format(
                'granted|%s|%s|%s|%s|%s|%s|%s|0|%s|%s|%s', v_seen_at, v_record, v_found.used + p_units,
                v_found.reserved + v_found.paid_reserved, v_found.ceiling, v_found.period_start, v_found.period_end,
                v_found.billed, v_found.billed * COALESCE(v_found.unit_amount, 0), v_is_hot
            );
        END IF;
    END IF;

    -- What was counted before is answered as then, whatever is left now. It may have been committed a moment ago by
    -- someone whose barrier is still under way, so it needs one.
    SELECT r.id, r.feature, r.units, r.used_after, r.limit_at_grant, r.period_start, c.period_end, r.credited, r.billed,
        r.cost
    INTO v_earlier
    FROM usage_usagerecord r
    LEFT JOIN usage_usagecounter c
        ON c.account_id = r.account_id AND c.feature = r.feature AND c.period_start = r.period_start
    WHERE r.account_id = p_account AND r.idempotency_key = p_key;
    IF FOUND THEN
        IF v_earlier.feature <> p_feature OR v_earlier.units <> p_units THEN
            RETURN format('conflict|%s||0|0||||0|0|0|t', v_seen_at);
        END IF;
        RETURN format(
            'replayed|%s|%s|%s|0|%s|%s|%s|%s|%s|%s|t', v_seen_at, v_earlier.id, v_earlier.used_after,
            v_earlier.limit_at_grant, v_earlier.period_start, v_earlier.period_end, v_earlier.credited,
            v_earlier.billed, v_earlier.cost
        );
    ELSIF v_outcome = 'exhausted' THEN
        RETURN format(
            'exhausted|%s||%s|%s|%s|%s|%s|0|0|0|f', v_seen_at, v_found.used,
            v_found.reserved + v_found.paid_reserved, v_found.ceiling, v_found.period_start, v_found.period_end
        );
    END IF;
    RETURN format(
        '%s|%s||0|0||%s|%s|0|0|0|f', v_outcome, v_seen_at, v_found.period_start, v_found.period_end
    );
END
$function$
"""

# Many acts of one account in one round trip, when every one of them is new and nobody else needs to be asked: the lines
# name their feature by its place in p_features, which is sorted. One row comes back for each feature, and nothing is
# counted unless all of them say `granted`.
CREATE_BATCH = """
CREATE FUNCTION usage_consume_batch(
    p_account uuid, p_features varchar[], p_which int[], p_units bigint[], p_keys varchar[], p_now timestamptz,
    p_catalog varchar, p_meter_events varchar[], p_user bigint, p_api_key bigint, p_early_lock_release varchar
)
RETURNS TABLE (
    outcome varchar, seen_at timestamptz, record_ids bigint[], used_before bigint, reserved bigint, limit_units bigint,
    free bigint, unit_amount bigint, period_start timestamptz, period_end timestamptz, needs_barrier boolean
)
LANGUAGE plpgsql AS $function$
#variable_conflict use_column
DECLARE
    v_seen_at timestamptz;
    v_version bigint;
    v_needs_barrier boolean := p_early_lock_release = 'on';
    v_counters usage_usagecounter[];
    v_counter usage_usagecounter;
    v_units bigint;
    v_free bigint;
    v_ids bigint[];
    v_lock bigint;
BEGIN
    FOR place IN 1 .. cardinality(p_features) LOOP
        v_lock := hashtextextended(p_account::text || ':' || p_features[place], 0);
        IF NOT pg_try_advisory_xact_lock(v_lock) THEN
            v_needs_barrier := p_early_lock_release IN ('on', 'auto');
            PERFORM pg_advisory_xact_lock(v_lock);
        END IF;
    END LOOP;
    SELECT COALESCE(k.clock_now, p_now), COALESCE(k.access_version, 0) INTO v_seen_at, v_version
    FROM (SELECT) AS nothing LEFT JOIN billing_customer k ON k.account_id = p_account;

    -- A key that was counted before violates one_record_per_idempotency_key below, and the batch goes the slow way: to
    -- look for a hundred keys first costs every batch what only one that is sent again needs.
    FOR place IN 1 .. cardinality(p_features) LOOP
        SELECT w.* INTO v_counter FROM usage_usagecounter w
        WHERE w.account_id = p_account AND w.feature = p_features[place]
            AND w.period_start <= v_seen_at AND w.period_start > v_seen_at - interval '40 days'
            AND v_seen_at < w.period_end AND v_seen_at < w.valid_until AND w.stamp = p_catalog || ':' || v_version
        ORDER BY w.period_start DESC LIMIT 1 FOR UPDATE;
        v_units := (SELECT sum(units) FROM unnest(p_which, p_units) AS line (which, units) WHERE which = place);
        v_free := v_counter.limit_units - v_counter.used + v_counter.credited + v_counter.billed - v_counter.reserved;
        IF v_counter.id IS NULL
            OR (v_counter.counts_members AND p_user IS NOT NULL)
            OR (v_units > v_free AND (
                v_counter.asks_first
                OR v_counter.billed + v_counter.paid_reserved + v_units - GREATEST(v_free, 0) > v_counter.paid_limit
            ))
        THEN
            RETURN QUERY SELECT 'asks'::varchar, v_seen_at, NULL::bigint[], 0::bigint, 0::bigint, 0::bigint, 0::bigint,
                0::bigint, NULL::timestamptz, NULL::timestamptz, false;
            RETURN;
        END IF;
        v_counters[place] := v_counter;
    END LOOP;

    IF v_needs_barrier THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    FOR place IN 1 .. cardinality(p_features) LOOP
        v_counter := v_counters[place];
        v_units := (SELECT sum(units) FROM unnest(p_which, p_units) AS line (which, units) WHERE which = place);
        v_free := CASE WHEN v_counter.limit_units IS NULL THEN v_units ELSE GREATEST(
            v_counter.limit_units - v_counter.used + v_counter.credited + v_counter.billed - v_counter.reserved, 0
        ) END;
        UPDATE usage_usagecounter c
        SET used = c.used + v_units, billed = c.billed + GREATEST(v_units - v_free, 0)
        WHERE c.id = v_counter.id;

        WITH lines AS (
            SELECT units, key, sum(units) OVER (ORDER BY number) AS total, number
            FROM unnest(p_which, p_units, p_keys) WITH ORDINALITY AS line (which, units, key, number)
            WHERE which = place
        ), recorded AS (
            INSERT INTO usage_usagerecord (
                account_id, feature, units, credited, billed, cost, used_after, limit_at_grant, idempotency_key,
                period_start, recorded_at, user_id, api_key_id
            )
            SELECT p_account, p_features[place], lines.units, 0, paid.units,
                paid.units * COALESCE(v_counter.unit_amount, 0),
                v_counter.used + total, v_counter.limit_units + v_counter.credited + v_counter.paid_limit, key,
                v_counter.period_start, v_seen_at, p_user, p_api_key
            FROM lines
            CROSS JOIN LATERAL (
                SELECT CASE WHEN v_free < total THEN LEAST(lines.units, total - v_free) ELSE 0 END AS units
            ) paid
            ORDER BY number
            RETURNING id, used_after, billed
        ), owed AS (
            INSERT INTO usage_meterevent (
                record_id, account_id, event_name, identifier, units, occurred_at, state, attempts, next_attempt_at,
                last_error
            )
            SELECT id, p_account, p_meter_events[place], p_account || '-' || id, billed, v_seen_at, 'waiting', 0,
                '1970-01-01 00:00:00+00', ''
            FROM recorded WHERE billed > 0 AND p_meter_events[place] IS NOT NULL
        )
        SELECT array_agg(id ORDER BY used_after) INTO v_ids FROM recorded;

        INSERT INTO usage_usageday AS d (account_id, feature, day, user_id, api_key_id, units)
        VALUES (
            p_account, p_features[place], (v_seen_at AT TIME ZONE 'UTC')::date, COALESCE(p_user, 0),
            COALESCE(p_api_key, 0), v_units
        )
        ON CONFLICT (account_id, feature, day, user_id, api_key_id) DO UPDATE SET units = d.units + v_units;

        RETURN QUERY SELECT 'granted'::varchar, v_seen_at, v_ids, v_counter.used,
            v_counter.reserved + v_counter.paid_reserved,
            v_counter.limit_units + v_counter.credited + v_counter.paid_limit,
            v_free, v_counter.unit_amount,
            v_counter.period_start, v_counter.period_end, v_needs_barrier;
    END LOOP;
END
$function$
"""

# As usage.periods counts months: from the anchor's day and time of day in UTC, clamped to short months.
CREATE_MONTH = """
CREATE FUNCTION usage_month(p_anchor timestamptz, p_now timestamptz, OUT starts_at timestamptz, OUT ends_at timestamptz)
LANGUAGE plpgsql IMMUTABLE AS $function$
DECLARE
    v_anchor timestamp := p_anchor AT TIME ZONE 'UTC';
    v_now timestamp := p_now AT TIME ZONE 'UTC';
    v_months int := (date_part('year', v_now) - date_part('year', v_anchor)) * 12
        + date_part('month', v_now) - date_part('month', v_anchor);
BEGIN
    IF v_anchor + make_interval(months => v_months) > v_now THEN
        v_months := v_months - 1;
    END IF;
    starts_at := (v_anchor + make_interval(months => v_months)) AT TIME ZONE 'UTC';
    ends_at := (v_anchor + make_interval(months => v_months + 1)) AT TIME ZONE 'UTC';
END
$function$
"""

DROP = "DROP FUNCTION usage_consume"
DROP_MONTH = "DROP FUNCTION usage_month"
DROP_BATCH = "DROP FUNCTION usage_consume_batch"


def carry_over(apps, schema_editor):
    for statement in (BILLED_RECORDS, BILLED_COUNTERS, FORGET_TERMS):
        schema_editor.execute(statement)


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP)
        schema_editor.execute(CREATE_MONTH, params=None)
        # The percent signs in it are its own.
        schema_editor.execute(CREATE, params=None)
        schema_editor.execute(CREATE_BATCH, params=None)


def restore(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP_BATCH)
        schema_editor.execute(DROP)
        schema_editor.execute(DROP_MONTH)
        schema_editor.execute(import_module("usage.migrations.0003_consume_function").CREATE)


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0003_consume_function"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="MemberCounter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("feature", models.CharField(max_length=60)),
                ("period_start", models.DateTimeField()),
                ("used", models.BigIntegerField(default=0)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "user", "feature", "period_start"),
                        name="one_counter_per_member_feature_period",
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="Repair",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("what", models.CharField(max_length=40)),
                ("feature", models.CharField(max_length=60)),
                ("period_start", models.DateTimeField(blank=True, null=True)),
                ("day", models.DateField(blank=True, null=True)),
                ("before", models.BigIntegerField()),
                ("after", models.BigIntegerField()),
                ("reason", models.CharField(max_length=200)),
                ("at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.account"
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(model_name="usageday", name="one_total_per_account_feature_day"),
        migrations.AddField("usagecounter", "credited", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("usagecounter", "billed", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("usagecounter", "paid_reserved", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("usagecounter", "rolled_over", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("usagecounter", "rolled_lots", models.JSONField(blank=True, null=True)),
        migrations.AddField(
            "usagecounter",
            "paid_limit",
            models.BigIntegerField(blank=True, db_default=0, default=0, null=True),
        ),
        migrations.AddField("usagecounter", "anchor", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("usagecounter", "unit_amount", models.BigIntegerField(blank=True, null=True)),
        migrations.AddField(
            "usagecounter", "asks_first", models.BooleanField(db_default=False, default=False)
        ),
        migrations.AddField(
            "usagecounter", "counts_members", models.BooleanField(db_default=False, default=False)
        ),
        migrations.AddField("usageday", "user_id", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("usageday", "api_key_id", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("usagerecord", "credited", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("usagerecord", "billed", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("usagerecord", "cost", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddConstraint(
            model_name="usageday",
            constraint=models.UniqueConstraint(
                fields=("account", "feature", "day", "user_id", "api_key_id"),
                name="one_total_per_account_feature_day_actor",
            ),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.RunPython(create, restore),
    ]
