-- phase: expand
-- What concerns the platform as a whole: who owns this database, and the settings that reach running pods at once.

create table platform_owner (
    only_row boolean not null default true,
    owner text not null,
    claimed_at timestamptz not null default now(),
    constraint platform_owner_pkey primary key (only_row),
    constraint platform_owner_only_row_check check (only_row)
);
comment on table platform_owner is 'The one PaymentCluster this database belongs to; a second one is refused before it changes anything.';
comment on column platform_owner.only_row is 'Always true: the primary key that keeps this table at one row.';
comment on column platform_owner.owner is 'The PaymentCluster, as NAMESPACE/NAME.';
comment on column platform_owner.claimed_at is 'When it took the database.';

create table platform_settings (
    only_row boolean not null default true,
    revision bigint not null,
    document jsonb not null,
    updated_at timestamptz not null default now(),
    constraint platform_settings_pkey primary key (only_row),
    constraint platform_settings_only_row_check check (only_row),
    constraint platform_settings_revision_check check (revision > 0)
);
comment on table platform_settings is 'The live settings; pods are told of a change by NOTIFY purser_settings and read them from here.';
comment on column platform_settings.only_row is 'Always true: the primary key that keeps this table at one row.';
comment on column platform_settings.revision is 'Grows with every change; an older document never replaces a newer one.';
comment on column platform_settings.document is 'The whole settings document.';
comment on column platform_settings.updated_at is 'When this revision came into force.';
