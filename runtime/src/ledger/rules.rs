//! The rules that [`super::verify`] looks after. A payment that an earlier release took has no sums of its own and no
//! journal: what concerns those is left out. So is what only an archived month could say.

/// A rule, and the query that finds the first row breaking it: its name, and how.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) says: &'static str,
    pub(super) broken: &'static str,
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "journals-balance",
        says: "the lines of a journal sum to zero",
        broken: "select 'journal ' || journal_id as row, 'its lines sum to ' || sum(amount) || ' ' || currency as how
            from ledger_entries group by journal_id, currency having sum(amount) <> 0 order by journal_id limit 1",
    },
    Rule {
        name: "currencies-balance",
        says: "all lines of a currency sum to zero",
        broken: "select 'currency ' || currency as row, 'all lines sum to ' || sum(amount) as how
            from ledger_entries group by currency having sum(amount) <> 0 order by currency limit 1",
    },
    Rule {
        name: "journals-are-whole",
        says: "a journal is about one payment, in one currency, at one time, and numbered 1, 2, …",
        broken: "select 'journal ' || journal_id as row, 'its ' || count(*) || ' lines do not belong together' as how
            from ledger_entries group by journal_id
            having count(distinct (payment_id, currency, created_at)) > 1 or min(line) <> 1 or max(line) <> count(*)
            order by journal_id limit 1",
    },
    Rule {
        name: "customers-are-square",
        says: "what a customer paid was passed on in the same journal",
        broken: "select 'journal ' || journal_id as row, 'customer ' || account_owner || ' is left with ' || sum(amount) as how
            from ledger_entries where account = 'CUSTOMER' group by journal_id, account_owner having sum(amount) <> 0
            order by journal_id limit 1",
    },
    Rule {
        name: "lines-belong-to-their-payment",
        says: "a line's currency, merchant or customer are those of its payment",
        broken: "select 'journal ' || e.journal_id || ' line ' || e.line as row,
                case when t.id is null then 'there is no payment ' || e.payment_id
                    else e.account || ' of ' || coalesce(e.account_owner::text, '-') || ' in ' || e.currency
                        || ' does not belong to payment ' || t.id end as how
            from ledger_entries e left join transactions t on t.id = e.payment_id
            where (t.id is null and not is_archived_payment(e.payment_id)) or t.currency <> e.currency
                or (e.account in ('MERCHANT', 'FEE') and e.account_owner <> t.merchant_id)
                or (e.account = 'CUSTOMER' and e.account_owner <> t.user_id)
            order by e.journal_id, e.line limit 1",
    },
    Rule {
        name: "outcomes-have-their-journal",
        says: "what an approved attempt or a succeeded operation moved is posted once, under its id",
        broken: "with outcomes as (
                select a.id, t.amount as moved from payment_attempts a
                join transactions t on t.id = a.payment_id and t.created_at = a.payment_created_at
                where a.state = 'APPROVED' and t.capture_method = 'AUTOMATIC' and t.amount_captured is not null
                    and t.created_at >= ledger_archived_until()
                union all
                select id, case kind when 'CAPTURE' then amount else -amount end from operations
                where status = 'SUCCEEDED' and kind in ('CAPTURE', 'REFUND') and payment_created_at >= ledger_archived_until()
            ), posted as (
                select journal_id, sum(amount) as moved from ledger_entries where account = 'PROVIDER_CLEARING' group by journal_id
            )
            select 'outcome ' || o.id as row,
                case when p.moved is null then 'it moved ' || o.moved || ', and no journal says so'
                    else 'it moved ' || o.moved || ', and its journal says ' || p.moved end as how
            from outcomes o left join posted p on p.journal_id = o.id
            where p.moved is distinct from o.moved order by o.id limit 1",
    },
    Rule {
        name: "journals-have-their-outcome",
        says: "a journal follows from an approved attempt or a succeeded operation of its payment",
        broken: "with journals as (select distinct journal_id, payment_id from ledger_entries)
            select 'journal ' || j.journal_id as row, 'no attempt or operation of payment ' || j.payment_id || ' came to it' as how
            from journals j
            left join payment_attempts a on a.id = j.journal_id and a.payment_id = j.payment_id and a.state = 'APPROVED'
            left join transactions t on t.id = a.payment_id and t.created_at = a.payment_created_at and t.capture_method = 'AUTOMATIC'
            left join operations o on o.id = j.journal_id and o.payment_id = j.payment_id and o.status = 'SUCCEEDED'
                and o.kind in ('CAPTURE', 'REFUND')
            where t.id is null and o.id is null and not (a.id is not null and is_archived_payment(j.payment_id))
            order by j.journal_id limit 1",
    },
    Rule {
        name: "payments-agree-with-the-ledger",
        says: "what was captured, refunded and kept of a payment is what its journals say",
        broken: "with posted as (
                select payment_id,
                    coalesce(sum(amount) filter (where account = 'PROVIDER_CLEARING' and amount > 0), 0) as captured,
                    -coalesce(sum(amount) filter (where account = 'PROVIDER_CLEARING' and amount < 0), 0) as refunded,
                    -coalesce(sum(amount) filter (where account = 'FEE'), 0) as fee
                from ledger_entries group by payment_id
            )
            select 'payment ' || t.id as row,
                'it says captured ' || coalesce(t.amount_captured::text, '-') || ', refunded ' || t.amount_refunded || ', fee '
                    || coalesce(t.fee::text, '-') || '; the ledger says ' || coalesce(p.captured, 0) || ', ' || coalesce(p.refunded, 0)
                    || ', ' || coalesce(p.fee, 0) as how
            from transactions t left join posted p on p.payment_id = t.id
            where t.created_at >= ledger_archived_until()
                and (t.amount_refunded <> coalesce(p.refunded, 0)
                    or (t.amount_captured is not null
                        and (t.amount_captured <> coalesce(p.captured, 0) or coalesce(t.fee, 0) <> coalesce(p.fee, 0))))
            order by t.id limit 1",
    },
    Rule {
        name: "payments-agree-with-their-operations",
        says: "what is captured, refunded, and on its way of a payment is the sum of its operations",
        broken: "with operated as (
                select payment_id,
                    coalesce(sum(amount) filter (where kind = 'CAPTURE' and status = 'SUCCEEDED'), 0) as captured,
                    coalesce(sum(amount) filter (where kind = 'CAPTURE' and status = 'PENDING'), 0) as capturing,
                    coalesce(sum(amount) filter (where kind = 'REFUND' and status = 'SUCCEEDED'), 0) as refunded,
                    coalesce(sum(amount) filter (where kind = 'REFUND' and status = 'PENDING'), 0) as refunding
                from operations group by payment_id
            )
            select 'payment ' || t.id as row,
                'captured ' || coalesce(t.amount_captured::text, '-') || ' and ' || t.amount_capturing || ' on its way, refunded '
                    || t.amount_refunded || ' and ' || t.amount_refunding || '; its operations say ' || coalesce(o.captured, 0) || ' and '
                    || coalesce(o.capturing, 0) || ', ' || coalesce(o.refunded, 0) || ' and ' || coalesce(o.refunding, 0) as how
            from transactions t left join operated o on o.payment_id = t.id
            where (t.capture_method = 'MANUAL' and t.amount_captured is not null and t.amount_captured <> coalesce(o.captured, 0))
                or t.amount_capturing <> coalesce(o.capturing, 0) or t.amount_refunded <> coalesce(o.refunded, 0)
                or t.amount_refunding <> coalesce(o.refunding, 0)
            order by t.id limit 1",
    },
    Rule {
        name: "statuses-agree-with-the-sums",
        says: "a payment that says it took money did, and one that says it did not took none",
        broken: "select 'payment ' || id as row, status || ' with ' || amount_captured || ' captured and ' || amount_refunded
                || ' refunded of ' || amount as how
            from transactions
            where amount_captured is not null
                and not exists (select from merchants m where m.id = merchant_id and m.is_test)
                and not case status
                when 'SUCCESS' then amount_captured > 0 and amount_refunded = 0
                when 'PARTIALLY_REFUNDED' then amount_refunded > 0 and amount_refunded < amount_captured
                when 'REFUNDED' then amount_captured > 0 and amount_refunded = amount_captured
                when 'AUTHORIZED' then amount_captured < amount_authorized
                else amount_captured = 0 end
            order by id limit 1",
    },
    Rule {
        name: "tests-move-no-money",
        says: "nothing was posted for a payment that is a test",
        broken: "select 'payment ' || t.id as row, 'it is a test, and journal ' || min(e.journal_id::text) || ' is about it' as how
            from merchants m join transactions t on t.merchant_id = m.id join ledger_entries e on e.payment_id = t.id
            where m.is_test group by t.id order by t.id limit 1",
    },
    Rule {
        name: "totals-agree-with-the-lines",
        says: "the sums of an hour are those of its lines",
        broken: "with summed as (
                select account_owner, account, currency, date_trunc('hour', created_at, 'UTC') as hour, sum(amount) as amount,
                    sum(greatest(amount, 0)) as debits, count(*) as entries
                from ledger_entries
                where account in ('MERCHANT', 'FEE') and created_at < (select until from ledger_totals_progress)
                group by 1, 2, 3, 4
            )
            select 'total ' || account || ' of ' || account_owner || ' in ' || currency || ' at ' || hour as row,
                'it says ' || coalesce(t.amount::text, 'nothing') || ', its lines sum to ' || coalesce(s.amount::text, 'nothing') as how
            from summed s full join ledger_totals t using (account_owner, account, currency, hour)
            where (t.amount, t.debits, t.entries) is distinct from (s.amount, s.debits, s.entries)
                and not exists (
                    select from archived_partitions a where a.table_name = 'ledger_entries' and a.restored_at is null
                        and hour >= a.month_start and hour < a.month_end
                )
            order by account_owner, account, currency, hour limit 1",
    },
    Rule {
        name: "archived-totals-stand",
        says: "the sums of the hours of a month that is in an archive are those that it was archived with",
        broken: "select 'archive ' || partition as row,
                'its hours sum to ' || ledger_totals_mark(month_start, month_end) || ', and did to ' || totals as how
            from archived_partitions
            where table_name = 'ledger_entries' and restored_at is null
                and totals is distinct from ledger_totals_mark(month_start, month_end)
            order by partition limit 1",
    },
];
