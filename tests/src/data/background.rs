//! x
use super::People;
use causeway_proto::day::Day;
/// x
pub fn people(_seed: u64, _per_agency: usize, _as_at: Day) -> People {
    People::default()
}
