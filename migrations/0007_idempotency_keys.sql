-- phase: expand
-- The first answer to each request that creates a payment, to be given again byte for byte.

create table idempotency_keys (
    merchant_id uuid not null,
    key varchar(255) not null,
    request_hash bytea not null,
    payment_id uuid not null,
    payment_created_at timestamptz not null,
    response_status integer,
    response_headers jsonb,
    response_body bytea,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    constraint idempotency_keys_pkey primary key (merchant_id, key),
    constraint idempotency_keys_merchant_id_fkey foreign key (merchant_id) references merchants (id),
    constraint idempotency_keys_request_hash_check check (octet_length(request_hash) = 32),
    constraint idempotency_keys_response_check check (
        (response_status is null) = (response_body is null) and (response_status is null) = (response_headers is null)
    )
);
create index idempotency_keys_expires_at_idx on idempotency_keys (expires_at);
comment on table idempotency_keys is 'Unpartitioned on purpose: a key is unique per merchant for as long as it lives, across months.';
comment on column idempotency_keys.merchant_id is 'Whose key it is.';
comment on column idempotency_keys.key is 'The Idempotency-Key of the request.';
comment on column idempotency_keys.request_hash is 'SHA-256 of the request''s meaning; the same key with another is refused.';
comment on column idempotency_keys.payment_id is 'The payment that the request created.';
comment on column idempotency_keys.payment_created_at is 'The payment''s created_at, to find its partition.';
comment on column idempotency_keys.response_status is 'HTTP status of the first answer; empty while the first request still waits.';
comment on column idempotency_keys.response_headers is 'Headers of the first answer that are given again.';
comment on column idempotency_keys.response_body is 'Body of the first answer.';
comment on column idempotency_keys.created_at is 'When the key was first used.';
comment on column idempotency_keys.expires_at is 'From when on the key may be forgotten.';
