-- oldest: 0001
-- The grants whose id does not tell how their key's id begins: those that an older program opened. So they are found by
-- their id alone, and no other one costs an entry.
create index grants_unnamed on grants (grant_id) where substr(grant_id, 7, 3) <> cast(substr(key_id, 1, 3) as blob);
