-- phase: expand
-- Every process keeps copies of rows that each payment needs. Whoever changes such a row, by hand too, tells them all.

create function announce_change() returns trigger language plpgsql as $$
begin
    if tg_table_name = 'fraud_rules' then
        perform pg_notify('purser_changed', 'fraud_rules');
    elsif tg_table_name = 'api_keys' then
        perform pg_notify('purser_changed', 'merchant:' || old.merchant_id);
    else
        perform pg_notify('purser_changed', tg_argv[0] || ':' || old.id);
    end if;
    return null;
end $$;
comment on function announce_change() is 'Tells on the channel purser_changed what was changed: KIND:UUID, or fraud_rules.';

create trigger users_announce_change after update or delete on users
    for each row execute function announce_change('user');
create trigger payment_methods_announce_change after update or delete on payment_methods
    for each row execute function announce_change('payment_method');
create trigger merchants_announce_change after update or delete on merchants
    for each row execute function announce_change('merchant');
create trigger api_keys_announce_change after update or delete on api_keys
    for each row execute function announce_change('merchant');
create trigger fraud_rules_announce_change after insert or update or delete or truncate on fraud_rules
    for each statement execute function announce_change();
