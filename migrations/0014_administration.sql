-- phase: expand
-- Payment methods that are no longer used, and what people did to the platform.

alter table payment_methods add column detached_at timestamptz;
comment on column payment_methods.detached_at is 'Since when it is not used any more; empty while it is. The row stays: payments point at it.';

create table admin_actions (
    id uuid not null,
    actor varchar(100) not null,
    action varchar(50) not null,
    subject varchar(255) not null,
    reason varchar(500),
    detail jsonb not null default '{}',
    created_at timestamptz not null,
    constraint admin_actions_pkey primary key (id)
);
create index admin_actions_subject_idx on admin_actions (subject, id);
comment on table admin_actions is 'What those who run the platform did, written in the commit that did it.';
comment on column admin_actions.id is 'UUIDv7.';
comment on column admin_actions.actor is 'Who, as the command or the request said.';
comment on column admin_actions.action is 'What, as in merchant.suspended.';
comment on column admin_actions.subject is 'To what: its id or name.';
comment on column admin_actions.reason is 'Why, in the words of the one who did it.';
comment on column admin_actions.detail is 'What was changed. Never a secret.';
comment on column admin_actions.created_at is 'Equals the time in the id.';
