-- One row per sweep that a coordinator opened here. What a restarted node needs to go on.
create table sweep (
    id        blob    primary key check (length(id) = 16),
    as_at_day integer not null,
    purposes  text    not null,   -- comma-separated
    last_row  integer not null,   -- rows of match-keys from here on are changes, not stream
    position  integer not null,   -- the last change that the stream contains
    opened_ms integer not null,
    closed_ms integer
);

-- One row per change of a person, in order. What a coordinator follows after its full pass.
create table change (
    position integer primary key autoincrement,
    what     text    not null check (what in ('upsert', 'retraction', 'signals')),
    row      integer not null,    -- the row the person has now, or had last
    replaces integer              -- the row it had before
);

-- One row per finding that this node keeps with its own record, so that it survives re-keying.
create table memo (
    kind         text    not null check (kind in ('alert', 'not_linked', 'reviewed')),
    id           blob    not null check (length(id) = 16),
    record_feed  text    not null,
    record_key   text    not null,
    score_tenths integer not null default 0,
    made_day     integer not null,
    primary key (kind, id, record_feed, record_key)
) without rowid;

-- One row per revision of an alert. On disk before it is acknowledged.
create table alert (
    position    integer primary key autoincrement,
    alert_id    blob    not null check (length(alert_id) = 16),
    revision    integer not null,
    body        blob    not null, -- causeway.v1.Alert
    received_ms integer not null,
    unique (alert_id, revision)
);

-- One row per record of ours that an alert concerns. Resolved on receipt, while handles still mean
-- something.
create table alert_record (
    alert_id    blob not null,
    record_feed text not null,
    record_key  text not null,
    primary key (alert_id, record_feed, record_key)
) without rowid;

-- One row per call that was answered or refused. Written before the answer leaves; never changed.
create table audit (
    id            integer primary key autoincrement,
    at_ms         integer not null,
    peer          text    not null, -- SPIFFE ID, or `local` for this machine's operator
    call          text    not null,
    sweep         blob,
    outcome       text    not null, -- `ok`, or the reason of the refusal
    asked         integer not null, -- handles, rows or items in the question
    answered      integer not null, -- in the answer
    request_hash  blob    not null check (length(request_hash) = 32),
    response_hash blob    not null check (length(response_hash) = 32)
);
create trigger audit_is_never_changed before update on audit
begin
    select raise(abort, 'the audit table is append-only');
end;
create trigger audit_is_never_erased before delete on audit
begin
    select raise(abort, 'the audit table is append-only');
end;
