-- phase: expand
-- Those who move the money. Rows are written by the live settings, one per PaymentProvider resource.

create table payment_providers (
    id integer generated always as identity,
    name varchar(50) not null,
    resource text not null,
    api_endpoint varchar(500) not null,
    is_active boolean not null default true,
    max_latency_ms integer not null,
    success_rate_threshold numeric(5, 2) not null,
    priority integer not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint payment_providers_pkey primary key (id),
    constraint payment_providers_resource_key unique (resource),
    constraint payment_providers_name_check check (name in ('VISA', 'MASTERCARD', 'PAYPAL', 'AMEX', 'STRIPE')),
    constraint payment_providers_max_latency_ms_check check (max_latency_ms > 0),
    constraint payment_providers_success_rate_threshold_check check (success_rate_threshold between 0 and 100)
);
comment on table payment_providers is 'Providers that payments go to. Never deleted: payments point at them.';
comment on column payment_providers.id is 'Number of the provider.';
comment on column payment_providers.name is 'Which adapter speaks to it: VISA, MASTERCARD, PAYPAL, AMEX or STRIPE.';
comment on column payment_providers.resource is 'Name of the PaymentProvider resource and of its credential; two accounts at one provider are two resources.';
comment on column payment_providers.api_endpoint is 'Base URL of its API.';
comment on column payment_providers.is_active is 'Whether it gets new payments. One that is off still answers for the payments it has.';
comment on column payment_providers.max_latency_ms is 'Time limit of one call.';
comment on column payment_providers.success_rate_threshold is 'Percentage below which it counts as unhealthy.';
comment on column payment_providers.priority is 'Lower is asked first.';
comment on column payment_providers.created_at is 'When it was first configured.';
comment on column payment_providers.updated_at is 'Last change of this row.';
