-- phase: expand
-- The double-entry ledger: append-only, balanced by the database.

create table ledger_entries (
    journal_id uuid not null,
    line smallint not null,
    account varchar(20) not null,
    account_owner uuid,
    payment_provider_id integer,
    currency varchar(3) not null,
    amount numeric(18, 4) not null,
    payment_id uuid not null,
    created_at timestamptz not null,
    constraint ledger_entries_pkey primary key (journal_id, line, created_at),
    constraint ledger_entries_account_check check (account in ('CUSTOMER', 'MERCHANT', 'FEE', 'PROVIDER_CLEARING')),
    constraint ledger_entries_owner_check check (
        (account = 'PROVIDER_CLEARING') = (payment_provider_id is not null)
        and (account = 'PROVIDER_CLEARING') = (account_owner is null)
    ),
    constraint ledger_entries_line_check check (line > 0),
    constraint ledger_entries_currency_check check (currency ~ '^[A-Z]{3}$'),
    constraint ledger_entries_amount_check check (amount <> 0)
) partition by range (created_at);
create index ledger_entries_owner_idx on ledger_entries (account_owner, account, currency, created_at) where account in ('MERCHANT', 'FEE');
comment on table ledger_entries is 'Lines of journals. A journal is posted in the commit of the outcome that it follows from, sums to zero per currency, and is never changed: a mistake is mended by a journal that reverses it.';
comment on column ledger_entries.journal_id is 'Id of the attempt or operation whose outcome it follows from: posted once.';
comment on column ledger_entries.line is '1, 2, … within the journal.';
comment on column ledger_entries.account is 'CUSTOMER, MERCHANT, FEE or PROVIDER_CLEARING.';
comment on column ledger_entries.account_owner is 'CUSTOMER: the user. MERCHANT: the merchant. FEE: the merchant who pays it. Empty for PROVIDER_CLEARING.';
comment on column ledger_entries.payment_provider_id is 'PROVIDER_CLEARING: the provider that holds the money.';
comment on column ledger_entries.currency is 'ISO 4217.';
comment on column ledger_entries.amount is 'In the major unit. Debits are positive, credits negative: a provider that holds 10 for us is +10, a merchant to whom we owe 9.71 is -9.71.';
comment on column ledger_entries.payment_id is 'The payment.';
comment on column ledger_entries.created_at is 'When it was posted. The partition key.';

create function ledger_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only: % is refused', tg_op using errcode = 'insufficient_privilege';
end $$;
create trigger ledger_entries_append_only before update or delete on ledger_entries
    for each row execute function ledger_refuse_change();
create trigger ledger_entries_no_truncate before truncate on ledger_entries
    for each statement execute function ledger_refuse_change();

create function ledger_refuse_unbalanced() returns trigger language plpgsql as $$
declare
    wrong record;
begin
    select journal_id, currency, sum(amount) as total into wrong
    from posted group by journal_id, currency having sum(amount) <> 0 limit 1;
    if found then
        raise exception 'journal % does not balance: % % is left', wrong.journal_id, wrong.total, wrong.currency
            using errcode = 'check_violation', constraint = 'ledger_entries_balance_check';
    end if;
    return null;
end $$;
create trigger ledger_entries_balance after insert on ledger_entries
    referencing new table as posted for each statement execute function ledger_refuse_unbalanced();

-- The owner of a table may change it unless that is taken away as well; the program does so for each partition too.
revoke update, delete, truncate on ledger_entries from public, current_user;

create table ledger_totals (
    account_owner uuid not null,
    account varchar(20) not null,
    currency varchar(3) not null,
    hour timestamptz not null,
    amount numeric(24, 4) not null,
    debits numeric(24, 4) not null,
    entries bigint not null,
    constraint ledger_totals_pkey primary key (account_owner, account, currency, hour),
    constraint ledger_totals_account_check check (account in ('MERCHANT', 'FEE'))
);
comment on table ledger_totals is 'Sums of ledger_entries per hour, made when the hour is over, so that a balance needs no reading of every line. Can be made anew at any time.';
comment on column ledger_totals.account_owner is 'As in ledger_entries.';
comment on column ledger_totals.account is 'MERCHANT or FEE.';
comment on column ledger_totals.currency is 'ISO 4217.';
comment on column ledger_totals.hour is 'Begin of the hour, UTC.';
comment on column ledger_totals.amount is 'Sum of the amounts, debits positive.';
comment on column ledger_totals.debits is 'Sum of the positive amounts alone: what went back, of a merchant.';
comment on column ledger_totals.entries is 'How many lines.';

create table ledger_totals_progress (
    only_row boolean not null default true,
    until timestamptz not null,
    constraint ledger_totals_progress_pkey primary key (only_row),
    constraint ledger_totals_progress_only_row_check check (only_row)
);
comment on table ledger_totals_progress is 'How far ledger_totals reach; what came later is read line by line.';
comment on column ledger_totals_progress.only_row is 'Always true: the primary key that keeps this table at one row.';
comment on column ledger_totals_progress.until is 'Begin of the first hour that has no totals yet.';
insert into ledger_totals_progress (until) values (date_trunc('hour', now(), 'UTC'));
