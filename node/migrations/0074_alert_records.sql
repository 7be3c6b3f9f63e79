-- One row per record of ours that a revision of an alert concerns. Resolved on receipt, while handles still mean
-- something. What was kept for the alert as a whole stands with its newest revision so far.
create table record_of_revision (
    alert_id    blob    not null,
    revision    integer not null,
    record_feed text    not null,
    record_key  text    not null,
    primary key (alert_id, revision, record_feed, record_key)
) without rowid;
insert into record_of_revision
select alert_id, coalesce((select max(revision) from alert where alert.alert_id = old.alert_id), 1),
    record_feed, record_key
from alert_record as old;
drop table alert_record;
alter table record_of_revision rename to alert_record;
create index alert_record_by_record on alert_record (record_feed, record_key);
