-- oldest: 0001
-- Secrets that a scanner has reported as leaked, so that a report which comes again is not told again.
create table key_leaks (
    digest blob primary key,
    key_id text not null,
    at integer not null
) strict, without rowid;
