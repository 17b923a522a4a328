-- phase: expand
-- What a release adds that the one before does not know of.
set local lock_timeout = '900ms';

alter table users add column note text;
comment on column users.note is 'Of a release of the tests.';
