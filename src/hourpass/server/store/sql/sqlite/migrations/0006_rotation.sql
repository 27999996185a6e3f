-- oldest: 0001
-- Rotation of a key's secret: for how long (milliseconds) the one before it goes on after the first use of this one.
alter table key_secrets add column overlap integer;
-- An entry of a key may refuse only its tokens from before an epoch second. A program of before refuses all of them until
-- the entry ends.
alter table revocations add column issued_before integer;
