//! Says how far long work has come, where it does not mix with results.

use std::io::Write;

/// Writes a line to stderr.
pub fn say(line: &str) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}
