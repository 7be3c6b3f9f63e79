-- Following a sweep live. A sweep that an older version opened has no memory of what it streamed and
-- cannot be followed: it is over, and the coordinator opens the next.
update sweep set closed_ms = opened_ms where closed_ms is null;

-- What the token stream says of each row: a byte a row. Erased with the sweep.
alter table sweep add column streamed blob;

-- The row that took over most records of a person who was merged into another.
alter table change add column heir integer;
create index change_by_replaced on change (replaces) where replaces is not null;
create index change_by_retracted on change (row) where what = 'retraction';

-- One row per row of match-keys and position of the change stream at which the open sweep said
-- something else of it. What a stream that is resumed has to catch up on.
create table told (
    position integer not null,
    row      integer not null,
    before   integer not null,   -- the byte of `sweep.streamed`, as it was
    after    integer not null,
    tokens   integer not null check (tokens in (0, 1)), -- other tokens for the same row
    primary key (position, row)
) without rowid;

create index residence_by_address on residence (building);
