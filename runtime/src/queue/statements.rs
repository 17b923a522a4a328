//! The statements of a queue, written once for every table that is one.
//!
//! Time is the database's: workers on several machines need no common clock.

/// Whatever is committed with this in front does not wait for the disk: what a crash may forget of it is harmless.
macro_rules! lazily {
    () => {
        "with quick as materialized (select set_config('synchronous_commit', 'off', true)) "
    };
}

/// The claims $1, $2, $3 that still stand, as the common table expression `mine`. Locked in the order of ids, as `hold` does:
/// a batch that is being written holds several of them.
macro_rules! mine {
    ($table:literal) => {
        concat!(
            ", mine as materialized (
                 select item.id from ",
            $table,
            " as item
                 join unnest($1::bigint[], $2::int[], $3::bigint[]) as held(id, attempt, token)
                     on item.id = held.id and item.attempt = held.attempt and item.claim_token = held.token
                 order by item.id for update of item
             ) "
        )
    };
}

/// Claims what is due, as the common table expression `claimed`; a `select` from it follows. To be run where commits do not
/// wait for the disk. Parameters: $1 release, $2 worker, $3 lease, $4 grace, $5 limit, $6 whether the own release comes
/// first, $7 the token.
macro_rules! claimed {
    ($table:literal, $subject:literal) => {
        concat!(
            "with own as (
                 select id, run_at from ", $table, "
                 where parked_at is null and run_at <= now() and (leased_until is null or leased_until < now()) and release = $1
                 order by run_at limit $5 for update skip locked
             ), strays as (
                 select id, run_at from ", $table, "
                 where parked_at is null and run_at < now() - $4::interval and (leased_until is null or leased_until < now()) and release <> $1
                 order by run_at limit $5 for update skip locked
             ), due as (
                 select id from (select id, run_at, not $6 as later from own union all select id, run_at, $6 from strays) as both_kinds
                 order by later, run_at limit $5
             ), claimed as (
                 update ", $table, " as item set attempt = item.attempt + 1, claim_token = $7, leased_until = now() + $3::interval, leased_by = $2
                 from due where item.id = due.id
                 returning item.id, item.", $subject, " as subject_id, item.payment_id, item.payment_created_at, item.release,
                     item.attempt, item.claim_token, item.last_error
             ) "
        )
    };
}

/// Every statement of one queue.
macro_rules! queue {
    ($table:literal, $subject:literal, $word:literal) => {
        $crate::queue::Queue {
            word: $word,
            claim: concat!($crate::queue::statements::claimed!($table, $subject), "select * from claimed"),
            extend: concat!(
                lazily!(), $crate::queue::statements::mine!($table), "update ", $table, " as item set leased_until = now() + $4::interval
                 from mine cross join quick where item.id = mine.id and leased_by is not null"
            ),
            release: concat!(
                lazily!(), $crate::queue::statements::mine!($table), "update ", $table, " as item set leased_until = null, leased_by = null
                 from mine cross join quick where item.id = mine.id"
            ),
            // In the order of ids, so that two who hold several wait for each other rather than deadlock.
            hold: concat!(
                "select item.id, item.attempt, item.claim_token from ", $table, " as item
                 join unnest($1::bigint[], $2::int[], $3::bigint[]) as held(id, attempt, token)
                     on item.id = held.id and item.attempt = held.attempt and item.claim_token = held.token
                 order by item.id for update of item"
            ),
            complete: concat!(
                "delete from ", $table, " as item using unnest($1::bigint[], $2::int[], $3::bigint[]) as held(id, attempt, token)
                 where item.id = held.id and item.attempt = held.attempt and item.claim_token = held.token"
            ),
            give_back: concat!(
                "update ", $table, " as item set run_at = now() + held.delay, last_error = held.reason, leased_until = null, leased_by = null
                 from unnest($1::bigint[], $2::int[], $3::bigint[], $4::interval[], $5::text[]) as held(id, attempt, token, delay, reason)
                 where item.id = held.id and item.attempt = held.attempt and item.claim_token = held.token"
            ),
            park: concat!(
                "update ", $table, " as item set parked_at = now(), last_error = held.reason, leased_until = null, leased_by = null
                 from unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[]) as held(id, attempt, token, reason)
                 where item.id = held.id and item.attempt = held.attempt and item.claim_token = held.token"
            ),
            send_again: concat!(
                "update ", $table, " set parked_at = null, run_at = least(run_at, now()) where ", $subject, " = $1"
            ),
            depth: concat!(
                "select count(*) as items,
                     coalesce(floor(extract(epoch from now() - min(run_at) filter (where parked_at is null and run_at <= now()))), 0)::bigint as oldest_s,
                     coalesce(floor(extract(epoch from now() - min(created_at))), 0)::bigint as oldest_payment_s,
                     count(*) filter (where parked_at is not null) as parked
                 from ", $table
            ),
        }
    };
}

pub(crate) use claimed;
pub(super) use lazily;
pub(crate) use mine;
pub(super) use queue;
