//! Reads a feed's rows straight from a database that the agency already has.
//!
//! ```text
//! settings   what `[database]` in a mapping says
//! statement  the query as it is sent: one statement, from where the last one ended
//! servers    PostgreSQL, MySQL and MariaDB, SQLite
//! odbc       everything else that the system has a driver for
//! ```
//!
//! It only ever reads: the session and the transaction are read-only where the server knows that,
//! and nothing is committed. Rows come in pieces through a short queue, so a large result does not
//! fill the memory before it is looked at, and they come as text, so that everything after this is
//! what it is for files. What a database says of its rows is never repeated in an error: codes are.

mod error;
#[cfg(feature = "odbc")]
mod odbc;
mod servers;
pub mod settings;
mod statement;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use csv::StringRecord;
use tokio::{sync::mpsc, time::timeout};

pub use self::error::ExtractError;
use self::{
    settings::{Database, Kind},
    statement::Statement,
};
use crate::source::{
    FileError,
    cells::{Cells, Hasher, Row, Seal},
};

/// Rows in one piece.
const PIECE_ROWS: usize = 256;
/// Pieces that may wait to be looked at.
const PIECES: usize = 4;
/// No honest row is longer, as in a file.
const LONGEST_ROW: usize = 1024 * 1024;

/// What comes out of a database, in this order: one header, pieces of rows, and an end or a failure.
enum Piece {
    Header(Vec<String>),
    Rows(Vec<StringRecord>),
    End,
    Failed(ExtractError),
}

/// Where pieces go.
struct Sink {
    pieces: mpsc::Sender<Piece>,
    rows: Vec<StringRecord>,
}

/// Where the last row that a query gave stands, known once all were read.
#[derive(Clone, Debug, Default)]
pub struct Position(Arc<Mutex<Option<String>>>);

/// A query that is being answered.
pub struct Extract {
    /// Its rows.
    pub cells: Box<dyn Cells + Send>,
    /// Where to go on next time.
    pub position: Position,
}

impl Position {
    /// Returns the value of the cursor column in the last row, if there was one.
    pub fn reached(&self) -> Option<String> {
        self.0.lock().ok()?.clone()
    }
}

/// Asks a database, from where the last answer ended, and returns once it begins to answer.
///
/// # Errors
/// Fails when the database cannot be reached, lets nobody in, or cannot answer. A failure after the
/// first rows comes out of the rows.
pub async fn begin(database: &Database, since: Option<&str>) -> Result<Extract, ExtractError> {
    let address = database.address()?;
    let statement = Statement::of(database, since);
    let (pieces, mut read) = mpsc::channel(PIECES);
    let mut sink = Sink { pieces: pieces.clone(), rows: Vec::new() };
    let (kind, seconds) = (database.kind, database.timeout_seconds);
    let file = database.url_file.clone();
    tokio::spawn(async move {
        let patience = Duration::from_secs(seconds);
        let reading = answer(kind, &address, &statement, seconds, &mut sink);
        let last = match timeout(patience, reading).await {
            Ok(Ok(())) => Piece::End,
            Ok(Err(error)) => Piece::Failed(error.of(kind, &file, seconds)),
            Err(_) => Piece::Failed(ExtractError::Timeout { kind, seconds }),
        };
        // Nobody listens any more where the rows were refused half way.
        let _ = pieces.send(last).await;
    });
    let header = match read.recv().await {
        Some(Piece::Header(header)) => header,
        Some(Piece::Failed(error)) => return Err(error),
        _ => return Err(ExtractError::Silent { kind }),
    };
    let cursor_at = match &database.cursor {
        None => None,
        Some(name) => {
            let at = header.iter().position(|column| column.eq_ignore_ascii_case(name));
            Some(at.ok_or_else(|| ExtractError::NoCursor { column: name.clone() })?)
        }
    };
    let position = Position::default();
    let cells = Streamed {
        kind,
        hasher: Hasher::new(&header),
        header,
        pieces: read,
        piece: Vec::new().into_iter(),
        row: 0,
        cursor_at,
        position: position.clone(),
    };
    Ok(Extract { cells: Box::new(cells), position })
}

async fn answer(
    kind: Kind,
    address: &str,
    statement: &Statement,
    seconds: u64,
    sink: &mut Sink,
) -> Result<(), error::Problem> {
    match kind {
        Kind::Postgres => servers::postgres(address, statement, seconds, sink).await,
        Kind::Mysql => servers::mysql(address, statement, seconds, sink).await,
        Kind::Sqlite => servers::sqlite(address, statement, sink).await,
        #[cfg(feature = "odbc")]
        Kind::Odbc => odbc::read(address, statement, seconds, sink).await,
        #[cfg(not(feature = "odbc"))]
        Kind::Odbc => Err(error::Problem::NoOdbc),
    }
}

impl Sink {
    async fn header(&mut self, names: Vec<String>) -> Result<(), error::Problem> {
        self.send(Piece::Header(names)).await
    }

    async fn row(&mut self, row: StringRecord) -> Result<(), error::Problem> {
        if row.as_slice().len() > LONGEST_ROW {
            return Err(error::Problem::LongRow);
        }
        self.rows.push(row);
        if self.rows.len() < PIECE_ROWS {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), error::Problem> {
        let rows = std::mem::take(&mut self.rows);
        self.send(Piece::Rows(rows)).await
    }

    async fn send(&mut self, piece: Piece) -> Result<(), error::Problem> {
        self.pieces.send(piece).await.map_err(|_| error::Problem::NobodyListens)
    }
}

/// The rows of a query, read by somebody who may wait.
struct Streamed {
    kind: Kind,
    header: Vec<String>,
    pieces: mpsc::Receiver<Piece>,
    piece: std::vec::IntoIter<StringRecord>,
    row: u64,
    hasher: Hasher,
    cursor_at: Option<usize>,
    position: Position,
}

impl Streamed {
    /// Remembers where a row stands. A cursor that cannot be written into the next query without
    /// any doubt is refused now.
    fn pass(&self, row: &StringRecord) -> Result<(), ExtractError> {
        let Some(value) = self.cursor_at.and_then(|at| row.get(at)).filter(|v| !v.is_empty())
        else {
            return Ok(());
        };
        if !statement::is_plain(value) {
            return Err(ExtractError::CursorForm { row: self.row });
        }
        if let Ok(mut position) = self.position.0.lock() {
            *position = Some(value.to_owned());
        }
        Ok(())
    }
}

impl Cells for Streamed {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn next(&mut self, row: &mut Row) -> Result<bool, FileError> {
        let refuse = |error: ExtractError| FileError::Source(Box::new(error));
        loop {
            if let Some(cells) = self.piece.next() {
                self.row += 1;
                self.pass(&cells).map_err(refuse)?;
                self.hasher.add(&cells);
                (row.line, row.cells) = (self.row, cells);
                return Ok(true);
            }
            match self.pieces.blocking_recv() {
                Some(Piece::Rows(rows)) => self.piece = rows.into_iter(),
                Some(Piece::End) => return Ok(false),
                Some(Piece::Failed(error)) => return Err(refuse(error)),
                // Whoever asked has stopped without a word: nothing here may look like an end.
                Some(Piece::Header(_)) | None => {
                    return Err(refuse(ExtractError::Silent { kind: self.kind }));
                }
            }
        }
    }

    fn seal(&self) -> Seal {
        Seal { encoding: "utf-8", hash: self.hasher.hash() }
    }
}

impl std::fmt::Debug for Extract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extract(..)")
    }
}
