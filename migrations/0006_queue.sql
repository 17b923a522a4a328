-- phase: expand
-- The queue of payments that are not at their end, and every call made to a provider for them.

create table work_items (
    id bigint generated always as identity,
    payment_id uuid not null,
    payment_created_at timestamptz not null,
    merchant_id uuid not null,
    release text not null,
    attempt integer not null default 0,
    run_at timestamptz not null default now(),
    leased_until timestamptz,
    leased_by text,
    last_error text,
    parked_at timestamptz,
    created_at timestamptz not null default now(),
    constraint work_items_pkey primary key (id),
    constraint work_items_payment_id_key unique (payment_id),
    constraint work_items_attempt_check check (attempt >= 0),
    constraint work_items_lease_check check ((leased_until is null) = (leased_by is null))
) with (
    -- Rows live for a second: room for updates in place, and a vacuum that does not wait for a fifth of the table to die.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05
);
create index work_items_run_at_idx on work_items (run_at) where parked_at is null;
comment on table work_items is 'One row per payment that is not at its end; deleted in the commit that ends it.';
comment on column work_items.id is 'Number of the item, in order of acceptance.';
comment on column work_items.payment_id is 'The payment to bring forward.';
comment on column work_items.payment_created_at is 'The payment''s created_at, to find its partition.';
comment on column work_items.merchant_id is 'The payment''s merchant.';
comment on column work_items.release is 'The release that accepted the payment; its processors claim it first.';
comment on column work_items.attempt is 'Grows with each claim: the fencing number, without which a worker that lost its lease can change nothing.';
comment on column work_items.run_at is 'Not before this time.';
comment on column work_items.leased_until is 'Until when its worker has it; free afterwards.';
comment on column work_items.leased_by is 'The worker that has it.';
comment on column work_items.last_error is 'Why the latest try did not end it. Never a secret.';
comment on column work_items.parked_at is 'Since when it waits for a person; not claimed meanwhile.';
comment on column work_items.created_at is 'When the payment was accepted.';

create table payment_attempts (
    id uuid not null,
    payment_id uuid not null,
    payment_created_at timestamptz not null,
    number integer not null,
    payment_provider_id integer not null,
    state varchar(20) not null default 'SENT',
    provider_reference varchar(255),
    error_code varchar(50),
    error_message text,
    release text not null,
    t_start timestamptz not null,
    t_end timestamptz,
    latency_ms integer,
    constraint payment_attempts_pkey primary key (id),
    constraint payment_attempts_payment_id_number_key unique (payment_id, number),
    constraint payment_attempts_payment_provider_id_fkey foreign key (payment_provider_id) references payment_providers (id),
    constraint payment_attempts_number_check check (number > 0),
    constraint payment_attempts_state_check check (state in ('SENT', 'APPROVED', 'DECLINED', 'RETRYABLE', 'UNKNOWN')),
    constraint payment_attempts_latency_ms_check check (latency_ms >= 0)
);
-- Two attempts whose outcome is open would be two chances to charge: the database refuses the second.
create unique index payment_attempts_open_key on payment_attempts (payment_id) where state in ('SENT', 'UNKNOWN');
create index payment_attempts_provider_t_start_idx on payment_attempts (payment_provider_id, t_start);
comment on table payment_attempts is 'One row per charge asked of a provider, committed before the first byte is sent.';
comment on column payment_attempts.id is 'UUIDv7, and the idempotency key at the provider: asking again with it never charges twice.';
comment on column payment_attempts.payment_id is 'The payment.';
comment on column payment_attempts.payment_created_at is 'The payment''s created_at, to find its partition.';
comment on column payment_attempts.number is '1, 2, … within the payment.';
comment on column payment_attempts.payment_provider_id is 'The provider asked.';
comment on column payment_attempts.state is 'SENT and UNKNOWN: a byte may have left and no answer was understood. RETRYABLE: nothing was sent.';
comment on column payment_attempts.provider_reference is 'The provider''s name for the charge.';
comment on column payment_attempts.error_code is 'The provider''s word for what went wrong.';
comment on column payment_attempts.error_message is 'The same as a sentence.';
comment on column payment_attempts.release is 'The release that made the attempt.';
comment on column payment_attempts.t_start is 'When the first call began.';
comment on column payment_attempts.t_end is 'When its outcome was understood.';
comment on column payment_attempts.latency_ms is 'From t_start to t_end.';
