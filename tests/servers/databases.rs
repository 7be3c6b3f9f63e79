//! Rows straight from PostgreSQL, `MariaDB` and SQLite.

#![expect(clippy::disallowed_methods, reason = "the statements are the tests' own")]

use causeway_tests::{mariadb::MariaDb, postgres::Postgres};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};

use crate::desk::{
    Desk, PASSWORD, Server, a_full_answer_is_what_a_file_of_the_same_rows_is,
    an_answer_goes_on_where_the_last_one_ended, what_goes_wrong_is_said,
};

struct Pg {
    conn: PgConnection,
    address: String,
    _server: Postgres,
}

impl Pg {
    async fn start() -> Self {
        let server = Postgres::start().expect("a PostgreSQL server");
        let address = server.database("tenancies").expect("a database");
        let conn = PgConnection::connect(&address).await.expect("a connection");
        Self { conn, address, _server: server }
    }
}

impl Server for Pg {
    const KIND: &'static str = "postgres";
    const TYPES: [&'static str; 4] = ["bigint", "date", "text", "timestamptz"];
    const GROWS: [&'static str; 3] = [
        "'2025-03-01 10:00:00.123456+00'",
        "'2025-03-01 10:00:00.2+00'",
        "'2025-03-02 09:00:00+00'",
    ];

    fn address(&self) -> String {
        self.address.clone()
    }

    async fn run(&mut self, sql: &str) {
        self.conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect(sql);
    }
}

struct Maria {
    conn: MySqlConnection,
    address: String,
    _server: MariaDb,
}

impl Maria {
    async fn start() -> Self {
        let server = MariaDb::start().await.expect("a MariaDB server");
        let address = server.database("tenancies", PASSWORD).await.expect("a database");
        let mut conn = server.connect().await.expect("a connection");
        conn.execute("use tenancies").await.expect("the database");
        Self { conn, address, _server: server }
    }
}

impl Server for Maria {
    const KIND: &'static str = "mysql";
    const TYPES: [&'static str; 4] = ["bigint", "date", "varchar(40)", "datetime(6)"];
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

impl Lite {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("sqlite://{}", folder.path().join("tenancies.db").display());
        let conn = SqliteConnection::connect(&format!("{address}?mode=rwc")).await;
        Self { conn: conn.expect("a database"), address, _folder: folder }
    }
}

impl Server for Lite {
    const KIND: &'static str = "sqlite";
    const TYPES: [&'static str; 4] = ["integer", "text", "text", "integer"];
    const GROWS: [&'static str; 3] = ["9", "10", "1740906000123"];

    fn address(&self) -> String {
        self.address.clone()
    }

    async fn run(&mut self, sql: &str) {
        self.conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect(sql);
    }
}

/// A query whose result has every column of the mapping.
fn tenant(reference: &str) -> String {
    format!("select {reference} as ref, '' forename, '' surname, '' dob, '' postcode")
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_read_and_never_written() {
    let mut server = Pg::start().await;
    a_full_answer_is_what_a_file_of_the_same_rows_is(&mut server).await;
    an_answer_goes_on_where_the_last_one_ended(&mut server).await;
    server.run("create sequence numbers; create role locked").await;
    let address = server.address();
    let nobody = address.replace("causeway@", &format!("nobody:{PASSWORD}@"));
    let closed = format!("postgres://reader:{PASSWORD}@127.0.0.1:1/tenancies");
    let wrong = [
        (closed, &*tenant("1"), "PostgreSQL database does not answer"),
        (nobody, &*tenant("1"), "refused the login (28000)"),
        (format!("mysql://{PASSWORD}"), "select 1", "holds no address of this kind"),
        (address.clone(), &*tenant("nextval('numbers')"), "this node only reads"),
        (address.clone(), "select secret from tenant", "a column is not there"),
        (address.clone(), "select ref from tenants", "a table or view is not there"),
        (address.clone(), "selekt ref", "try `query` with the database's own tool"),
        (address.clone(), &*tenant("pg_sleep(60)"), "did not answer in full within 1 s"),
        (address, "select ref as other from tenant", "names none of the mapping's columns"),
    ];
    what_goes_wrong_is_said(&mut server, &wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_is_read_and_never_written() {
    let mut server = Maria::start().await;
    a_full_answer_is_what_a_file_of_the_same_rows_is(&mut server).await;
    an_answer_goes_on_where_the_last_one_ended(&mut server).await;
    server.run("create table note (n int)").await;
    server
        .run(
            "create function scribble() returns int modifies sql data
             begin insert into note values (1); return 1; end",
        )
        .await;
    let address = server.address();
    let wrong = [
        (address.replace(PASSWORD, "other"), &*tenant("1"), "refused the login (1045)"),
        (
            format!("mysql://reader:{PASSWORD}@127.0.0.1:1/tenancies"),
            &*tenant("1"),
            "database does not answer",
        ),
        (address.clone(), &*tenant("scribble()"), "this node only reads"),
        (address.clone(), "select secret from tenant", "a column is not there"),
        (address.clone(), "select ref from tenants", "a table or view is not there"),
        (address.clone(), "select * from mysql.global_priv", "have `select` granted"),
        (address, &*tenant("sleep(60)"), "did not answer in full within 1 s"),
    ];
    what_goes_wrong_is_said(&mut server, &wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_read_and_never_written() {
    let mut server = Lite::start().await;
    a_full_answer_is_what_a_file_of_the_same_rows_is(&mut server).await;
    an_answer_goes_on_where_the_last_one_ended(&mut server).await;
    let address = server.address();
    let wrong = [
        (format!("{address}.not-there"), &*tenant("1"), "SQLite database"),
        (address.clone(), "delete from tenant", "try `query` with the database's own tool"),
        (address, "select secret from tenant", "try `query` with the database's own tool"),
    ];
    what_goes_wrong_is_said(&mut server, &wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_could_mean_something_in_a_statement_is_refused() {
    let mut server = Lite::start().await;
    server.run("create table t (ref text, changed text)").await;
    server.run("insert into t values ('1', 'x''; drop table t; --')").await;
    let desk = Desk::new().await;
    let query =
        "select ref, '' as forename, '' as surname, '' as dob, '' as postcode, changed from t";
    let feed = desk.feed("sqlite", &server.address(), query, "cursor = 'changed'");
    let said = desk.refused(&feed).await;
    assert!(said.contains("in row 1 `database.cursor` is neither a number nor a time"), "{said}");
    let feed = desk.feed("sqlite", &server.address(), query, "cursor = 'moved'");
    assert!(desk.refused(&feed).await.contains("try `query` with the database's own tool"));
}
