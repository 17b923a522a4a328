-- phase: contract
-- What the release before could not work with; the tests' own table stands for it.
create table next_release (only_row boolean not null default true, constraint next_release_pkey primary key (only_row));
comment on table next_release is 'Of a release of the tests.';
comment on column next_release.only_row is 'Of a release of the tests.';
