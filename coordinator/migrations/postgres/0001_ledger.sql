-- One row per sweep. Nothing here joins to a person: no handle, no token, no key.
create table sweep (
    id        bytea    primary key check (octet_length(id) = 16),
    counter   bigint  not null unique, -- only grows, at every node
    as_at_day bigint  not null,        -- days since 1970-01-01
    model     text    not null,
    opened_ms bigint  not null,        -- unix milliseconds
    closed_ms bigint,
    report    text                     -- the result as JSON, once closed
);

-- One row per revision of an alert: what was decided, and why.
create table alert (
    alert_id     bytea   not null check (octet_length(alert_id) = 16),
    revision     bigint not null,
    change       text   not null check (change in ('new', 'update', 'cancel')),
    sweep_id     bytea   not null,
    subject      text   not null check (subject in ('person', 'household')),
    tier         text   not null,
    score_tenths bigint not null check (score_tenths between 0 and 1000),
    as_at_day    bigint not null,
    created_ms   bigint not null,
    explanation  text   not null,      -- JSON: lines, rules, evidence of links; no handle
    primary key (alert_id, revision)
);

-- One row per delivery that was decided. Written in the decision's transaction.
create table outbox (
    id             bigint generated always as identity primary key,
    alert_id       bytea   not null check (octet_length(alert_id) = 16),
    revision       bigint not null,
    recipient      text   not null,    -- the agency's short name
    body           bytea   not null,    -- causeway.v1.Alert with the recipient's handles; emptied on delivery
    attempts       bigint not null default 0,
    next_try_ms    bigint not null,
    lease_until_ms bigint not null default 0,
    delivered_ms   bigint,
    problem        text,               -- what the last attempt ran into
    unique (alert_id, revision, recipient)
);
create index outbox_waiting on outbox (next_try_ms) where delivered_ms is null;
