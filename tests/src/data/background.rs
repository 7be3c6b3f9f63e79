//! Everybody else: a made-up town of people whose lives are mostly uneventful.
//!
//! ```text
//! names, homes, numbers   what there is to draw from
//! residents, lives        who lives together; who moved, married or died
//! agencies, records       whom each system holds, and how it has them; slips: its mistakes
//! stories, happenings     the little that agencies worry about, and never enough to surface
//! ```
//!
//! All of it follows from a seed. Nobody in it exists: the postcodes are of an area that no place
//! has, and the numbers of ranges that are never issued.

mod agencies;
mod happenings;
mod homes;
mod lives;
mod names;
mod numbers;
mod records;
mod residents;
mod slips;
mod stories;
#[cfg(test)]
mod tests;

use causeway_proto::day::Day;

use self::residents::Settler;
use super::People;

/// Returns the background of a town: about `per_agency` records at each agency.
pub fn people(seed: u64, per_agency: usize, as_at: Day) -> People {
    let mut settler = Settler::new(seed, as_at);
    // One in three is at school, which is the agency that can hold the fewest.
    settler.settle(per_agency * 3);
    settler.move_house();
    settler.die();
    let Settler { town, mut dice, .. } = settler;
    let held = records::write(&town, as_at, &mut dice);
    let happenings = happenings::draw(&town, &held, as_at, &mut dice);
    People { records: held.into_iter().map(|held| held.record).collect(), happenings }
}
