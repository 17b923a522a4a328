-- phase: expand
-- Payments, in monthly partitions by created_at. Partitions are made by the runtime, months ahead: a default partition
-- would forbid detaching old ones concurrently.

create table transactions (
    id uuid not null,
    amount numeric(18, 4) not null,
    currency varchar(3) not null,
    status varchar(20) not null default 'PENDING',
    t_start timestamptz not null,
    t_end timestamptz,
    latency_ms integer,
    user_id uuid not null,
    merchant_id uuid not null,
    payment_method_id uuid not null,
    payment_provider_id integer,
    provider_reference varchar(255),
    fee numeric(18, 4),
    fraud_score numeric(5, 2),
    fraud_status varchar(20),
    error_code varchar(50),
    error_message text,
    description varchar(500),
    ip_address varchar(45),
    device_fingerprint varchar(255),
    release text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null default now(),
    constraint transactions_pkey primary key (id, created_at),
    constraint transactions_user_id_fkey foreign key (user_id) references users (id),
    constraint transactions_merchant_id_fkey foreign key (merchant_id) references merchants (id),
    constraint transactions_payment_method_id_fkey foreign key (payment_method_id) references payment_methods (id),
    constraint transactions_payment_provider_id_fkey foreign key (payment_provider_id) references payment_providers (id),
    constraint transactions_amount_check check (amount > 0),
    constraint transactions_fee_check check (fee >= 0 and fee <= amount),
    constraint transactions_currency_check check (currency ~ '^[A-Z]{3}$'),
    constraint transactions_status_check check (status in (
        'PENDING', 'PROCESSING', 'IN_REVIEW', 'AUTHORIZED', 'SUCCESS', 'FAILED', 'CANCELED', 'PARTIALLY_REFUNDED', 'REFUNDED'
    )),
    constraint transactions_fraud_status_check check (fraud_status in ('PASSED', 'FLAGGED', 'BLOCKED')),
    constraint transactions_fraud_score_check check (fraud_score between 0 and 100),
    constraint transactions_latency_ms_check check (latency_ms >= 0),
    constraint transactions_t_end_check check (t_end >= t_start)
) partition by range (created_at);

create index transactions_user_id_created_at_idx on transactions (user_id, created_at desc);
create index transactions_merchant_id_created_at_idx on transactions (merchant_id, created_at);
create index transactions_status_created_at_idx on transactions (status, created_at);
create index transactions_t_start_idx on transactions (t_start);
create index transactions_status_t_start_idx on transactions (status, t_start);
create index transactions_pending_idx on transactions (status) where status = 'PENDING';

comment on table transactions is 'Payments. A payment is accepted when its row, its idempotency row and its work item are in one commit.';
comment on column transactions.id is 'UUIDv7 whose time equals created_at, so that a look-up by id goes to one partition; pay_ and its hexadecimal digits in the API.';
comment on column transactions.amount is 'In the currency''s major unit. Four decimals rather than two: KWD and others have three, UYW four, and a rounded amount would be a wrong amount.';
comment on column transactions.currency is 'ISO 4217.';
comment on column transactions.status is 'PENDING, PROCESSING, SUCCESS, FAILED or REFUNDED; besides IN_REVIEW, AUTHORIZED, CANCELED, PARTIALLY_REFUNDED.';
comment on column transactions.t_start is 'When the payment was accepted.';
comment on column transactions.t_end is 'When it came to its end.';
comment on column transactions.latency_ms is 't_end - t_start, in milliseconds.';
comment on column transactions.user_id is 'Who pays.';
comment on column transactions.merchant_id is 'Who receives.';
comment on column transactions.payment_method_id is 'What is paid with.';
comment on column transactions.payment_provider_id is 'Provider of the latest attempt; empty until one is chosen.';
comment on column transactions.provider_reference is 'The provider''s name for the charge.';
comment on column transactions.fee is 'What the platform keeps, in the payment''s currency; set on success.';
comment on column transactions.fraud_score is '0 to 100; empty until checked.';
comment on column transactions.fraud_status is 'PASSED, FLAGGED or BLOCKED; empty until checked.';
comment on column transactions.error_code is 'Why it failed, as one word.';
comment on column transactions.error_message is 'Why it failed, as a sentence.';
comment on column transactions.description is 'The merchant''s own words for it.';
comment on column transactions.ip_address is 'Address of the one who pays, as the merchant saw it.';
comment on column transactions.device_fingerprint is 'Device of the one who pays, as the merchant recognised it.';
comment on column transactions.release is 'The release that accepted it.';
comment on column transactions.created_at is 'Equals the time in the id, to the millisecond. The partition key.';
comment on column transactions.updated_at is 'Last change of this row.';
