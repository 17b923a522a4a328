-- phase: expand
-- Looks at the rows that were there before, without the lock that adding a constraint needs.

alter table transactions validate constraint transactions_capture_method_check;
alter table transactions validate constraint transactions_amount_authorized_check;
alter table transactions validate constraint transactions_amount_captured_check;
alter table transactions validate constraint transactions_amount_refunded_check;
alter table transactions validate constraint transactions_sequence_check;
