//! Puts a file away once it was dealt with, with its receipt.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use ring::digest;
use serde_json::json;

use super::{Look, reason};
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
    /// Nowhere: another one lies under its name, and has to be dealt with itself.
    Replaced,
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

/// Returns whether the file under a name is the one that was opened, as it was.
pub(super) fn is_still(path: &Path, stamp: &Stamp) -> io::Result<bool> {
    Ok(Stamp::of(&fs::metadata(path)?) == *stamp)
}

/// Moves a file, with its receipt before it: whatever is in `done` says how it came there. Leaves one
/// alone that took its place meanwhile.
pub(super) fn put_away(
    path: &Path,
    marker: Option<&Path>,
    (stamp, hash): (&Stamp, &[u8; 32]),
    result: &Result<Receipt, IngestError>,
) -> io::Result<Away> {
    if !is_still(path, stamp)? {
        return Ok(Away::Replaced);
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let away = path.with_file_name(if result.is_ok() { "done" } else { "refused" });
    fs::create_dir_all(&away)?;
    // Two files of one name are two files.
    let short: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let name = match away.join(&*file).exists() {
        true => format!("{file}.{short}"),
        false => file.clone().into_owned(),
    };
    let receipt = away.join(format!("{name}.receipt.json"));
    // A node that was killed after it wrote one has nothing new to say.
    let again = matches!(result, Ok(receipt) if receipt.same_as_last) && receipt.exists();
    if !again {
        let draft = away.join(format!(".{name}.receipt.tmp"));
        fs::write(&draft, receipt_text(&file, hash, result))?;
        fs::rename(&draft, &receipt)?;
    }
    fs::rename(path, away.join(&name))?;
    match marker {
        Some(marker) => fs::remove_file(marker)?,
        None => {}
    }
    Ok(Away::Moved)
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

/// Returns whether a folder is one that this user may not change.
pub(super) fn is_fixed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
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
