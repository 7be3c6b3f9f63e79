//! Says an error together with everything that led to it.

use std::error::Error;

/// Returns an error and its causes, the outermost first, in one line.
pub fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
