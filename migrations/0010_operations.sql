-- phase: expand
-- What may be done with a payment after it was accepted: capture, refund, void. Their sums are held by the database.

alter table transactions
    add column capture_method varchar(10) not null default 'AUTOMATIC',
    add column amount_authorized numeric(18, 4),
    add column amount_captured numeric(18, 4),
    add column amount_capturing numeric(18, 4) not null default 0,
    add column amount_refunded numeric(18, 4) not null default 0,
    add column amount_refunding numeric(18, 4) not null default 0,
    add column authorized_until timestamptz,
    add column sequence integer not null default 0,
    add constraint transactions_capture_method_check check (capture_method in ('AUTOMATIC', 'MANUAL')) not valid,
    add constraint transactions_amount_authorized_check check (amount_authorized between 0 and amount) not valid,
    add constraint transactions_amount_captured_check
        check (amount_captured >= 0 and amount_capturing >= 0 and amount_captured + amount_capturing <= amount_authorized) not valid,
    add constraint transactions_amount_refunded_check
        check (amount_refunded >= 0 and amount_refunding >= 0
            and amount_refunded + amount_refunding <= coalesce(amount_captured, amount)) not valid,
    add constraint transactions_sequence_check check (sequence >= 0) not valid;
comment on column transactions.capture_method is 'AUTOMATIC: the amount is taken at once. MANUAL: it is held, and taken by captures.';
comment on column transactions.amount_authorized is 'What the provider agreed to; empty until it did, and on payments that ended before this column existed.';
comment on column transactions.amount_captured is 'What was taken; empty as amount_authorized is.';
comment on column transactions.amount_capturing is 'What captures that are on their way may still take. Reserved when a capture is accepted.';
comment on column transactions.amount_refunded is 'What went back.';
comment on column transactions.amount_refunding is 'What refunds that are on their way may still give back. Reserved when a refund is accepted.';
comment on column transactions.authorized_until is 'When the provider gives the held amount free again; only while AUTHORIZED.';
comment on column transactions.sequence is 'Number of events of this payment so far; grows with every change that is told to the merchant.';

create table operations (
    id uuid not null,
    payment_id uuid not null,
    payment_created_at timestamptz not null,
    merchant_id uuid not null,
    kind varchar(10) not null,
    amount numeric(18, 4) not null,
    currency varchar(3) not null,
    final boolean not null default false,
    capture_id uuid,
    status varchar(10) not null default 'PENDING',
    reason varchar(500),
    sent_at timestamptz,
    provider_reference varchar(255),
    error_code varchar(50),
    error_message text,
    release text not null,
    created_at timestamptz not null,
    t_end timestamptz,
    updated_at timestamptz not null default now(),
    constraint operations_pkey primary key (id),
    constraint operations_kind_check check (kind in ('CAPTURE', 'REFUND', 'VOID')),
    constraint operations_amount_check check (amount > 0),
    constraint operations_currency_check check (currency ~ '^[A-Z]{3}$'),
    constraint operations_status_check check (status in ('PENDING', 'SUCCEEDED', 'FAILED')),
    constraint operations_t_end_check check ((t_end is null) = (status = 'PENDING')),
    constraint operations_final_check check (kind = 'CAPTURE' or not final),
    constraint operations_capture_id_fkey foreign key (capture_id) references operations (id),
    constraint operations_capture_id_check check (kind = 'REFUND' or capture_id is null)
);
create index operations_payment_id_idx on operations (payment_id, id);
create index operations_merchant_id_idx on operations (merchant_id, kind, id);
-- Two voids on their way would release the same amount twice.
create unique index operations_void_key on operations (payment_id) where kind = 'VOID' and status = 'PENDING';
comment on table operations is 'Captures, refunds and voids. Accepted when the row, the reserved amount, the idempotency row and the work item are in one commit.';
comment on column operations.id is 'UUIDv7, and the idempotency key at the provider; cap_, ref_ or void_ and its hexadecimal digits in the API.';
comment on column operations.payment_id is 'The payment.';
comment on column operations.payment_created_at is 'The payment''s created_at, to find its partition.';
comment on column operations.merchant_id is 'The payment''s merchant.';
comment on column operations.kind is 'CAPTURE takes a held amount, REFUND gives a taken one back, VOID gives a held one free.';
comment on column operations.amount is 'In the payment''s currency, in its major unit.';
comment on column operations.currency is 'The payment''s currency, ISO 4217.';
comment on column operations.final is 'Whether a capture gives free what it does not take.';
comment on column operations.capture_id is 'The capture whose money a refund gives back: some providers refund captures rather than payments. Empty where the payment was taken at once, and when no single capture had enough left.';
comment on column operations.status is 'PENDING, SUCCEEDED or FAILED.';
comment on column operations.reason is 'Why, in the merchant''s words; "authorization expired" when the platform did it.';
comment on column operations.sent_at is 'When the provider was first asked, committed before the first byte; empty until then.';
comment on column operations.provider_reference is 'The provider''s name for the operation.';
comment on column operations.error_code is 'Why it failed, as one word.';
comment on column operations.error_message is 'Why it failed, as a sentence.';
comment on column operations.release is 'The release that accepted it.';
comment on column operations.created_at is 'Equals the time in the id.';
comment on column operations.t_end is 'When it came to its end.';
comment on column operations.updated_at is 'Last change of this row.';

