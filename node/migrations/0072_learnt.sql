-- Dates of birth that so many people have that they stand for "not known", in days since 1970-01-01: as the
-- records were when everybody was looked at last.
create table default_birth (
    day integer primary key
) without rowid;

-- At most one row: how many records have changed since then.
create table changed_since (
    id      integer primary key check (id = 1),
    records integer not null
);
