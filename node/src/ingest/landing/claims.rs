//! Says whose each file of a folder is.

use std::{fs, path::PathBuf};

use super::{Landed, Landing, LandingError, Look, is_gone};
use crate::source::Feed;

/// Endings that programs give to what they have not written to the end.
const UNFINISHED: [&str; 6] = [".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp"];

/// Whose the files of a folder are.
#[derive(Default)]
pub(super) struct Claims<'f> {
    /// Those that are one feed's.
    pub(super) files: Vec<Landed<'f>>,
    /// Those that several feeds claim.
    pub(super) claimed_twice: Vec<LandingError>,
    /// Those that no feed claims, in order.
    pub(super) strays: Vec<PathBuf>,
}

impl Landing {
    /// Looks whose each file is. What programs keep for themselves is no file here.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub(super) fn claims<'f>(&self, feeds: &'f [Feed]) -> Result<Claims<'f>, LandingError> {
        let read = |source| LandingError::Read { path: self.folder.clone(), source };
        let mut claims = Claims::default();
        for entry in fs::read_dir(&self.folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if self.is_of_no_concern(&name) {
                continue;
            }
            let look = match fs::metadata(&path) {
                Ok(meta) if meta.is_file() => Look::of(&meta),
                Ok(_) => continue,
                // Gone again between two calls: whoever wrote it renamed it.
                Err(error) if is_gone(&path, &error) => continue,
                // Whoever opens it hears why.
                Err(_) => Look::NONE,
            };
            let mut named = feeds.iter().filter(|feed| feed.takes_file(&name));
            match (named.next(), named.next()) {
                (None, _) => claims.strays.push(path),
                (Some(feed), None) => claims.files.push(Landed { path, feed, look }),
                (Some(one), Some(other)) => {
                    let (one, other) = (one.id().to_owned(), other.id().to_owned());
                    claims.claimed_twice.push(LandingError::TwoFeeds { path, one, other });
                }
            }
        }
        claims.strays.sort();
        Ok(claims)
    }

    /// Returns whether a file is a marker, hidden, or not written to the end.
    fn is_of_no_concern(&self, name: &str) -> bool {
        let lower = name.to_ascii_lowercase();
        name.starts_with(['.', '~'])
            || UNFINISHED.iter().any(|end| lower.ends_with(end))
            || self.marker.as_deref().is_some_and(|marker| name.ends_with(marker))
    }
}
