-- oldest: 0001
-- For which of its key's audiences a grant is, if its exchange asked for one; else for all of them. An older program
-- makes its tokens for the first audience of the key.
alter table grants add column audience text;
