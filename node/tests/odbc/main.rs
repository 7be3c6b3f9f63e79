//! Rows through the drivers of the system's ODBC manager: PostgreSQL's and SQLite's.
//!
//! A test of this crate, and not of `tests/`, so that the one feature rebuilds as little as may be.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the statements are the tests' own, and a story that cannot go on fails"
)]

#[path = "../../../tests/servers/desk.rs"]
mod desk;
#[path = "../../../tests/src/ports.rs"]
#[expect(unreachable_pub, reason = "it is written for other crates, too")]
mod ports;
#[path = "../../../tests/src/postgres.rs"]
#[expect(unreachable_pub, reason = "it is written for other crates, too")]
mod postgres;

use desk::{
    PASSWORD, Server, a_full_answer_is_what_a_file_of_the_same_rows_is,
    an_answer_goes_on_where_the_last_one_ended, what_goes_wrong_is_said,
};
use postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

struct Pg {
    conn: PgConnection,
    address: String,
    _server: Postgres,
}

impl Server for Pg {
    const KIND: &'static str = "odbc";
    const TYPES: [&'static str; 4] = ["bigint", "date", "varchar(40)", "timestamp"];
    const GROWS: [&'static str; 3] =
        ["'2025-03-01 10:00:00.123456'", "'2025-03-01 10:00:00.2'", "'2025-03-02 09:00:00'"];

    fn address(&self) -> String {
        self.address.clone()
    }

    async fn run(&mut self, sql: &str) {
        self.conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect(sql);
    }
}

struct Lite {
    conn: SqliteConnection,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server for Lite {
    const KIND: &'static str = "odbc";
    const TYPES: [&'static str; 4] = ["integer", "date", "varchar(40)", "integer"];
    const GROWS: [&'static str; 3] = ["9", "10", "1740906000"];

    fn address(&self) -> String {
        self.address.clone()
    }

    async fn run(&mut self, sql: &str) {
        self.conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect(sql);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresqls_driver_is_read_and_never_written() {
    let server = Postgres::start().expect("a PostgreSQL server");
    let url = server.database("tenancies").expect("a database");
    let conn = PgConnection::connect(&url).await.expect("a connection");
    let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()).expect("a port");
    let address = |user: &str, port: &str| {
        format!(
            "Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={port};Database=tenancies;\
             Uid={user};Pwd={PASSWORD};"
        )
    };
    let good = address("causeway", port);
    let mut server = Pg { conn, address: good.clone(), _server: server };
    a_full_answer_is_what_a_file_of_the_same_rows_is(&mut server).await;
    an_answer_goes_on_where_the_last_one_ended(&mut server).await;
    server.run("create sequence numbers").await;
    let no_driver = format!("Driver={{No such driver}};Pwd={PASSWORD};");
    let wrong = [
        (no_driver, "select 1 as ref", "ODBC database does not answer"),
        (address("causeway", "1"), "select 1 as ref", "ODBC database"),
        (good.clone(), "select nextval('numbers') as ref", "this node only reads"),
        (good.clone(), "insert into tenant (ref) values (1)", "this node only reads"),
        (good.clone(), "select secret from tenant", "a column is not there"),
        (good.clone(), "select ref from tenants", "a table or view is not there"),
        (good, "select pg_sleep(60) as ref", "did not answer in full within 1 s"),
    ];
    what_goes_wrong_is_said(&mut server, &wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlites_driver_is_read_and_nothing_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tenancies.db");
    let conn = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await;
    let address = format!("Driver={{SQLite3}};Database={};Timeout=2000;", path.display());
    let conn = conn.expect("a database");
    let mut server = Lite { conn, address: address.clone(), _folder: folder };
    a_full_answer_is_what_a_file_of_the_same_rows_is(&mut server).await;
    an_answer_goes_on_where_the_last_one_ended(&mut server).await;
    let wrong = [
        (address.clone(), "insert into tenant (ref) values (1)", "ODBC database"),
        (address, "select secret from tenant", "ODBC database"),
    ];
    what_goes_wrong_is_said(&mut server, &wrong).await;
    server.run("create table tenant (ref integer)").await;
}
