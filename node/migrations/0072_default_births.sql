-- Dates of birth that so many people have that they stand for "not known": as the records were when most of
-- them were read last. Days since 1970-01-01.
create table default_birth (
    day integer primary key
) without rowid;
