//! Where the log goes: standard error, so that standard output is for results.

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// A filter that cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error(
    "write a level (off, error, warn, info, debug or trace), or PART=LEVEL, with commas between several"
)]
pub struct InvalidFilter;

/// Checks what is to be logged, for the command line.
pub fn filter(text: &str) -> Result<String, InvalidFilter> {
    // A misspelt level would be taken for a part of the program, and nothing else would be logged.
    let is_known = |word: &str| {
        word.is_empty() || word.contains(['=', '[']) || word.parse::<LevelFilter>().is_ok()
    };
    match EnvFilter::try_new(text) {
        Ok(_) if text.split(',').map(str::trim).all(is_known) => Ok(text.to_owned()),
        _ => Err(InvalidFilter),
    }
}

/// Starts the log at a level such as `info` or `causeway_node=debug`. Starting it again does
/// nothing. [`filter`] has seen the level.
pub fn start(level: &str, format: LogFormat) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a log is running already, as it does in tests.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_followed_is_refused_and_not_replaced() {
        for good in ["info", "off", "causeway_node=debug", "warn,causeway_node=trace", ""] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["xx=yy=zz", "causeway_node=loud", "info;debug", "inffo"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
