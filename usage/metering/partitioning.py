"""The ledger in monthly parts, for databases where it has grown too large for one table. PostgreSQL only.

A unique key cannot reach across parts, so the keys of acts get a table of their own: a trigger enters each new act
there, and the second of two acts with one key is refused as before. Nothing else learns of it; the functions that
count look at the keys before they write. https://www.postgresql.org/docs/current/ddl-partitioning.html
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection, transaction

_SPLIT = """
CREATE TABLE usage_ledgerkey (
    account_id uuid NOT NULL, idempotency_key varchar(200) NOT NULL,
    CONSTRAINT one_record_per_idempotency_key_in_all_parts PRIMARY KEY (account_id, idempotency_key)
);
INSERT INTO usage_ledgerkey SELECT account_id, idempotency_key FROM usage_usagerecord;

ALTER TABLE usage_usagerecord ALTER COLUMN id DROP IDENTITY;
ALTER TABLE usage_usagerecord DROP CONSTRAINT usage_usagerecord_pkey CASCADE;
ALTER TABLE usage_usagerecord DROP CONSTRAINT one_record_per_idempotency_key;
ALTER INDEX usage_of_account RENAME TO usage_of_account_until_parts;
ALTER TABLE usage_usagerecord RENAME TO usage_usagerecord_until_parts;

CREATE TABLE usage_usagerecord (LIKE usage_usagerecord_until_parts INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (recorded_at);
ALTER TABLE usage_usagerecord ADD PRIMARY KEY (id, recorded_at);
CREATE INDEX usage_of_account ON usage_usagerecord (account_id, id DESC);
CREATE INDEX usage_by_key ON usage_usagerecord (account_id, idempotency_key);
ALTER TABLE usage_usagerecord ATTACH PARTITION usage_usagerecord_until_parts FOR VALUES FROM (MINVALUE) TO ({first});
-- Acts of test clocks may lie years ahead.
CREATE TABLE usage_usagerecord_ahead PARTITION OF usage_usagerecord DEFAULT;

CREATE SEQUENCE usage_usagerecord_number OWNED BY usage_usagerecord.id;
SELECT setval('usage_usagerecord_number', (SELECT COALESCE(max(id), 0) + 1 FROM usage_usagerecord_until_parts), false);
ALTER TABLE usage_usagerecord ALTER COLUMN id SET DEFAULT nextval('usage_usagerecord_number');

CREATE FUNCTION usage_keep_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_ledgerkey VALUES (NEW.account_id, NEW.idempotency_key);
    RETURN NEW;
END
$$;
CREATE TRIGGER usage_keep_key BEFORE INSERT ON usage_usagerecord FOR EACH ROW EXECUTE FUNCTION usage_keep_key();
"""

# What the functions say about keys while the ledger is one table, and what they say when it has parts.
_KEYS = {
    "usage_consume": (
        ("        ON CONFLICT (account_id, idempotency_key) DO NOTHING\n", ""),
        (
            "    IF v_outcome = 'granted' THEN",
            "    IF v_outcome = 'granted' AND NOT EXISTS (\n"
            "        SELECT FROM usage_ledgerkey k WHERE k.account_id = p_account AND k.idempotency_key = p_key\n"
            "    ) THEN",
        ),
    ),
    "usage_consume_together": (
        ("        ON CONFLICT (account_id, idempotency_key) DO NOTHING\n", ""),
        (
            "        WHERE act.is_its_turn",
            "        WHERE NOT EXISTS (\n"
            "            SELECT FROM usage_ledgerkey l\n"
            "            WHERE l.account_id = act.account_id AND l.idempotency_key = act.key\n"
            "        ) AND act.is_its_turn",
        ),
    ),
}


def is_in_parts() -> bool:
    """Whether the ledger has been divided."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = 'usage_usagerecord'::regclass")
        return bool(cursor.fetchone()[0])


def divide(*, now: datetime) -> None:
    """Make the ledger's table the first part of a divided one; the next begins with the month after `now`.

    One transaction, in which nobody counts: minutes on a ledger of tens of millions of acts, as the keys are copied and
    the parts' index is built. Once only; raises ValueError when it has been done.
    """
    if is_in_parts():
        raise ValueError("The ledger is in parts already.")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("LOCK TABLE usage_usagerecord IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(_SPLIT.replace("{first}", f"'{_month(now, 1):%Y-%m-%d} 00:00+00'"))
        for name in _KEYS:
            teach(name)


def teach(name: str) -> None:
    """Have the function `name`, as the migrations write it, ask for keys where a ledger in parts keeps them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef(%s::regproc)", [name])
        (function,) = cursor.fetchone()
        for one_table, parts in _KEYS[name]:
            if one_table not in function:
                raise ValueError(f"{name} is not as this version wrote it: divide with the version that did.")
            function = function.replace(one_table, parts)
        cursor.execute(function)


def add_months(*, now: datetime, ahead: int) -> list[str]:
    """See to it that the `ahead` months after `now` have parts of their own; answers the names of the new ones."""
    made = []
    with transaction.atomic(), connection.cursor() as cursor:
        for number in range(1, ahead + 1):
            start, end = _month(now, number), _month(now, number + 1)
            name = f"usage_usagerecord_{start:%Y_%m}"
            cursor.execute("SELECT to_regclass(%s)", [name])
            if cursor.fetchone()[0] is None:
                cursor.execute(
                    f"CREATE TABLE {name} PARTITION OF usage_usagerecord"
                    f" FOR VALUES FROM ('{start:%Y-%m-%d} 00:00+00') TO ('{end:%Y-%m-%d} 00:00+00')"
                )
                made.append(name)
    return made


def _month(now: datetime, ahead: int) -> datetime:
    years, month = divmod(now.astimezone(UTC).month - 1 + ahead, 12)
    return datetime(now.astimezone(UTC).year + years, month + 1, 1, tzinfo=UTC)
