"""The function that counts acts of several accounts in one statement; those that need a second look it leaves alone."""

from django.db import migrations

from usage.metering import partitioning

# The arguments are those of `usage_consume`, an array of each; no two acts of one account and feature. A lock for each,
# taken in passing, is kept for a millisecond: these commit as early lock release does, and one flush follows for all.
CREATE = """
CREATE FUNCTION usage_consume_together(
    p_accounts uuid[], p_features varchar[], p_units bigint[], p_keys varchar[], p_nows timestamptz[],
    p_catalogs varchar[], p_meter_events varchar[], p_users bigint[], p_api_keys bigint[], p_patience varchar
)
-- One line for each that was granted, after its place in the arrays: as usage_consume answers it. NULL for none.
RETURNS text
LANGUAGE plpgsql AS $function$
DECLARE
    v_turns boolean[];
    v_answers text;
    v_recorded bigint;
    v_counted bigint;
BEGIN
    PERFORM set_config('lock_timeout', p_patience, true), set_config('synchronous_commit', 'off', true);
    -- Nobody is waited for: who does not find the queue of their account empty goes alone.
    v_turns := ARRAY(
        SELECT pg_try_advisory_xact_lock(hashtextextended(account_id::text || ':' || feature, 0))
        FROM unnest(p_accounts, p_features) AS act (account_id, feature)
    );
    WITH found AS MATERIALIZED (
        SELECT act.number, act.account_id, act.feature, act.units, act.key, act.meter_event, act.user_id, act.api_key_id,
            clock.seen_at, c.*
        FROM unnest(
            p_accounts, p_features, p_units, p_keys, p_nows, p_catalogs, p_meter_events, p_users, p_api_keys, v_turns
        ) WITH ORDINALITY AS act (
            account_id, feature, units, key, now, catalog, meter_event, user_id, api_key_id, is_its_turn, number
        )
        LEFT JOIN billing_customer k ON k.account_id = act.account_id
        CROSS JOIN LATERAL (SELECT COALESCE(k.clock_now, act.now) AS seen_at) clock
        CROSS JOIN LATERAL (
            SELECT c.id AS counter_id, c.used, c.reserved, c.paid_reserved,
                c.limit_units + c.credited + c.paid_limit AS ceiling,
                COALESCE(c.unit_amount, 0) AS unit_amount, c.period_start, c.period_end, c.asks_first,
                c.counts_members, c.paid_limit - c.billed - c.paid_reserved AS payable,
                CASE
                    WHEN c.limit_units - c.used + c.credited + c.billed - c.reserved < act.units
                    THEN act.units - GREATEST(c.limit_units - c.used + c.credited + c.billed - c.reserved, 0)
                    ELSE 0
                END AS billed
            FROM usage_usagecounter c
            WHERE c.account_id = act.account_id AND c.feature = act.feature
                AND c.period_start <= clock.seen_at AND c.period_start > clock.seen_at - interval '40 days'
                AND clock.seen_at < c.period_end AND clock.seen_at < c.valid_until
                AND c.stamp = act.catalog || ':' || COALESCE(k.access_version, 0)
            ORDER BY c.period_start DESC LIMIT 1
        ) c
        WHERE act.is_its_turn AND NOT (c.counts_members AND act.user_id IS NOT NULL)
            AND (c.billed = 0 OR (NOT c.asks_first AND (c.payable IS NULL OR c.billed <= c.payable)))
    ), recorded AS (
        INSERT INTO usage_usagerecord (
            account_id, feature, units, credited, billed, cost, used_after, limit_at_grant, idempotency_key,
            period_start, recorded_at, user_id, api_key_id
        )
        SELECT account_id, feature, units, 0, billed, billed * unit_amount, used + units, ceiling, key, period_start,
            seen_at, user_id, api_key_id
        FROM found
        ON CONFLICT (account_id, idempotency_key) DO NOTHING
        RETURNING id, account_id, feature
    ), granted AS MATERIALIZED (
        SELECT recorded.id AS record_id, found.* FROM recorded JOIN found USING (account_id, feature)
    ), counted AS (
        UPDATE usage_usagecounter c
        SET used = c.used + granted.units, billed = c.billed + granted.billed
        FROM granted
        WHERE c.id = granted.counter_id AND c.used = granted.used AND c.reserved = granted.reserved
            AND c.paid_reserved = granted.paid_reserved
        RETURNING c.id
    ), totalled AS (
        INSERT INTO usage_usageday AS d (account_id, feature, day, user_id, api_key_id, units)
        SELECT account_id, feature, (seen_at AT TIME ZONE 'UTC')::date, COALESCE(user_id, 0), COALESCE(api_key_id, 0),
            units
        FROM granted
        ON CONFLICT (account_id, feature, day, user_id, api_key_id) DO UPDATE SET units = d.units + excluded.units
    ), owed AS (
        INSERT INTO usage_meterevent (
            record_id, account_id, event_name, identifier, units, occurred_at, state, attempts, next_attempt_at,
            last_error
        )
        SELECT record_id, account_id, meter_event, account_id || '-' || record_id, billed, seen_at, 'waiting', 0,
            '1970-01-01 00:00:00+00', ''
        FROM granted WHERE billed > 0 AND meter_event IS NOT NULL
    )
    SELECT
        string_agg(
            format(
                '%s|granted|%s|%s|%s|%s|%s|%s|%s|0|%s|%s|t', number, seen_at, record_id, used + units,
                reserved + paid_reserved, ceiling, period_start, period_end, billed, billed * unit_amount
            ), E'\\n'
        ),
        count(*), (SELECT count(*) FROM counted)
    INTO v_answers, v_recorded, v_counted FROM granted;
    -- Whoever changed a counter outside its queue since it was read has all of them tried again, alone.
    IF v_recorded <> v_counted THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = 'a counter has changed';
    END IF;
    RETURN v_answers;
END
$function$
"""
DROP = "DROP FUNCTION usage_consume_together"


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # The percent signs in it are its own.
        schema_editor.execute(CREATE, params=None)
        if partitioning.is_in_parts():
            partitioning.teach("usage_consume_together")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP)


class Migration(migrations.Migration):
    dependencies = [("usage", "0011_counted_and_not_billed")]

    operations = [migrations.RunPython(create, drop)]
