-- phase: expand
-- Months that were moved out of the database into an archive, and what the ledger must still say of them.

create table archived_partitions (
    partition text not null,
    table_name text not null,
    month_start timestamptz not null,
    month_end timestamptz not null,
    archived_rows bigint not null,
    checksum text not null,
    totals text,
    archived_at timestamptz not null,
    restored_at timestamptz,
    constraint archived_partitions_pkey primary key (partition),
    constraint archived_partitions_month_check check (month_start < month_end),
    constraint archived_partitions_archived_rows_check check (archived_rows >= 0)
);
comment on table archived_partitions is 'One row per partition that was archived, written in the commit that dropped it.';
comment on column archived_partitions.partition is 'Its name, which is also that of the archive.';
comment on column archived_partitions.table_name is 'The table that it was of.';
comment on column archived_partitions.month_start is 'The first moment of its month.';
comment on column archived_partitions.month_end is 'The first moment of the month after.';
comment on column archived_partitions.archived_rows is 'How many rows it had.';
comment on column archived_partitions.checksum is 'What its rows summed to, as the manifest of the archive has it.';
comment on column archived_partitions.totals is 'Of a month of the ledger: ledger_totals_mark when it was archived. Balances go on from these totals. Empty for other tables.';
comment on column archived_partitions.archived_at is 'When it was dropped.';
comment on column archived_partitions.restored_at is 'When it was brought back; empty while it is away.';

create function ledger_totals_mark(since timestamptz, until timestamptz) returns text language sql stable as $$
    select count(*) || ':' || coalesce(sum(hashtextextended(row(
            account_owner, account, currency, extract(epoch from hour), amount, debits, entries)::text, 0)::numeric), 0)
    from ledger_totals where hour >= since and hour < until
$$;
comment on function ledger_totals_mark(timestamptz, timestamptz) is 'How many totals of hours there are in a stretch of time, and a checksum of them.';

create function is_archived_payment(id uuid) returns boolean language sql stable as $$
    select exists (
        select from archived_partitions
        where table_name = 'transactions' and restored_at is null
            -- The first 48 bits of a UUIDv7 are its time in milliseconds.
            and to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) >= month_start
            and to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) < month_end
    )
$$;
comment on function is_archived_payment(uuid) is 'Whether a payment with this id is of a month that is archived, and not back.';

create function ledger_archived_until() returns timestamptz language sql stable as $$
    select coalesce(max(month_end), '-infinity') from archived_partitions
    where table_name = 'ledger_entries' and restored_at is null
$$;
comment on function ledger_archived_until() is 'Journals of payments that were made before this time may be in an archive.';
