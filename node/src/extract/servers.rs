//! PostgreSQL, `MySQL` and `MariaDB`, SQLite.
//!
//! Every value is asked for as the text that the server itself makes of it, so that nothing is lost
//! between its types and ours.

use std::str::FromStr;

use csv::StringRecord;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Column, ColumnIndex, ConnectOptions, Connection, Database, Decode, Executor,
    Row, SqlSafeStr, Statement as _, ValueRef,
    mysql::{MySqlConnectOptions, MySqlConnection},
    postgres::{PgConnectOptions, PgConnection},
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::{
    Sink,
    error::{self, Problem},
    statement::Statement,
};

pub(super) async fn postgres(
    address: &str,
    statement: &Statement,
    seconds: u64,
    sink: &mut Sink,
) -> Result<(), Problem> {
    let options = PgConnectOptions::from_str(address).map_err(|_| Problem::Address)?;
    let options = options.application_name("causeway-node").disable_statement_logging();
    let mut conn = PgConnection::connect_with(&options).await.map_err(of_login)?;
    let settings = format!(
        "set default_transaction_read_only = on; set statement_timeout = '{seconds}s';
         set datestyle = 'ISO, YMD'; begin transaction isolation level repeatable read read only"
    );
    run(&mut conn, settings).await?;
    rows(&mut conn, statement, sink).await?;
    // Nothing to keep, and the rows are here: a connection that ends badly now changes nothing.
    let _ = conn.close().await;
    Ok(())
}

pub(super) async fn mysql(
    address: &str,
    statement: &Statement,
    seconds: u64,
    sink: &mut Sink,
) -> Result<(), Problem> {
    let options = MySqlConnectOptions::from_str(address).map_err(|_| Problem::Address)?;
    // Times as the agency's own people see them, and the server's own idea of SQL.
    let options = options.timezone(None).pipes_as_concat(false).no_engine_substitution(false);
    let options = options.disable_statement_logging();
    let mut conn = MySqlConnection::connect_with(&options).await.map_err(of_mysql)?;
    let version: String =
        sqlx::query_scalar("select version()").fetch_one(&mut conn).await.map_err(of_mysql)?;
    let limit = if version.contains("MariaDB") {
        format!("set session max_statement_time = {seconds}")
    } else {
        format!("set session max_execution_time = {}", seconds.saturating_mul(1000))
    };
    let begin = "set session transaction read only; \
                 start transaction with consistent snapshot, read only";
    run(&mut conn, format!("{limit}; {begin}")).await?;
    rows(&mut conn, statement, sink).await?;
    let _ = conn.close().await;
    Ok(())
}

pub(super) async fn sqlite(
    address: &str,
    statement: &Statement,
    sink: &mut Sink,
) -> Result<(), Problem> {
    let options = SqliteConnectOptions::from_str(address).map_err(|_| Problem::Address)?;
    let options = options.read_only(true).create_if_missing(false).pragma("query_only", "on");
    let options = options.disable_statement_logging();
    let mut conn = SqliteConnection::connect_with(&options).await.map_err(of_login)?;
    rows(&mut conn, statement, sink).await?;
    let _ = conn.close().await;
    Ok(())
}

/// A kind of server that we can read as text.
trait Server: Connection
where
    for<'c> &'c mut Self: Executor<'c, Database = Self::Database>,
    for<'r> String: Decode<'r, Self::Database>,
    usize: ColumnIndex<<Self::Database as Database>::Row>,
{
    /// Tells what an error means.
    fn problem(error: sqlx::Error) -> Problem;
}

impl Server for PgConnection {
    fn problem(error: sqlx::Error) -> Problem {
        match code(&error) {
            Some(code) => Problem::of_sqlstate(&code),
            None => of_connection(&error),
        }
    }
}

impl Server for MySqlConnection {
    fn problem(error: sqlx::Error) -> Problem {
        of_mysql(error)
    }
}

