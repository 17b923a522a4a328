-- phase: expand
-- Those who receive money, those who pay, and what they pay with.

create table merchants (
    id uuid not null,
    name varchar(255) not null,
    business_id varchar(100),
    category varchar(100),
    email varchar(255) not null,
    api_key varchar(255) not null,
    api_key_prefix varchar(16) not null,
    webhook_url varchar(500),
    status varchar(20) not null default 'ACTIVE',
    fee_percentage numeric(5, 2) not null default 2.90,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint merchants_pkey primary key (id),
    constraint merchants_api_key_key unique (api_key),
    constraint merchants_api_key_check check (api_key ~ '^[0-9a-f]{64}$'),
    constraint merchants_status_check check (status in ('ACTIVE', 'SUSPENDED', 'INACTIVE')),
    constraint merchants_fee_percentage_check check (fee_percentage between 0 and 100)
);
comment on table merchants is 'Those who receive payments.';
comment on column merchants.id is 'UUIDv7; mer_ and its hexadecimal digits in the API.';
comment on column merchants.name is 'Name shown to people.';
comment on column merchants.business_id is 'Number in a register of companies.';
comment on column merchants.category is 'Line of business.';
comment on column merchants.email is 'Where people of the merchant are reached.';
comment on column merchants.api_key is 'SHA-256 of the API key in hexadecimal. The key itself is shown once, when it is made, and kept nowhere: whoever reads this table cannot take payments with it.';
comment on column merchants.api_key_prefix is 'First characters of the API key, so that a person can tell which key is meant.';
comment on column merchants.webhook_url is 'Where events are delivered.';
comment on column merchants.status is 'ACTIVE, SUSPENDED or INACTIVE; only an ACTIVE merchant takes new payments.';
comment on column merchants.fee_percentage is 'Share of each successful payment that the platform keeps, in percent.';
comment on column merchants.created_at is 'Equals the time in the id.';
comment on column merchants.updated_at is 'Last change of this row.';

create table users (
    id uuid not null,
    merchant_id uuid not null,
    email varchar(255) not null,
    email_verified boolean not null default false,
    full_name varchar(255),
    phone varchar(20),
    status varchar(20) not null default 'ACTIVE',
    risk_level varchar(20) not null default 'LOW',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    last_login timestamptz,
    constraint users_pkey primary key (id),
    constraint users_merchant_id_fkey foreign key (merchant_id) references merchants (id),
    constraint users_status_check check (status in ('ACTIVE', 'SUSPENDED', 'BLOCKED')),
    constraint users_risk_level_check check (risk_level in ('LOW', 'MEDIUM', 'HIGH'))
);
create unique index users_merchant_id_email_key on users (merchant_id, lower(email));
comment on table users is 'Those who pay. A user belongs to the merchant that made it: two merchants never see each other''s users.';
comment on column users.id is 'UUIDv7; usr_ and its hexadecimal digits in the API.';
comment on column users.merchant_id is 'The merchant this user belongs to.';
comment on column users.email is 'Unique per merchant, whatever the case of its letters.';
comment on column users.email_verified is 'Whether somebody proved to read this address.';
comment on column users.full_name is 'Name shown to people.';
comment on column users.phone is 'Telephone number.';
comment on column users.status is 'ACTIVE, SUSPENDED or BLOCKED; only an ACTIVE user makes new payments.';
comment on column users.risk_level is 'LOW, MEDIUM or HIGH.';
comment on column users.created_at is 'Equals the time in the id.';
comment on column users.updated_at is 'Last change of this row.';
comment on column users.last_login is 'Last time that the merchant saw this user.';

create table payment_methods (
    id uuid not null,
    user_id uuid not null,
    type varchar(50) not null,
    provider varchar(50),
    last_four varchar(4),
    expiry_month integer,
    expiry_year integer,
    cardholder_name varchar(255),
    billing_address text,
    is_default boolean not null default false,
    is_verified boolean not null default false,
    token varchar(255) not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint payment_methods_pkey primary key (id),
    constraint payment_methods_user_id_fkey foreign key (user_id) references users (id),
    constraint payment_methods_type_check check (type in ('CREDIT_CARD', 'DEBIT_CARD', 'PAYPAL', 'BANK_TRANSFER')),
    constraint payment_methods_last_four_check check (last_four ~ '^[0-9]{4}$'),
    constraint payment_methods_expiry_month_check check (expiry_month between 1 and 12),
    constraint payment_methods_expiry_year_check check (expiry_year between 2000 and 2100),
    constraint payment_methods_expiry_check check ((expiry_month is null) = (expiry_year is null)),
    -- A card number is 13 to 19 digits; a token never is. The last judge of a rule that the API enforces too.
    constraint payment_methods_token_check check (token !~ '^[0-9 -]{13,}$')
);
create index payment_methods_user_id_idx on payment_methods (user_id);
create unique index payment_methods_default_key on payment_methods (user_id) where is_default;
comment on table payment_methods is 'Tokenised instruments. A card number is never stored.';
comment on column payment_methods.id is 'UUIDv7; pm_ and its hexadecimal digits in the API.';
comment on column payment_methods.user_id is 'Whose it is.';
comment on column payment_methods.type is 'CREDIT_CARD, DEBIT_CARD, PAYPAL or BANK_TRANSFER.';
comment on column payment_methods.provider is 'Brand or bank, as shown to people.';
comment on column payment_methods.last_four is 'Last four digits, to tell cards apart.';
comment on column payment_methods.expiry_month is '1 to 12; the card is good through the end of this month.';
comment on column payment_methods.expiry_year is 'Four digits.';
comment on column payment_methods.cardholder_name is 'Name on the card.';
comment on column payment_methods.billing_address is 'Address of the bill.';
comment on column payment_methods.is_default is 'Whether the user pays with it unless told otherwise; at most one per user.';
comment on column payment_methods.is_verified is 'Whether the user proved to own it.';
comment on column payment_methods.token is 'The provider''s token for the instrument.';
comment on column payment_methods.created_at is 'Equals the time in the id.';
comment on column payment_methods.updated_at is 'Last change of this row.';
