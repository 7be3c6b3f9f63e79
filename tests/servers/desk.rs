//! A node's intake, whose feed is a query; and the stories that are the same for every database.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use causeway_node::{
    ingest::{IngestError, Intake, Receipt},
    source::Feed,
    store::{Store, imports, records},
    tokenise::recipe::MatchKeys,
};
use causeway_proto::kind::MatchKeyKind;
use tempfile::TempDir;

/// What no message may hold.
pub(crate) const PASSWORD: &str = "s3cret-and-long";

/// More rows than may wait in the queue between the database and us.
const MANY: usize = 1_200;

/// A node's intake.
pub(crate) struct Desk {
    store: Store,
    keys: MatchKeys,
    folder: TempDir,
}

/// A database with somebody who may write to it.
pub(crate) trait Server {
    /// `postgres`, `mysql`, `sqlite` or `odbc`.
    const KIND: &'static str;
    /// The types of a reference, a day, a text, and something that grows.
    const TYPES: [&'static str; 4];
    /// Three values of what grows, in order.
    const GROWS: [&'static str; 3];

    /// Where a reader finds it.
    fn address(&self) -> String;

    /// Runs a statement as somebody who may.
    async fn run(&mut self, sql: &str);
}

const QUERY: &str = "select ref, forename, surname, dob, postcode, changed from tenant";

const REST: &str = "
    about = 'people'
    dates = ['%Y-%m-%d']
    key = ['ref']
    max_drop_pct = 40
    [columns]
    forename = 'forename'
    surname = 'surname'
    dob = 'dob'
    postcode = 'postcode'
";

impl Desk {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("node.db")).await.unwrap();
        let keys = MatchKeys::new(
            &(0..).take(MatchKeyKind::COUNT).map(|n| [n; 32]).collect::<Vec<_>>(),
            [0; 32],
        );
        Self { store, keys, folder }
    }

    /// Writes the address where nobody else can read it, and a mapping beside it.
    pub(crate) fn feed(&self, kind: &str, address: &str, query: &str, more: &str) -> Feed {
        let url = self.url_file();
        fs::write(&url, address).unwrap();
        fs::set_permissions(&url, fs::Permissions::from_mode(0o600)).unwrap();
        let (mode, cursor) =
            if more.contains("cursor") { ("mode = 'delta'", more) } else { ("", more) };
        let database = format!(
            "[database]\nkind = '{kind}'\nurl_file = 'database.url'\nquery = \"{query}\"\n{cursor}"
        );
        let mapping = self.folder.path().join("tenants.toml");
        fs::write(&mapping, format!("id = 'tenants'\n{mode}\n{REST}\n{database}\n")).unwrap();
        Feed::load(&mapping).unwrap()
    }

    pub(crate) fn url_file(&self) -> PathBuf {
        self.folder.path().join("database.url")
    }

    fn intake<'a>(&'a self, feeds: &'a [Feed], now_ms: u64) -> Intake<'a> {
        let as_at = "2025-03-01".parse().unwrap();
        Intake { store: &self.store, feeds, keys: &self.keys, keyring: None, as_at, now_ms }
    }

    pub(crate) async fn ask(&self, feed: &Feed, now_ms: u64) -> Result<Receipt, IngestError> {
        self.intake(std::slice::from_ref(feed), now_ms).ask(feed).await
    }

    async fn csv(&self, text: &str) -> Receipt {
        let feed = Feed::from_toml(&format!("id = 'tenants'\n{REST}")).unwrap();
        let path = self.folder.path().join("tenants.csv");
        fs::write(&path, text).unwrap();
        self.intake(std::slice::from_ref(&feed), 5).take_in(&feed, &path).await.unwrap()
    }

    async fn records(&self) -> u64 {
        records::count(&mut self.store.read().await.unwrap()).await.unwrap()
    }

    async fn last_ms(&self) -> u64 {
        let mut conn = self.store.read().await.unwrap();
        imports::last_taken(&mut conn, "tenants").await.unwrap().unwrap().taken_ms
    }

    /// Asks, and returns the whole of why it was refused; with nothing that it must not say.
    pub(crate) async fn refused(&self, feed: &Feed) -> String {
        let before = self.records().await;
        let error = anyhow::Error::from(self.ask(feed, 9).await.unwrap_err());
        let said = format!("{error:#} {error:?}");
        assert!(!said.contains(PASSWORD), "{said}");
        assert_eq!(self.records().await, before, "what was there stands: {said}");
        said
    }
}

/// A row of the table; `dob` may be null.
fn row(number: usize, surname: &str, changed: &str) -> String {
    let dob = match number % 10 {
        0 => "null".to_owned(),
        _ => format!("'{}-{:02}-{:02}'", 1950 + number % 50, 1 + number % 12, 1 + number % 28),
    };
    format!("({number}, 'Zo\u{eb} {number}', '{surname}', {dob}, 'ZX1 4AB', {changed})")
}

async fn make_table<S: Server>(server: &mut S) {
    let [reference, day, text, grows] = S::TYPES;
    server
        .run(&format!(
            "create table tenant (ref {reference}, forename {text}, surname {text}, dob {day},
             postcode {text}, changed {grows})"
        ))
        .await;
}

