-- oldest: 0001
-- The MAC of a row over itself and the row before it, and when it was made. Null until the row is chained. A column that a later migration adds
-- to this table must be null in the rows that are there, or their MACs would not fit any more.
alter table audit add column mac blob;
alter table audit add column chained_at integer;

-- Where the chain begins and ends, with a MAC over all of it. `began_n` was the newest row when chaining began. The anchor
-- is the last row that was pruned, and the head is the last one that is chained. `kid` is the secret's.
create table audit_chain (
    the_row integer primary key check (the_row = 1),
    began_at integer not null,
    began_n integer not null,
    anchor_n integer not null,
    anchor_mac blob not null,
    head_n integer not null,
    head_mac blob not null,
    kid text not null,
    mac blob not null
) strict;
