//! Stories from end to end: real processes, real TLS, real files.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod village;

mod a_node_is_down;
mod a_node_is_stopped;
mod an_operator_looks;
mod any_history;
mod changes_flow;
mod command_line;
mod delivered_once;
mod demonstration;
mod disk_is_full;
mod exports_go_wrong;
mod exports_land;
mod interrupted;
mod links_are_explained;
mod measured;
mod models;
mod new_epoch;
mod nothing_personal_leaves;
mod one_person_two_agencies;
mod planted_people;
mod python_client;
mod reviews;
mod stored_joins_nothing;
mod strangers_are_refused;
mod told_to_stop;
mod worklist;
mod year;
