-- When a finding was first kept, by this node's clock, and when it is forgotten; null is never: who was
-- found not to be one person is not one for good. In unix milliseconds.
alter table memo add column kept_ms integer not null default 0;
alter table memo add column until_ms integer;
update memo set until_ms = (strftime('%s', 'now') + 400 * 86400) * 1000 where kind <> 'not_linked';

-- How many people were in the sweep when it was opened.
alter table sweep add column records integer not null default 0;
