-- phase: expand
-- Where an attempt was sent. Asked about at another address, it could be charged there a second time.

alter table payment_attempts add column api_endpoint varchar(500);
comment on column payment_attempts.api_endpoint is 'Base URL it was sent to, and is asked about at, wherever the provider is by then; empty when an earlier release made it.';
