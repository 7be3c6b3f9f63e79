-- One row per export that was taken in or refused whole.
create table import (
    id          integer primary key,
    feed        text    not null,
    sha256      blob    not null check (length(sha256) = 32),
    outcome     text    not null check (outcome in ('taken', 'refused')),
    reason      text,             -- why it was refused; says a rule and a line, never a value
    row_count   integer not null,
    accepted    integer not null,
    quarantined integer not null,
    changed     integer not null, -- rows that were new or different
    removed     integer not null, -- rows that were gone for the second time
    taken_ms    integer not null  -- unix milliseconds
);
create index import_by_feed on import (feed, id);

-- One row per line of an export that was left out: where and by which rule, never what it said.
create table quarantine (
    import      integer not null references import (id),
    line        integer not null,
    column_name text    not null,
    rule        text    not null
);
create index quarantine_by_import on quarantine (import);

-- One row per record of a source system, as it was last exported.
create table record (
    id         integer primary key,
    feed       text    not null,
    key        text    not null,  -- the source system's own reference
    hash       blob    not null check (length(hash) = 16),
    fields     text    not null,  -- in the order of `source::RawPerson`, unit separators between
    restricted text,              -- why its keys are never emitted
    deceased   integer,           -- days since 1970-01-01
    person     integer references person (id),
    missed     integer not null default 0, -- good full exports in a row that lacked it
    unique (feed, key)
);
create index record_by_person on record (person);

-- One row per person, over all records this node takes for theirs.
create table person (
    id  integer primary key,
    row integer not null unique   -- where the match-keys stand; new whenever they change
);

-- One row per 4,096 rows of match-keys and column: 0 is the state byte, 1 the sketches, and
-- otherwise the number of the match-key kind, `slots` times 16 bytes a row. See store/segments.rs.
create table segment (
    number      integer not null,
    column_kind integer not null,
    row_count   integer not null,
    body        blob    not null,
    primary key (number, column_kind)
) without rowid;

-- One row per record that says where its person lives, in the spelling every node agrees on.
create table residence (
    record   integer primary key references record (id) on delete cascade,
    state    text not null check (state in ('known', 'uncertain', 'withheld')),
    property text,              -- unique property reference number
    building text,              -- postcode, house and start of the street
    flat     text,
    surnames text not null,     -- the whole surname first, then its parts; spaces between
    from_day integer,
    to_day   integer
);
create index residence_by_building on residence (building) where flat is not null;

-- One row per event or state of a source system that the catalogue has a code for.
create table event (
    id          integer primary key,
    feed        text    not null,
    key         text    not null,  -- the row's own key in its feed
    hash        blob    not null check (length(hash) = 16),
    record_feed text    not null,  -- whose event it is
    record_key  text    not null,
    reference   text    not null,  -- equal for one event that several people carry
    code        integer not null,  -- causeway.v1.SignalCode
    suspect     integer not null check (suspect in (0, 1)),
    start_day   integer not null,
    end_day     integer,
    confidence  integer not null check (confidence between 0 and 1000),
    missed      integer not null default 0,
    unique (feed, key)
);
create index event_by_record on event (record_feed, record_key);

-- At most one row: what this agency's own records taught about how two records of one person agree.
create table weights (
    id   integer primary key check (id = 1),
    body blob    not null   -- m and u by field and level, and the two shares; little-endian doubles
);
