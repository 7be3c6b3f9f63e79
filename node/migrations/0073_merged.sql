-- What a record that was taken over leaves to its heir is found by its key.
create index memo_by_record on memo (record_feed, record_key);
create index alert_record_by_record on alert_record (record_feed, record_key);
