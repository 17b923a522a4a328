-- phase: expand
-- Figures per minute, hour and day, by the release that produced them.

create table transaction_metrics (
    id uuid not null,
    time_bucket timestamptz not null,
    bucket_size varchar(20) not null,
    release text not null,
    n_total integer not null,
    n_success integer not null,
    n_failed integer not null,
    n_pending integer not null,
    tps numeric(10, 2) not null,
    avg_latency_ms numeric(10, 2),
    p95_latency_ms integer,
    p99_latency_ms integer,
    success_rate numeric(5, 2),
    total_amount numeric(24, 4) not null,
    latency_sketch bytea,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint transaction_metrics_pkey primary key (id),
    constraint transaction_metrics_bucket_key unique (bucket_size, time_bucket, release),
    constraint transaction_metrics_bucket_size_check check (bucket_size in ('MINUTE', 'HOUR', 'DAY')),
    constraint transaction_metrics_counts_check check (
        n_total >= 0 and n_success >= 0 and n_failed >= 0 and n_pending >= 0 and n_success + n_failed + n_pending <= n_total
    ),
    constraint transaction_metrics_success_rate_check check (success_rate between 0 and 100)
);
comment on table transaction_metrics is 'Payments of one stretch of time, by t_start, rolled up.';
comment on column transaction_metrics.id is 'UUIDv7.';
comment on column transaction_metrics.time_bucket is 'Begin of the stretch.';
comment on column transaction_metrics.bucket_size is 'MINUTE, HOUR or DAY.';
comment on column transaction_metrics.release is 'The release that accepted the payments.';
comment on column transaction_metrics.n_total is 'Payments that began in the stretch.';
comment on column transaction_metrics.n_success is 'Of these, those that succeeded.';
comment on column transaction_metrics.n_failed is 'Of these, those that failed.';
comment on column transaction_metrics.n_pending is 'Of these, those not at their end.';
comment on column transaction_metrics.tps is 'n_total / seconds of the stretch.';
comment on column transaction_metrics.avg_latency_ms is 'Mean of t_end - t_start; empty when none ended.';
comment on column transaction_metrics.p95_latency_ms is '95th percentile; empty when none ended.';
comment on column transaction_metrics.p99_latency_ms is '99th percentile; empty when none ended.';
comment on column transaction_metrics.success_rate is 'n_success / n_total * 100; empty when there were none.';
comment on column transaction_metrics.total_amount is 'Sum of the successful amounts in major units, across currencies: a measure of load, not of money.';
comment on column transaction_metrics.latency_sketch is 'HdrHistogram of the latencies in milliseconds, V2 encoding: percentiles of longer stretches come from merging these.';
comment on column transaction_metrics.created_at is 'When it was first calculated.';
comment on column transaction_metrics.updated_at is 'When it was last calculated.';