impl Server for SqliteConnection {
    fn problem(error: sqlx::Error) -> Problem {
        match code(&error).as_deref() {
            Some("8" | "264" | "520" | "776" | "1032" | "1288" | "1544") => {
                Problem::Query("read-only".into(), error::WRITES)
            }
            Some("5" | "6" | "261" | "517") => Problem::Timeout,
            Some("1") => Problem::Query("1".into(), error::SYNTAX),
            Some(code) => Problem::Query(code.to_owned(), error::TRY_IT),
            None => of_connection(&error),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "settings of ours with a number in them")]
async fn run<S: Server>(conn: &mut S, sql: String) -> Result<(), Problem>
where
    for<'c> &'c mut S: Executor<'c, Database = S::Database>,
    for<'r> String: Decode<'r, S::Database>,
    usize: ColumnIndex<<S::Database as Database>::Row>,
{
    // Numbers and fixed words only.
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await.map_err(S::problem)?;
    Ok(())
}

/// Hands on the header and every row of an answer.
#[expect(clippy::disallowed_methods, reason = "the query is the agency's own, from its mapping")]
async fn rows<S: Server>(
    conn: &mut S,
    statement: &Statement,
    sink: &mut Sink,
) -> Result<(), Problem>
where
    for<'c> &'c mut S: Executor<'c, Database = S::Database>,
    for<'r> String: Decode<'r, S::Database>,
    usize: ColumnIndex<<S::Database as Database>::Row>,
{
    // The agency's own query, from its own mapping, and a value that was checked to be plain.
    let sql = || AssertSqlSafe(statement.sql.clone()).into_sql_str();
    let prepared = (&mut *conn).prepare(sql()).await.map_err(S::problem)?;
    let header: Vec<String> =
        prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    drop(prepared);
    sink.header(header).await?;
    let mut answer = sqlx::raw_sql(sql()).fetch(&mut *conn);
    while let Some(row) = answer.try_next().await.map_err(S::problem)? {
        sink.row(cells::<S::Database>(&row)?).await?;
    }
    sink.flush().await
}

/// Writes one row as text; what is null is empty.
fn cells<DB: Database>(row: &DB::Row) -> Result<StringRecord, Problem>
where
    for<'r> String: Decode<'r, DB>,
    usize: ColumnIndex<DB::Row>,
{
    let mut cells = StringRecord::new();
    for (at, column) in row.columns().iter().enumerate() {
        let not_text = || Problem::NotText(column.name().to_owned());
        let value = row.try_get_raw(at).map_err(|_| not_text())?;
        if value.is_null() {
            cells.push_field("");
            continue;
        }
        // Unchecked: whatever its type, its text is what is wanted.
        let text: String = row.try_get_unchecked(at).map_err(|_| not_text())?;
        cells.push_field(&text);
    }
    Ok(cells)
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// What went wrong before anything was asked.
fn of_login(error: sqlx::Error) -> Problem {
    match code(&error) {
        Some(code) => Problem::Login(code),
        None => of_connection(&error),
    }
}

fn of_mysql(error: sqlx::Error) -> Problem {
    let Some(database) = error.as_database_error() else {
        return of_connection(&error);
    };
    let number = database
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        .map_or(0, sqlx::mysql::MySqlDatabaseError::number);
    let query = |hint| Problem::Query(number.to_string(), hint);
    match number {
        1969 | 3024 | 1317 => Problem::Timeout,
        1044 | 1045 | 1049 | 1698 => Problem::Login(number.to_string()),
        1792 | 1290 => query(error::WRITES),
        1142 | 1143 | 1370 => query(error::NOT_ALLOWED),
        1146 => query(error::NO_TABLE),
        1054 => query(error::NO_COLUMN),
        1064 => query(error::SYNTAX),
        _ => query(error::TRY_IT),
    }
}

fn of_connection(error: &sqlx::Error) -> Problem {
    match error {
        sqlx::Error::Io(error) => Problem::Unreachable(error.kind().to_string()),
        sqlx::Error::Tls(_) => Problem::Unreachable("TLS was refused".into()),
        sqlx::Error::Configuration(_) => Problem::Address,
        _ => Problem::Unreachable("it does not speak as this kind does".into()),
    }
}
