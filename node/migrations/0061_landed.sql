-- The fingerprint of the mapping under which the file was refused: another mapping tries again. Null
-- where it was taken in.
alter table landed add column refused_under blob check (length(refused_under) = 32);
