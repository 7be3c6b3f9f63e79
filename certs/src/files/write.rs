//! Writing files whole or not at all.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    process,
};

use super::FilesError;

/// Writes a file that only this user may read. After a crash it is the old file or the new one.
pub fn write_secret(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FilesError> {
    write(path.as_ref(), bytes, 0o600)
}

/// Writes a file that anybody may read, as far as this user's umask allows. After a crash it is
/// the old file or the new one.
pub fn write_public(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FilesError> {
    write(path.as_ref(), bytes, 0o644)
}

/// Makes an empty file that only this user may read, unless there is a file. Returns whether it did.
fn make_secret(path: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(true),
        // It was there, or another process is as far as this one.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the file of an SQLite database that only this user may read, or makes one so that others could.
/// What SQLite puts beside it has the same permissions. The log calls the content `what`.
pub fn make_secret_database(path: &Path, what: &str) -> io::Result<()> {
    if make_secret(path)? {
        return Ok(());
    }
    for beside in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        let mode = match fs::metadata(&name) {
            Ok(file) => file.permissions().mode() & 0o7777,
            // SQLite removes those beside it when the last connection is closed, at any moment.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if mode & 0o077 != 0 {
            match fs::set_permissions(&name, Permissions::from_mode(mode & 0o700)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    let file = Path::new(&name).display();
                    let why = format!("others can read {file}, and it cannot be changed: {error}");
                    return Err(io::Error::new(error.kind(), why));
                }
            }
            tracing::warn!(
                file = %Path::new(&name).display(), mode = format!("{mode:o}"),
                "others on this machine could read {what} until now: see who may have"
            );
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FilesError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    replace(folder, path, bytes, mode).map_err(|source| FilesError::Unwritable {
        path: path.to_owned(),
        advice: advice(source.kind(), folder),
        source,
    })
}

fn replace(folder: &Path, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
    let temporary = folder.join(format!(".{}.{}.tmp", name.display(), process::id()));
    let written = write_new(&temporary, bytes, mode)
        .and_then(|()| fs::rename(&temporary, path))
        // The rename itself is only durable once the folder is.
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        // Whatever is left of it is of no use; that it may not be there is fine.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        // A process of the same number died in the middle.
        Ok(()) => tracing::debug!(path = %path.display(), "removed an unfinished file"),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn advice(kind: ErrorKind, folder: &Path) -> String {
    let folder = folder.display();
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("the disk that holds {folder} is full; nothing was changed")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("this user may not write in {folder}")
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => format!("there is no folder {folder}"),
        _ => "what was there before is unchanged".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_readable_by_its_owner_alone_even_where_an_open_file_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();

        write_secret(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_that_cannot_be_written_says_why_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("not-there/key.pem");
        let refused = write_secret(&nowhere, b"x").unwrap_err().to_string();
        assert!(refused.contains("there is no folder"), "{refused}");

        // A folder in the way makes the rename fail, after the temporary file was written.
        let in_the_way = folder.path().join("key.pem");
        fs::create_dir_all(in_the_way.join("full")).unwrap();
        assert!(write_secret(&in_the_way, b"x").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

        let etc = Path::new("/etc/causeway");
        assert_eq!(
            advice(ErrorKind::StorageFull, etc),
            "the disk that holds /etc/causeway is full; nothing was changed",
        );
        assert!(advice(ErrorKind::PermissionDenied, etc).contains("may not write"));
    }
}
