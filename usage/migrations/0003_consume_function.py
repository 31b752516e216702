"""PostgreSQL only: one function that counts units, so that an act is one round trip (usage/metering/postgres.py)."""

from django.db import migrations

# The arguments are `usage.metering.attempts.Ask`, the answer is `Attempt`; usage/metering/portable.py is the same in
# Python, and the tests hold the two against each other.
CREATE = """
CREATE FUNCTION usage_consume(
    p_account uuid, p_feature varchar, p_units bigint, p_key varchar, p_now timestamptz, p_catalog varchar,
    p_meter_event varchar, p_user bigint, p_api_key bigint, p_early_lock_release varchar,
    OUT outcome varchar, OUT seen_at timestamptz, OUT record_id bigint, OUT used bigint, OUT reserved bigint,
    OUT limit_units bigint, OUT period_start timestamptz, OUT period_end timestamptz, OUT needs_barrier boolean
)
LANGUAGE plpgsql AS $function$
#variable_conflict use_column
DECLARE
    v_lock bigint := hashtextextended(p_account::text || ':' || p_feature, 0);
    v_version bigint;
    v_clock timestamptz;
    v_earlier record;
    v_counter record;
BEGIN
    used := 0;
    reserved := 0;
    needs_barrier := p_early_lock_release = 'on';

    -- A fair queue per account and feature: without it everyone waiting for the counter's row is woken at each commit.
    -- Having to wait is also how `auto` knows that an account is hot.
    IF NOT pg_try_advisory_xact_lock(v_lock) THEN
        needs_barrier := p_early_lock_release IN ('on', 'auto');
        PERFORM pg_advisory_xact_lock(v_lock);
    END IF;
    IF needs_barrier THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    SELECT access_version, clock_now INTO v_version, v_clock FROM billing_customer WHERE account_id = p_account;
    seen_at := COALESCE(v_clock, p_now);

    SELECT r.id, r.feature, r.units, r.used_after, r.limit_at_grant, r.period_start, c.period_end INTO v_earlier
    FROM usage_usagerecord r
    LEFT JOIN usage_usagecounter c
        ON c.account_id = r.account_id AND c.feature = r.feature AND c.period_start = r.period_start
    WHERE r.account_id = p_account AND r.idempotency_key = p_key;
    IF FOUND THEN
        -- It may have been committed a moment ago by someone whose barrier is still under way.
        needs_barrier := true;
        IF v_earlier.feature <> p_feature OR v_earlier.units <> p_units THEN
            outcome := 'conflict';
            RETURN;
        END IF;
        outcome := 'replayed';
        record_id := v_earlier.id;
        used := v_earlier.used_after;
        limit_units := v_earlier.limit_at_grant;
        period_start := v_earlier.period_start;
        period_end := v_earlier.period_end;
        RETURN;
    END IF;

    SELECT c.id, c.used, c.reserved, c.limit_units, c.is_metered, c.period_start, c.period_end INTO v_counter
    FROM usage_usagecounter c
    WHERE c.account_id = p_account AND c.feature = p_feature
        AND c.period_start <= seen_at AND seen_at < c.period_end AND seen_at < c.valid_until
        AND c.stamp = p_catalog || ':' || COALESCE(v_version, 0)
    ORDER BY c.id DESC LIMIT 1;
    IF NOT FOUND THEN
        outcome := 'stale';
        needs_barrier := false;
        RETURN;
    END IF;

    -- The guard stands on the live row: whatever changed it since it was read above is seen here.
    UPDATE usage_usagecounter c SET used = c.used + p_units
    WHERE c.id = v_counter.id AND (c.limit_units IS NULL OR c.used + c.reserved + p_units <= c.limit_units)
    RETURNING c.used, c.reserved, c.limit_units INTO used, reserved, limit_units;
    period_start := v_counter.period_start;
    period_end := v_counter.period_end;
    IF NOT FOUND THEN
        outcome := 'exhausted';
        used := v_counter.used;
        reserved := v_counter.reserved;
        limit_units := v_counter.limit_units;
        needs_barrier := false;
        RETURN;
    END IF;

    INSERT INTO usage_usagerecord (
        account_id, feature, units, used_after, limit_at_grant, idempotency_key, period_start, recorded_at, user_id,
        api_key_id
    ) VALUES (
        p_account, p_feature, p_units, used, limit_units, p_key, period_start, seen_at, p_user, p_api_key
    ) RETURNING id INTO record_id;

    INSERT INTO usage_usageday AS d (account_id, feature, day, units)
    VALUES (p_account, p_feature, (seen_at AT TIME ZONE 'UTC')::date, p_units)
    ON CONFLICT (account_id, feature, day) DO UPDATE SET units = d.units + p_units;

    IF v_counter.is_metered AND p_meter_event IS NOT NULL THEN
        INSERT INTO usage_meterevent (
            record_id, account_id, event_name, identifier, units, occurred_at, state, attempts, next_attempt_at,
            last_error
        ) VALUES (
            record_id, p_account, p_meter_event, p_account || '-' || record_id, p_units, seen_at, 'waiting', 0,
            '1970-01-01 00:00:00+00', ''
        );
    END IF;
    outcome := 'granted';
END
$function$
"""

DROP = "DROP FUNCTION usage_consume"


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE)


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP)


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0002_carried_units"),
        ("billing", "0001_initial"),
    ]

    operations = [migrations.RunPython(create, drop)]
