-- phase: expand
-- The release before this one knows no held payments: it would take at once what is only to be held. It says nothing of
-- the route of an attempt, and by that it is known.

create function refuse_taking_what_is_held() returns trigger language plpgsql as $$
begin
    if exists (
        select from transactions
        where id = new.payment_id and created_at = new.payment_created_at and capture_method = 'MANUAL'
    ) then
        -- No class of errors that says the record is wrong: the payment is given back, not set aside.
        raise exception 'payment % is to be held, which this release cannot do', new.payment_id
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    return new;
end $$;
comment on function refuse_taking_what_is_held() is 'Refuses attempts of a release that knows no held payments, of payments that are to be held.';

create trigger payment_attempts_refuse_taking_what_is_held before insert on payment_attempts
    for each row when (new.route is null) execute function refuse_taking_what_is_held();
