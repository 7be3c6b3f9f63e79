-- The very content of the model that a sweep scored with: SHA-256 of its file, in hexadecimal.
alter table sweep add column model_sha256 text not null default '';

-- One row per agency: up to which day what it holds was part of a sweep. Concerns no person.
create table heard (
    agency   text   primary key, -- its short name
    good_day bigint not null     -- days since 1970-01-01
);
