-- When an event came in, where its feed had come in before: null says nothing of it. When it was
-- last in a full export, where it is in none any more. Which agencies' numbering its reference
-- belongs to; null is this feed's own.
alter table event add column arrived_day integer;
alter table event add column seen_day integer;
alter table event add column system text;
-- 1 for a state that ended because the source no longer has it: kept, and no longer looked for.
alter table event add column gone integer not null default 0 check (gone in (0, 1));

-- The day that an export speaks of.
alter table import add column as_at_day integer;

-- One row per feed that asks a database for changes only: where the last answer ended. Written with
-- the rows that led there.
create table position (
    feed    text primary key,
    reached text not null
) without rowid;

-- One row per record that its source merged into another: what still carries the old key is about
-- the other one.
create table merged (
    feed     text not null,
    old_key  text not null,
    into_key text not null,
    primary key (feed, old_key)
) without rowid;
create index merged_by_into on merged (feed, into_key);

-- One row per file that was dealt with where it lies, in a folder that this node may not change.
create table landed (
    folder text not null,
    name   text not null,
    sha256 blob not null check (length(sha256) = 32),
    primary key (folder, name)
) without rowid;

-- One row per home that a record's person left, as the source dates it. The present one is in
-- `residence`.
create table former_residence (
    record   integer not null references record (id) on delete cascade,
    state    text    not null check (state in ('known', 'uncertain', 'withheld')),
    property text,
    building text,
    flat     text,
    surnames text    not null,
    from_day integer,
    to_day   integer not null
);
create index former_residence_by_record on former_residence (record);