async fn insert<S: Server>(server: &mut S, rows: &[String]) {
    server.run(&format!("insert into tenant values {}", rows.join(", "))).await;
}

/// A query and a file that say the same are the same, and each answer is compared with the last.
pub(crate) async fn a_full_answer_is_what_a_file_of_the_same_rows_is<S: Server>(server: &mut S) {
    make_table(server).await;
    let surname = |number: usize| {
        format!("O-Neill{}{number}", if number.is_multiple_of(2) { "ë" } else { "" })
    };
    let rows: Vec<String> = (1..=MANY).map(|n| row(n, &surname(n), S::GROWS[0])).collect();
    insert(server, &rows).await;
    let desk = Desk::new().await;
    let feed = desk.feed(S::KIND, &server.address(), QUERY, "");
    let receipt = desk.ask(&feed, 1).await.unwrap();
    assert_eq!((receipt.changed, receipt.file.quarantined), (MANY as u64, 0));

    let mut text = String::from("ref,forename,surname,dob,postcode\n");
    for number in 1..=MANY {
        let row = row(number, &surname(number), "");
        let fields: Vec<&str> = row.trim_matches(['(', ')']).split(", ").collect();
        let dob = fields[3].trim_matches('\'').replace("null", "");
        text += &format!("{number},Zo\u{eb} {number},{},{dob},ZX1 4AB\n", surname(number));
    }
    let receipt = desk.csv(&text).await;
    assert_eq!((receipt.unchanged, receipt.changed), (MANY as u64, 0), "the same, value for value");

    // The same answer is no news, and fresh all the same.
    assert_eq!(desk.ask(&feed, 11).await.unwrap().unchanged, MANY as u64);
    assert!(desk.ask(&feed, 12).await.unwrap().same_as_last);
    assert_eq!(desk.last_ms().await, 12);

    server.run("update tenant set surname = 'Other' where ref = 77").await;
    server.run("delete from tenant where ref = 78").await;
    let receipt = desk.ask(&feed, 13).await.unwrap();
    assert_eq!((receipt.changed, receipt.missed, receipt.removed), (1, 1, 0));
    let receipt = desk.ask(&feed, 14).await.unwrap();
    assert_eq!((receipt.changed, receipt.missed, receipt.removed), (0, 0, 1), "absent twice");
    assert!(desk.ask(&feed, 15).await.unwrap().same_as_last);
    assert_eq!(desk.records().await, MANY as u64 - 1);
    server.run("drop table tenant").await;
}

/// With a cursor only what is new is asked for; what stands at the same place is never missed, and
/// the cursor moves only together with the rows.
pub(crate) async fn an_answer_goes_on_where_the_last_one_ended<S: Server>(server: &mut S) {
    make_table(server).await;
    let [t1, t2, t3] = S::GROWS;
    insert(server, &[row(1, "A", t1), row(2, "B", t2), row(3, "C", t2)]).await;
    let desk = Desk::new().await;
    let feed = desk.feed(S::KIND, &server.address(), QUERY, "cursor = 'changed'");
    assert_eq!(desk.ask(&feed, 1).await.unwrap().changed, 3);

    insert(server, &[row(4, "D", t2)]).await;
    server.run(&format!("update tenant set surname = 'E', changed = {t3} where ref = 1")).await;
    let receipt = desk.ask(&feed, 2).await.unwrap();
    assert_eq!((receipt.file.rows, receipt.changed, receipt.unchanged), (4, 2, 2));
    let receipt = desk.ask(&feed, 3).await.unwrap();
    assert_eq!((receipt.file.rows, receipt.changed), (1, 0), "from the third place on");
    assert!(desk.ask(&feed, 4).await.unwrap().same_as_last);

    // Rows that break a rule refuse the answer, and it is asked for again once they are mended.
    let bad: Vec<String> =
        (5..12).map(|n| row(n, "F", t3).replacen(&n.to_string(), "null", 1)).collect();
    insert(server, &bad).await;
    let said = desk.refused(&feed).await;
    assert!(said.contains("a key column is empty"), "{said}");
    server.run("update tenant set ref = 5 where ref is null and forename = 'Zo\u{eb} 5'").await;
    server.run("delete from tenant where ref is null").await;
    assert_eq!(desk.ask(&feed, 5).await.unwrap().changed, 1);
    assert_eq!(desk.records().await, 5);
    server.run("drop table tenant").await;
}

/// Whatever goes wrong, the message says which side and what to do, and holds no password.
pub(crate) async fn what_goes_wrong_is_said<S: Server>(
    server: &mut S,
    wrong: &[(String, &str, &str)],
) {
    make_table(server).await;
    let desk = Desk::new().await;
    for (address, query, why) in wrong {
        let feed = desk.feed(S::KIND, address, query, "timeout_seconds = 1");
        let said = desk.refused(&feed).await;
        assert!(said.contains(why), "{query}: {said}");
    }
    let feed = desk.feed(S::KIND, &server.address(), QUERY, "");
    fs::set_permissions(desk.url_file(), fs::Permissions::from_mode(0o640)).unwrap();
    let said = desk.refused(&feed).await;
    assert!(said.contains("run `chmod 600"), "{said}");
    server.run("drop table tenant").await;
}
