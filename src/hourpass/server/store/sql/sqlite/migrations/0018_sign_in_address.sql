-- oldest: 0001
-- Where somebody signed in to the console from.
alter table sign_ins add column address text;
