-- oldest: 0001
-- The role of an admin key, null for every other key; the prefix of the subjects and the maximum scope of a delegated
-- one. A program of before would exchange an admin key on its public address, so the first such key raises `oldest` of
-- this migration.
alter table api_keys add column admin text;
alter table api_keys add column subject_prefix text;
alter table api_keys add column max_scope text;
