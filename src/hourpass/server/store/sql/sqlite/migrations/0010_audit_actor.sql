-- oldest: 0001
-- Who did what a line of the trail tells, from which address and in which HTTP request. Null in the lines of a program of
-- before: their `detail` names actor and address.
alter table audit add column actor text;
alter table audit add column address text;
alter table audit add column request_id text;
