-- Where a table is its own index, every look at a key that leads past a blob reads the whole blob. So
-- segments are kept apart from their index.
create table indexed_segment (
    number      integer not null,
    column_kind integer not null,
    row_count   integer not null,
    body        blob    not null,
    primary key (number, column_kind)
);
insert into indexed_segment select number, column_kind, row_count, body from segment;
drop table segment;
alter table indexed_segment rename to segment;
