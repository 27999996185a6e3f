-- oldest: 0001
-- From which address a grant was last rotated: 4 or 16 bytes, null before the first rotation or if it is not known.
-- Never indexed, so that a rotation stays on its page. An older program leaves it as it was, and then a retry may be
-- told as one from elsewhere.
alter table grants add column last_from bytea;
