-- phase: expand
-- What happened, as told to merchants; where it is told; and what is still to be told.

create table events (
    id uuid not null,
    merchant_id uuid not null,
    type varchar(50) not null,
    payment_id uuid,
    operation_id uuid,
    sequence integer not null default 0,
    payload json not null,
    created_at timestamptz not null,
    constraint events_pkey primary key (id, created_at)
) partition by range (created_at);
create index events_merchant_id_idx on events (merchant_id, id);
create index events_payment_id_idx on events (payment_id, sequence);
create index events_operation_id_idx on events (operation_id) where operation_id is not null;
comment on table events is 'One row per change that a merchant is told of, written in the commit of the change.';
comment on column events.id is 'UUIDv7; evt_ and its hexadecimal digits in the API, and the webhook-id of each delivery.';
comment on column events.merchant_id is 'Who is told.';
comment on column events.type is 'As in payment.succeeded.';
comment on column events.payment_id is 'The payment that changed.';
comment on column events.operation_id is 'The operation that came to its end.';
comment on column events.sequence is '1, 2, … within the payment. The first one ends the wait of whoever made the payment, and holds the answer.';
comment on column events.payload is 'The event as it is sent. json, not jsonb: it is given out byte for byte.';
comment on column events.created_at is 'Equals the time in the id. The partition key.';

create table webhook_endpoints (
    id uuid not null,
    merchant_id uuid not null,
    url varchar(500) not null,
    description varchar(500),
    event_types text[],
    secret varchar(100) not null,
    previous_secret varchar(100),
    previous_secret_until timestamptz,
    status varchar(10) not null default 'ENABLED',
    disabled_reason varchar(500),
    failures integer not null default 0,
    given_up bigint not null default 0,
    last_error varchar(500),
    last_failed_at timestamptz,
    last_delivered_at timestamptz,
    leased_by text,
    leased_until timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null default now(),
    constraint webhook_endpoints_pkey primary key (id),
    constraint webhook_endpoints_merchant_id_fkey foreign key (merchant_id) references merchants (id),
    constraint webhook_endpoints_status_check check (status in ('ENABLED', 'DISABLED')),
    constraint webhook_endpoints_secret_check check ((previous_secret is null) = (previous_secret_until is null)),
    constraint webhook_endpoints_lease_check check ((leased_until is null) = (leased_by is null))
);
create index webhook_endpoints_merchant_id_idx on webhook_endpoints (merchant_id, id);
comment on table webhook_endpoints is 'Where a merchant is told of events.';
comment on column webhook_endpoints.id is 'UUIDv7; we_ and its hexadecimal digits in the API.';
comment on column webhook_endpoints.merchant_id is 'Whose it is.';
comment on column webhook_endpoints.url is 'Where events are sent by POST.';
comment on column webhook_endpoints.description is 'The merchant''s own words.';
comment on column webhook_endpoints.event_types is 'Types it wants; empty for all.';
comment on column webhook_endpoints.secret is 'Signs, so it must be readable here: whsec_ and base64, as in Standard Webhooks. Never replicated, never shown after it was made.';
comment on column webhook_endpoints.previous_secret is 'Signs too until previous_secret_until, so that a receiver has time to change.';
comment on column webhook_endpoints.previous_secret_until is 'When the previous secret ends.';
comment on column webhook_endpoints.status is 'ENABLED or DISABLED; nothing is sent or kept for a disabled one.';
comment on column webhook_endpoints.disabled_reason is 'Why it was disabled, when the platform did it.';
comment on column webhook_endpoints.failures is 'Failed deliveries in a row.';
comment on column webhook_endpoints.given_up is 'Deliveries that were given up after three days.';
comment on column webhook_endpoints.last_error is 'What the latest failed delivery met.';
comment on column webhook_endpoints.last_failed_at is 'When the latest delivery failed.';
comment on column webhook_endpoints.last_delivered_at is 'When the latest delivery was answered with 2xx.';
comment on column webhook_endpoints.leased_by is 'The process that delivers to it: one at a time, so that events keep their order.';
comment on column webhook_endpoints.leased_until is 'Until when; free afterwards.';
comment on column webhook_endpoints.created_at is 'Equals the time in the id.';
comment on column webhook_endpoints.updated_at is 'Last change of this row by the merchant or the platform.';

create table webhook_deliveries (
    id bigint generated always as identity,
    endpoint_id uuid not null,
    event_id uuid not null,
    event_created_at timestamptz not null,
    payment_id uuid,
    attempts integer not null default 0,
    run_at timestamptz not null default now(),
    last_error varchar(500),
    created_at timestamptz not null default now(),
    constraint webhook_deliveries_pkey primary key (id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
-- No foreign key: each payment's commit would lock the endpoint's row, the same one for all payments of a merchant. Whoever
-- delivers removes what stands for an endpoint that is gone or disabled.
create index webhook_deliveries_endpoint_id_idx on webhook_deliveries (endpoint_id, run_at, id);
create index webhook_deliveries_payment_id_idx on webhook_deliveries (payment_id, endpoint_id);
comment on table webhook_deliveries is 'Events that an endpoint was not told of yet; deleted when it answered with 2xx, or after three days.';
comment on column webhook_deliveries.id is 'Grows in the order of a payment''s events.';
comment on column webhook_deliveries.endpoint_id is 'Who is to be told.';
comment on column webhook_deliveries.event_id is 'Of what.';
comment on column webhook_deliveries.event_created_at is 'The event''s created_at, to find its partition.';
comment on column webhook_deliveries.payment_id is 'The payment; its events are told in order.';
comment on column webhook_deliveries.attempts is 'How often it was tried in vain.';
comment on column webhook_deliveries.run_at is 'Not before this time.';
comment on column webhook_deliveries.last_error is 'What the latest try met.';
comment on column webhook_deliveries.created_at is 'When the event happened, or its replay was asked for; given up three days later.';

create table api_keys (
    hash varchar(64) not null,
    merchant_id uuid not null,
    prefix varchar(16) not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    constraint api_keys_pkey primary key (hash),
    constraint api_keys_merchant_id_fkey foreign key (merchant_id) references merchants (id),
    constraint api_keys_hash_check check (hash ~ '^[0-9a-f]{64}$')
);
create index api_keys_merchant_id_idx on api_keys (merchant_id);
comment on table api_keys is 'Keys of merchants besides the one in merchants.api_key: further ones, and replaced ones that still work for a while.';
comment on column api_keys.hash is 'SHA-256 of the key in hexadecimal.';
comment on column api_keys.merchant_id is 'Whose it is.';
comment on column api_keys.prefix is 'First characters of the key.';
comment on column api_keys.created_at is 'When it was made.';
comment on column api_keys.expires_at is 'When it ends; empty for never.';
