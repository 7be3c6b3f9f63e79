-- At most one row: what the stored match-keys were made with, and of whose records.
create table keyed (
    id       integer primary key check (id = 1),
    commitment blob  not null check (length(commitment) = 32), -- to the epoch's linkage key
    revision integer not null,  -- of the recipe
    feeds    text    not null   -- the feeds about people, in order, commas between
);

-- Feeds about events that the settings name no more: nothing of them is told.
create table retired_feed (
    feed text primary key
) without rowid;
