-- phase: expand
-- Maintenance: while it is on, nothing is accepted; once it is frozen, nothing of money is written. The database itself sees to it,
-- so that a process which has not heard of it yet, or wakes up late, can do nothing either.

-- Below the second after which PostgreSQL looks for deadlocks: payments take these tables in several orders, and rather than one of
-- them, this file is given up and tried again.
set local lock_timeout = '900ms';

create table platform_maintenance (
    only_row boolean not null default true,
    retry_after_s integer not null,
    since timestamptz not null default now(),
    held_at timestamptz,
    frozen_at timestamptz,
    constraint platform_maintenance_pkey primary key (only_row),
    constraint platform_maintenance_only_row_check check (only_row),
    constraint platform_maintenance_frozen_at_check check (frozen_at is null or held_at is not null)
);
comment on table platform_maintenance is 'One row while maintenance is on, made and removed with the settings that say so; none otherwise.';
comment on column platform_maintenance.only_row is 'Always true: the primary key that keeps this table at one row.';
comment on column platform_maintenance.retry_after_s is 'After how many seconds a merchant should try again.';
comment on column platform_maintenance.since is 'Since when nothing is accepted.';
comment on column platform_maintenance.held_at is 'Since when no work is begun; what was in work then is still taken to its end. Empty before.';
comment on column platform_maintenance.frozen_at is 'Since when nothing of money is written; empty before.';

create function refuse_in_maintenance() returns trigger language plpgsql as $$
declare
    seconds integer;
begin
    select retry_after_s into seconds from platform_maintenance
    where tg_argv[0] = 'on' or held_at is not null and (tg_argv[0] = 'held' or frozen_at is not null);
    -- Migrations are what maintenance is for.
    if found and current_setting('purser.migrates', true) is distinct from 'on' then
        raise exception 'maintenance: % of % is refused', lower(tg_op), tg_table_name using errcode = 'PM001', detail = seconds::text;
    end if;
    return null;
end $$;
comment on function refuse_in_maintenance() is 'Refuses a statement while maintenance is on, held or frozen, as its argument says. The detail of the error is retry_after_s.';

-- Once per statement, however many rows it has. Every acceptance takes a key; what a merchant changes without a key has its own.
create trigger idempotency_keys_maintenance before insert on idempotency_keys
    for each statement execute function refuse_in_maintenance('on');
create trigger users_maintenance before insert or update or delete on users
    for each statement execute function refuse_in_maintenance('on');
create trigger payment_methods_maintenance before insert or update or delete on payment_methods
    for each statement execute function refuse_in_maintenance('on');
-- How deliveries go stands in the same rows, and deliveries go on.
create trigger webhook_endpoints_maintenance before delete or update of url, description, event_types, secret on webhook_endpoints
    for each statement execute function refuse_in_maintenance('on');

-- Whoever claims draws a token; whoever keeps, ends or gives back a claim does not.
create trigger work_items_maintenance before update of claim_token on work_items
    for each statement execute function refuse_in_maintenance('held');
create trigger operation_items_maintenance before update of claim_token on operation_items
    for each statement execute function refuse_in_maintenance('held');

-- What a restore must not lose: the tables that a backup is compared by.
create trigger transactions_maintenance before insert or update or delete on transactions
    for each statement execute function refuse_in_maintenance('frozen');
create trigger payment_attempts_maintenance before insert or update or delete on payment_attempts
    for each statement execute function refuse_in_maintenance('frozen');
create trigger operations_maintenance before insert or update or delete on operations
    for each statement execute function refuse_in_maintenance('frozen');
create trigger ledger_entries_maintenance before insert or update or delete on ledger_entries
    for each statement execute function refuse_in_maintenance('frozen');

create function follow_maintenance() returns trigger language plpgsql as $$
begin
    if jsonb_typeof(new.document -> 'maintenance') = 'object' then
        insert into platform_maintenance (retry_after_s) values ((new.document #>> '{maintenance,retryAfterS}')::integer)
        on conflict (only_row) do update set retry_after_s = excluded.retry_after_s;
    else
        delete from platform_maintenance;
        if found then
            perform pg_notify('purser_work', '');
        end if;
    end if;
    return null;
end $$;
comment on function follow_maintenance() is 'Maintenance begins and ends in the commit of the settings, whichever release applies them. When it ends, all who work are told.';

create trigger platform_settings_follow_maintenance after insert or update on platform_settings
    for each row execute function follow_maintenance();

insert into platform_maintenance (retry_after_s)
select (document #>> '{maintenance,retryAfterS}')::integer from platform_settings where jsonb_typeof(document -> 'maintenance') = 'object';
