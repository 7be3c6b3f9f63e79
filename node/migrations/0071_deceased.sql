-- Whether somebody had died is asked of every export about events.
create index record_deceased on record (feed) where deceased is not null;
