-- no-transaction
-- phase: expand
create index concurrently users_merchant_id_id_idx on users (merchant_id, id);
