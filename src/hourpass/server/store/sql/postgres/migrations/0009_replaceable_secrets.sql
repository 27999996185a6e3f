-- oldest: 0001
-- Which master key sealed a value, by its id. Null is a program of before: then each key that is given is tried.
alter table secrets add column sealed_by text;
alter table signing_keys add column sealed_by text;
-- Under which pepper a digest is, by the pepper's kid. Null is the first one. A program of before knows one pepper, so
-- the first rotation of a secret raises `oldest` of this migration: such a program could prove no key any more.
alter table key_secrets add column pepper text;
