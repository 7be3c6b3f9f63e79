//! Puts a file away once it was dealt with, with its receipt.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use causeway_certs::files::is_fixed;
use ring::digest;
use serde_json::json;

use super::{Look, name_of, reason};
use crate::ingest::{IngestError, Receipt};

/// Which file it is, and how it looks: what lies under the same name later may be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) look: Look,
}

/// A file that is open. What is hashed, read and put away is this one.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) stamp: Stamp,
    pub(super) hash: [u8; 32],
}

/// Where a file is after it was dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away {
    /// In `done` or `refused`.
    Moved,
    /// Where it was: it has to stay there.
    Left,
    /// Nowhere: another one lies under its name, and has to be dealt with itself.
    Replaced,
    /// Wherever another process moved it.
    Taken,
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino(), look: Look::of(meta) }
    }
}

impl Opened {
    /// Opens and hashes a file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let hash = hash(&mut file)?;
        io::Seek::rewind(&mut file)?;
        Ok(Self { file, stamp, hash })
    }
}

/// Says what lies under a name now.
pub(super) fn left(path: &Path, stamp: &Stamp) -> io::Result<Away> {
    match fs::metadata(path) {
        Ok(meta) if Stamp::of(&meta) == *stamp => Ok(Away::Left),
        Ok(_) => Ok(Away::Replaced),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Away::Taken),
        Err(error) => Err(error),
    }
}

/// Moves a file, with its receipt before it: whatever is in `done` says how it came there. Leaves one
/// alone that took its place meanwhile, and what this user may not move.
pub(super) fn put_away(
    path: &Path,
    marker: Option<&Path>,
    (stamp, hash): (&Stamp, &[u8; 32]),
    result: &Result<Receipt, IngestError>,
) -> io::Result<Away> {
    match left(path, stamp)? {
        Away::Left => {}
        elsewhere => return Ok(elsewhere),
    }
    match move_away(path, hash, result).and_then(|()| marker.map_or(Ok(()), remove)) {
        Ok(()) => Ok(Away::Moved),
        Err(error) if is_fixed(&error) => Ok(Away::Left),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => Ok(Away::Taken),
        Err(error) => Err(error),
    }
}

pub(super) fn move_away(
    path: &Path,
    hash: &[u8; 32],
    result: &Result<Receipt, IngestError>,
) -> io::Result<()> {
    let file = name_of(path);
    let away = path.with_file_name(if result.is_ok() { "done" } else { "refused" });
    fs::create_dir_all(&away)?;
    // Two files of one name are two files.
    let short: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let name = match away.join(&file).exists() {
        true => format!("{file}.{short}"),
        false => file.clone(),
    };
    let receipt = away.join(format!("{name}.receipt.json"));
    // A node that was killed after it wrote one has nothing new to say; nor has one beside another.
    let again = matches!(result, Ok(receipt) if receipt.same_as_last) && receipt.exists();
    if !again {
        // Two processes do not write into one draft.
        let draft = away.join(format!(".{name}.receipt.{}.tmp", std::process::id()));
        let text = receipt_text(&file, hash, result);
        let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, &receipt));
        // Where a folder is full, a draft would take the room that the next attempt needs.
        written.or_else(|error| remove(&draft).and(Err(error)))?;
    }
    let moved = fs::rename(path, away.join(&name));
    // Without its file, a receipt tells of nothing.
    if moved.is_err() && !again && !away.join(&name).exists() {
        remove(&receipt)?;
    }
    moved
}

/// Removes a file that another process may have removed.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Counts, places and rules; nothing that a row says.
fn receipt_text(file: &str, hash: &[u8; 32], result: &Result<Receipt, IngestError>) -> String {
    let sha256: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let receipt = match result {
        Ok(receipt) => json!({ "file": file, "sha256": sha256, "taken_in": receipt }),
        Err(error) => json!({ "file": file, "sha256": sha256, "refused": reason(error) }),
    };
    format!("{receipt:#}\n")
}

fn hash(file: &mut File) -> io::Result<[u8; 32]> {
    let mut context = digest::Context::new(&digest::SHA256);
    io::copy(file, &mut Hashing(&mut context))?;
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Ok(hash)
}

/// Hashes what is written to it.
struct Hashing<'a>(&'a mut digest::Context);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
