-- oldest: 0001
-- Where this installation was moved to, and when: then nobody may change what is left of it here. At most one row.
create table moved (
    the_row integer primary key check (the_row = 1),
    at bigint not null,
    target text not null
);
