-- phase: expand
-- Several tables are written in one statement, which finds only then whether all of them were as it believes.

create function refuse(reason text) returns boolean language plpgsql as $$
begin
    raise exception '%', reason;
end $$;
comment on function refuse(text) is 'Undoes the statement that calls it, and says why.';
