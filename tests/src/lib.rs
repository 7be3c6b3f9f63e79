//! Whole towns: several nodes, one coordinator, real TLS, real files.

pub mod attack;
pub mod bench;
pub mod cli;
pub mod data;
pub mod demo;
pub mod interrupt;
pub mod link;
pub mod mariadb;
pub mod needles;
pub mod ports;
pub mod postgres;
pub mod progress;
pub mod standard;
pub mod stored;
pub mod town;
pub mod truth;
pub mod wiretap;
pub mod year;
