-- oldest: 0001
-- The MAC of a row over itself and the row before it, and when it was made. Null until the row is chained. A column that a later migration adds
-- to this table must be null in the rows that are there, or their MACs would not fit any more.
alter table audit add column mac bytea;
alter table audit add column chained_at bigint;

-- Where the chain begins and ends, with a MAC over all of it. `began_n` was the newest row when chaining began. The anchor
-- is the last row that was pruned, and the head is the last one that is chained. `kid` is the secret's.
create table audit_chain (
    the_row integer primary key check (the_row = 1),
    began_at bigint not null,
    began_n bigint not null,
    anchor_n bigint not null,
    anchor_mac bytea not null,
    head_n bigint not null,
    head_mac bytea not null,
    kid text not null,
    mac bytea not null
) with (fillfactor = 50);
