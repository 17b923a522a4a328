-- phase: expand
-- Fraud checks, in the same monthly partitions as the payments they judge, and the rules they judge by.

create table fraud_checks (
    id uuid not null,
    transaction_id uuid not null,
    risk_score numeric(5, 2) not null,
    rules_triggered jsonb not null default '[]',
    ip_address varchar(45),
    device_fingerprint varchar(255),
    geolocation varchar(100),
    check_duration_ms integer not null,
    status varchar(20) not null,
    degraded boolean not null default false,
    deadline_missed boolean not null default false,
    release text not null,
    checked_at timestamptz not null default now(),
    created_at timestamptz not null,
    constraint fraud_checks_pkey primary key (id, created_at),
    -- Serves look-ups by transaction_id too, being its first column.
    constraint fraud_checks_transaction_id_key unique (transaction_id, created_at),
    constraint fraud_checks_risk_score_check check (risk_score between 0 and 100),
    constraint fraud_checks_check_duration_ms_check check (check_duration_ms >= 0),
    constraint fraud_checks_status_check check (status in ('PASSED', 'FLAGGED', 'BLOCKED'))
) partition by range (created_at);
comment on table fraud_checks is 'One verdict per payment. No foreign key to transactions: it would forbid detaching old partitions.';
comment on column fraud_checks.id is 'UUIDv7.';
comment on column fraud_checks.transaction_id is 'The payment judged.';
comment on column fraud_checks.risk_score is '0 (no risk) to 100.';
comment on column fraud_checks.rules_triggered is 'The rules that matched, each with its points and its reason.';
comment on column fraud_checks.ip_address is 'Address judged.';
comment on column fraud_checks.device_fingerprint is 'Device judged.';
comment on column fraud_checks.geolocation is 'Place of the address.';
comment on column fraud_checks.check_duration_ms is 'How long the check took, as the processor saw it.';
comment on column fraud_checks.status is 'PASSED, FLAGGED or BLOCKED.';
comment on column fraud_checks.degraded is 'Whether a signal was missing, as when Redis did not answer.';
comment on column fraud_checks.deadline_missed is 'Whether no verdict came in time, so that the policy for that decided.';
comment on column fraud_checks.release is 'The release that checked.';
comment on column fraud_checks.checked_at is 'When the verdict was reached.';
comment on column fraud_checks.created_at is 'The payment''s created_at: payment and check live in the same month, and leave together. The partition key.';

create table fraud_rules (
    id integer generated always as identity,
    name varchar(100) not null,
    kind varchar(50) not null,
    points numeric(5, 2) not null,
    parameters jsonb not null default '{}',
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint fraud_rules_pkey primary key (id),
    constraint fraud_rules_name_key unique (name),
    constraint fraud_rules_kind_check check (kind in ('AMOUNT', 'VELOCITY')),
    constraint fraud_rules_points_check check (points between 0 and 100)
);
comment on table fraud_rules is 'What a payment is judged by; the points of the rules that match add up to its score.';
comment on column fraud_rules.id is 'Number of the rule.';
comment on column fraud_rules.name is 'Name shown as a reason.';
comment on column fraud_rules.kind is 'AMOUNT: over a limit of its currency. VELOCITY: too many payments of one subject in a window.';
comment on column fraud_rules.points is 'Added to the score when the rule matches.';
comment on column fraud_rules.parameters is 'AMOUNT: {"limits": {CURRENCY: decimal string}}. VELOCITY: {"subject": "USER", "window": "1m"|"1h"|"24h", "payments_max": N}.';
comment on column fraud_rules.enabled is 'Whether it counts.';
comment on column fraud_rules.created_at is 'When it was written.';
comment on column fraud_rules.updated_at is 'Last change of this row.';

insert into fraud_rules (name, kind, points, parameters) values
    ('amount-high', 'AMOUNT', 40, '{"limits": {"USD": "5000.00", "EUR": "5000.00", "GBP": "4000.00", "CHF": "5000.00", "JPY": "750000", "KWD": "1500.000"}}'),
    ('amount-extreme', 'AMOUNT', 40, '{"limits": {"USD": "50000.00", "EUR": "50000.00", "GBP": "40000.00", "CHF": "50000.00", "JPY": "7500000", "KWD": "15000.000"}}'),
    ('velocity-user-minute', 'VELOCITY', 80, '{"subject": "USER", "window": "1m", "payments_max": 20}'),
    ('velocity-user-hour', 'VELOCITY', 40, '{"subject": "USER", "window": "1h", "payments_max": 100}'),
    ('velocity-user-day', 'VELOCITY', 40, '{"subject": "USER", "window": "24h", "payments_max": 300}');
