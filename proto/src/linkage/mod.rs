//! What it means for two records to agree, the same at both ends.
//!
//! A node compares its own records to find one person entered twice; the coordinator compares
//! records of different nodes without seeing a value. Both use the same packed [`comparison`], the
//! same [`levels`] of agreement, the same Fellegi-Sunter [`weights`] with probabilities estimated
//! from the data, the same [`guards`] and [`ambiguity`], and the same [`cluster`]ing, so that a link means the same
//! thing wherever it was made. Formulae and measurements: `linkage/LINKAGE.md`, sections 2.3 to 2.9.
//!
//! Everything here is arithmetic on numbers: no name, no hash function and no key.

pub mod ambiguity;
pub mod cluster;
pub mod comparison;
mod em;
pub mod guards;
pub mod levels;
pub mod weights;
