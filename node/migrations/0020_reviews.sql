-- One row per review that was typed here. On disk before anybody is told that it was taken.
create table review (
    review_id    blob    primary key check (length(review_id) = 16),
    alert_id     blob    not null check (length(alert_id) = 16),
    revision     integer not null,
    action       text    not null,
    reason       text,
    line_id      blob,
    reviewed_day integer not null,
    made_ms      integer not null,
    attempts     integer not null default 0,
    next_try_ms  integer not null,
    sent_ms      integer,          -- when the coordinator had it on disk
    problem      text              -- what the last attempt ran into
);
create index review_waiting on review (next_try_ms) where sent_ms is null;
create index review_of_alert on review (alert_id, made_ms);

-- One row per revision that somebody opened.
create table alert_reading (
    alert_id blob    not null check (length(alert_id) = 16),
    revision integer not null,
    read_ms  integer not null,
    primary key (alert_id, revision)
) without rowid;
