-- Why each revision was issued.
alter table alert add column reason text not null default 'entered';

-- One row per alert: what was last told, so that only news is told again. No handle, no event.
create table standing (
    alert_id        bytea  primary key check (octet_length(alert_id) = 16),
    state           text   not null check (state in ('open', 'closed', 'cancelled')),
    told            text   not null,   -- JSON: day, score, rules, and how many events by code
    holders         text   not null,   -- agencies that hold records of it; comma-separated
    reminded        bigint not null default 0, -- 1 when everybody was reminded since it was told
    action_seen_day bigint             -- when a recipient's own records showed that somebody acts
);
create index standing_open on standing (alert_id) where state = 'open';

-- One row per review that a node sent.
create table review (
    review_id    bytea  primary key check (octet_length(review_id) = 16),
    alert_id     bytea  not null check (octet_length(alert_id) = 16),
    revision     bigint not null,
    agency       text   not null,
    action       text   not null,
    reason       text,
    line_id      bytea,
    reviewed_day bigint not null,
    score_tenths bigint not null,      -- of the revision that was looked at
    received_ms  bigint not null,
    settled      bigint not null default 0 -- 1 when the nodes keep what follows from it
);
create index review_of_alert on review (alert_id, received_ms);
create index review_unsettled on review (received_ms) where settled = 0;
