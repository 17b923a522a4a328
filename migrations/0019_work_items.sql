-- phase: expand
-- Whoever takes a payment to its end must know whether somebody was told already that it is on its way: then that is the answer to its key.

alter table work_items add column is_answered boolean not null default false;
comment on column work_items.is_answered is 'Whether a 202 was given to the payment''s key. Set under the lock of this row, which the payment''s end needs too.';

-- The fraud check counts a purchase once, however often it is asked for, and whoever checks it.
alter table work_items add column purchase text;
comment on column work_items.purchase is 'What repetitions of the request that made the payment have in common.';
