-- Tells the mapping that an export was read with from others: the same rows may say something else under
-- another. Null is of an older version.
alter table import add column mapping blob check (mapping is null or length(mapping) = 32);
