//! Everything that the system has an ODBC driver for: SQL Server, Oracle and the rest.
//!
//! ODBC calls wait, so they have a thread of their own. Where the system knows read-only
//! transactions, this is one; everywhere, nothing is ever committed.

use std::num::NonZeroU64;

use csv::StringRecord;
use odbc_api::{
    Connection, ConnectionOptions, Cursor, Error, ResultSetMetadata, buffers::TextRowSet,
};

use super::{PIECE_ROWS, Sink, error::Problem, statement::Statement};

/// How long a login may take, in seconds.
const LOGIN_SECONDS: u32 = 30;
/// The longest value that is read, in bytes. A longer one is refused, never cut.
const LONGEST_VALUE: usize = 4096;
/// Systems that know read-only transactions and begin one so.
const KNOW_READ_ONLY: [&str; 4] = ["postgresql", "oracle", "mysql", "mariadb"];

pub(super) async fn read(
    address: &str,
    statement: &Statement,
    seconds: u64,
    sink: &mut Sink,
) -> Result<(), Problem> {
    let (address, sql) = (zeroize::Zeroizing::new(address.to_owned()), statement.sql.clone());
    let (give, mut take) = tokio::sync::mpsc::channel::<Given>(2);
    let seconds = NonZeroU64::new(seconds).map_or(1, NonZeroU64::get);
    let thread = tokio::task::spawn_blocking(move || ask(&address, &sql, seconds, &give));
    while let Some(given) = take.recv().await {
        match given {
            Given::Header(header) => sink.header(header).await?,
            Given::Rows(rows) => {
                for row in rows {
                    sink.row(row).await?;
                }
            }
        }
    }
    thread.await.map_err(|_| Problem::Unreachable("the driver failed".into()))??;
    sink.flush().await
}

enum Given {
    Header(Vec<String>),
    Rows(Vec<StringRecord>),
}

fn ask(
    address: &str,
    sql: &str,
    seconds: u64,
    give: &tokio::sync::mpsc::Sender<Given>,
) -> Result<(), Problem> {
    let hand_over = |given| give.blocking_send(given).map_err(|_| Problem::NobodyListens);
    let environment = odbc_api::environment().map_err(of_login)?;
    let options = ConnectionOptions { login_timeout_sec: Some(LOGIN_SECONDS), packet_size: None };
    let conn = environment.connect_with_connection_string(address, options).map_err(of_login)?;
    conn.set_autocommit(false).map_err(of_query)?;
    only_read(&conn)?;

    let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
    let cursor = match conn.execute(sql, (), Some(seconds)) {
        // Not every driver can be told how long to take; the reader's patience ends all the same.
        Err(Error::Diagnostics { record, .. }) if record.state.as_str() == "HYC00" => {
            conn.execute(sql, (), None)
        }
        answer => answer,
    };
    let mut cursor = cursor
        .map_err(of_query)?
        .ok_or(Problem::Query("no result".into(), super::error::WRITES))?;
    let names = cursor.column_names().map_err(of_query)?;
    let header = names.collect::<Result<Vec<String>, _>>().map_err(of_query)?;
    let mut buffer =
        TextRowSet::for_cursor(PIECE_ROWS, &mut cursor, Some(LONGEST_VALUE)).map_err(of_query)?;
    hand_over(Given::Header(header.clone()))?;
    let mut blocks = cursor.bind_buffer(&mut buffer).map_err(of_query)?;
    while let Some(block) = blocks.fetch_with_truncation_check(true).map_err(of_query)? {
        let rows = (0..block.num_rows()).map(|row| record(block, row, &header));
        hand_over(Given::Rows(rows.collect::<Result<_, _>>()?))?;
    }
    drop(blocks);
    // Whatever the query did, nothing of it stays.
    conn.rollback().map_err(of_query)
}

/// Begins a transaction that cannot write, where the system knows such.
fn only_read(conn: &Connection<'_>) -> Result<(), Problem> {
    let system = conn.database_management_system_name().map_err(of_query)?.to_lowercase();
    if KNOW_READ_ONLY.iter().any(|name| system.contains(name)) {
        conn.execute("set transaction read only", (), None).map_err(of_query)?;
    }
    Ok(())
}

fn record(block: &TextRowSet, row: usize, header: &[String]) -> Result<StringRecord, Problem> {
    let mut record = StringRecord::new();
    for (at, name) in header.iter().enumerate() {
        let bytes = block.at(at, row).unwrap_or_default();
        let text = str::from_utf8(bytes).map_err(|_| Problem::NotText(name.clone()))?;
        record.push_field(text);
    }
    Ok(record)
}

fn of_query(error: Error) -> Problem {
    match error {
        Error::Diagnostics { record, .. } => Problem::of_sqlstate(record.state.as_str()),
        Error::TooLargeValueForBuffer { .. } => Problem::LongRow,
        _ => Problem::Query("the driver gave no code".into(), super::error::TRY_IT),
    }
}

fn of_login(error: Error) -> Problem {
    match of_query(error) {
        Problem::Query(code, _) => Problem::Unreachable(code),
        problem => problem,
    }
}
