-- phase: expand
-- Payments that are tests: those of a merchant that is one. No provider hears of them, and no money moves.

alter table merchants add column is_test boolean not null default false;
comment on column merchants.is_test is 'Whether all payments of this merchant are tests: they are answered by the platform itself, and never sent to a provider. Never changed after the merchant was made.';
