-- When people were counted by kinds in a sweep, in unix milliseconds, and which question that answered:
-- the SHA-256 of it. Null where nobody asked.
alter table sweep add column counted_ms integer;
alter table sweep add column counted_hash blob check (counted_hash is null or length(counted_hash) = 32);