-- A queue of its own: the release before this one knows only of payments, and would take these items for finished ones.
create table operation_items (
    id bigint generated always as identity,
    operation_id uuid not null,
    payment_id uuid not null,
    payment_created_at timestamptz not null,
    merchant_id uuid not null,
    release text not null,
    attempt integer not null default 0,
    claim_token bigint,
    run_at timestamptz not null default now(),
    leased_until timestamptz,
    leased_by text,
    last_error text,
    parked_at timestamptz,
    created_at timestamptz not null default now(),
    constraint operation_items_pkey primary key (id),
    constraint operation_items_operation_id_key unique (operation_id),
    constraint operation_items_operation_id_fkey foreign key (operation_id) references operations (id),
    constraint operation_items_attempt_check check (attempt >= 0),
    constraint operation_items_lease_check check ((leased_until is null) = (leased_by is null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
create index operation_items_run_at_idx on operation_items (run_at) where parked_at is null;
comment on table operation_items is 'One row per operation that is not at its end; as work_items, column by column.';
comment on column operation_items.id is 'Number of the item, in order of acceptance.';
comment on column operation_items.operation_id is 'The operation to bring forward.';
comment on column operation_items.payment_id is 'Its payment.';
comment on column operation_items.payment_created_at is 'The payment''s created_at, to find its partition.';
comment on column operation_items.merchant_id is 'The payment''s merchant.';
comment on column operation_items.release is 'The release that accepted the operation; its processors claim it first.';
comment on column operation_items.attempt is 'Grows with each claim.';
comment on column operation_items.claim_token is 'Names the claim: a number drawn for it. Without it a worker can change nothing.';
comment on column operation_items.run_at is 'Not before this time.';
comment on column operation_items.leased_until is 'Until when its worker has it; free afterwards.';
comment on column operation_items.leased_by is 'The worker that has it.';
comment on column operation_items.last_error is 'Why the latest try did not end it. Never a secret.';
comment on column operation_items.parked_at is 'Since when it waits for a person; not claimed meanwhile.';
comment on column operation_items.created_at is 'When the operation was accepted.';

-- A claim is committed without waiting for the disk. After a crash of the database its number may be given out again; a drawn
-- token is not.
alter table work_items add column claim_token bigint;
comment on column work_items.claim_token is 'Names the claim: a number drawn for it. Together with attempt the fencing, without which a worker that lost its lease can change nothing.';

alter table payment_attempts add column route text;
comment on column payment_attempts.route is 'Why this provider and none of the others, as sentences for a person.';

-- A key now also stands for what is no payment: its answer is kept at once, or is that of its operation.
alter table idempotency_keys
    alter column payment_id drop not null,
    alter column payment_created_at drop not null,
    add column operation_id uuid;
comment on column idempotency_keys.payment_id is 'The payment that the request created or changes; empty for what is no payment.';
comment on column idempotency_keys.operation_id is 'The operation that the request created.';
comment on column idempotency_keys.response_status is 'HTTP status of the first answer. Empty while the first request waits, and when the answer is the one in the event that ended the payment or operation.';
