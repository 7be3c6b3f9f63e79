//! A damaged export is refused or its damaged rows are set aside, the message says what is wrong and
//! nobody's name, and what was there before stands.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use causeway_proto::catalogue::AgencyKind::{self, Housing};
use causeway_tests::{
    needles::Needles,
    town::process::{Agent, Output},
};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::village::{self, AS_AT, Making, PATIENCE, Village, until};

const AGENCY: AgencyKind = Housing;
/// What reading any file may take, however long.
const MOST_MEMORY_KIB: u64 = 300 * 1024;

/// One agency with a good export, which it has taken in.
struct Desk {
    village: Village,
    good: String,
    needles: Needles,
}

/// What a node answered about an export.
struct Answer {
    output: Output,
    took: Duration,
}

impl Desk {
    fn open() -> anyhow::Result<Self> {
        let village = Making::of(&[AGENCY]).make()?;
        let good = fs::read_to_string(&village.town.nodes()[0].agency.feeds[0].file)?;
        let needles = Needles::of(&village.people.records)?;
        Ok(Self { village, good, needles })
    }

    fn mapping(&self) -> &Path {
        &self.village.town.nodes()[0].agency.feeds[0].mapping
    }

    fn config(&self) -> PathBuf {
        self.village.town.node_config(&village::id(AGENCY))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.village.scratch().join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    }

    fn take_in(&self, path: &Path) -> anyhow::Result<Answer> {
        let began = Instant::now();
        let path = path.display().to_string();
        let args = ["--json", "ingest", "people", &path, "--as-at", AS_AT];
        let output = self.village.town.launcher().run(Agent::Node, &self.config(), &args)?;
        for said in [&output.out, &output.err] {
            let found = self.needles.search(said.as_bytes());
            assert!(found.is_empty(), "nobody is named: {found:?} in {said}");
        }
        Ok(Answer { output, took: began.elapsed() })
    }

    /// Takes in bytes that have to be refused for this reason, with nothing changed.
    fn refuses(&self, name: &str, bytes: &[u8], why: &str) -> anyhow::Result<()> {
        let before = self.state()?;
        let answer = self.take_in(&self.file(name, bytes)?)?;
        answer.is_refused(why);
        assert_eq!(self.state()?, before, "{name}: what was there stands");
        Ok(())
    }

    /// Takes in bytes that pass, and returns the receipt.
    fn takes(&self, name: &str, bytes: &[u8]) -> anyhow::Result<Value> {
        let Answer { output, .. } = self.take_in(&self.file(name, bytes)?)?;
        assert!(output.status.success(), "{name}: {}", output.err);
        Ok(serde_json::from_str(&output.out)?)
    }

    /// Everything that the node knows of people, as one text per table.
    fn state(&self) -> anyhow::Result<Vec<String>> {
        let db = self.village.town.nodes()[0].folder.join("data/node.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(&db);
            let mut conn = SqliteConnection::connect_with(&options).await?;
            let mut state = Vec::new();
            for select in [
                "select json_group_array(json_array(id, feed, key, hex(hash), fields, missed, person))
                 from record",
                "select json_group_array(json_array(id, row)) from person",
                "select json_group_array(json_array(number, column_kind, hex(body))) from segment",
                "select json_group_array(json_array(id, feed, key, hex(hash), missed)) from event",
                "select json_group_array(json_array(record, state, property)) from residence",
            ] {
                let (table,): (String,) = sqlx::query_as(select).fetch_one(&mut conn).await?;
                state.push(table);
            }
            conn.close().await?;
            anyhow::Ok(state)
        })
    }

    /// The good file's lines, the header first.
    fn lines(&self) -> Vec<String> {
        self.good.lines().map(str::to_owned).collect()
    }

    /// The good file with one column of some rows written anew.
    fn with(&self, column: &str, rows: usize, write: impl Fn(&str) -> String) -> String {
        let mut reader = csv::Reader::from_reader(self.good.as_bytes());
        let header = reader.headers().unwrap().clone();
        let at = header.iter().position(|name| name == column).unwrap();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&header).unwrap();
        for (row, fields) in reader.records().enumerate() {
            let fields = fields.unwrap();
            let fields = fields.iter().enumerate().map(|(place, field)| {
                if place == at && row < rows { write(field) } else { field.to_owned() }
            });
            writer.write_record(fields).unwrap();
        }
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }
}

impl Answer {
    fn is_refused(&self, why: &str) {
        let Output { status, out, err, .. } = &self.output;
        assert_eq!(status.code(), Some(1), "{out}{err}");
        assert!(err.contains(why), "{err}, not {why}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn what_is_no_text_or_in_another_encoding_is_refused() -> anyhow::Result<()> {
    let desk = Desk::open()?;
    let utf16: Vec<u8> = desk.good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe][..], &utf16].concat();
    desk.refuses("unicode.csv", &marked, "the file is UTF-16 text")?;
    desk.refuses("unmarked.csv", &utf16, "was refused")?;
    let zip = [b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00", &[0x9c; 900][..]].concat();
    desk.refuses("book.xlsx", &zip, "so this is no delimited text: have it exported as CSV")?;
    let mut torn = desk.good.clone().into_bytes();
    torn[300..316].fill(0);
    desk.refuses("torn.csv", &torn, "so this is no delimited text")?;
    desk.refuses("empty.csv", b"", "the file is empty: not even a header")?;
    desk.refuses("nonsense.csv", b"one,two\n1,2\n", "names none of the mapping's columns")
}

#[test]
fn accented_names_are_read_in_the_encoding_that_they_are_in() -> anyhow::Result<()> {
    let desk = Desk::open()?;
    let accented = desk.with("SURNAME", 4, |name| format!("{name}-Zo\u{eb}"));
    let latin = |text: &str| -> Vec<u8> {
        text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
    };
    let mapping = fs::read_to_string(desk.mapping())?;
    let declare = |encoding: &str| -> anyhow::Result<()> {
        let declared = format!("encoding = \"{encoding}\"\n{mapping}");
        Ok(fs::write(desk.mapping(), declared)?)
    };
    declare("utf-8")?;
    desk.refuses("latin.csv", &latin(&accented), "set `encoding = \"windows-1252\"`")?;
    declare("windows-1252")?;
    desk.refuses("utf8.csv", accented.as_bytes(), "set `encoding = \"utf-8\"` in the mapping")?;
    let receipt = desk.takes("latin.csv", &latin(&accented))?;
    assert_eq!(
        (&receipt["changed"], &receipt["file"]["encoding"]),
        (&4.into(), &"windows-1252".into())
    );

    // Undeclared, both are found out, and say the same.
    fs::write(desk.mapping(), &mapping)?;
    let receipt = desk.takes("utf8.csv", accented.as_bytes())?;
    assert_eq!(receipt["changed"], 0, "the same names: {receipt}");
    // Half and half can only be one agency's mistake.
    let mut mixed = accented.clone().into_bytes();
    mixed.extend(latin(&accented).split(|byte| *byte == b'\n').nth(1).unwrap());
    mixed.push(b'\n');
    desk.refuses("mixed.csv", &mixed, "two encodings were mixed")
}

#[test]
fn ragged_rows_are_set_aside_and_half_a_file_is_refused() -> anyhow::Result<()> {
    let desk = Desk::open()?;
    let before = desk.state()?;
    let mut lines = desk.lines();
    lines[3].push_str(",one,more");
    lines[5] = lines[5].split(',').take(4).collect::<Vec<_>>().join(",");
    let receipt = desk.takes("ragged.csv", (lines.join("\n") + "\n").as_bytes())?;
    assert_eq!(receipt["file"]["by_rule"], serde_json::json!({ "field-count": 2 }));
    let places: Vec<_> =
        receipt["file"]["quarantine"].as_array().unwrap().iter().map(|row| &row["line"]).collect();
    assert_eq!(places, [4, 6], "it says where");
    assert_eq!((&receipt["removed"], &receipt["missed"]), (&0.into(), &0.into()));
    assert_eq!(desk.state()?, before, "whose row is set aside is as before");

    let ragged: Vec<String> = lines.iter().map(|line| format!("{line},x")).collect();
    let ragged = [vec![lines[0].clone()], ragged[1..].to_vec()].concat().join("\n") + "\n";
    desk.refuses("all-ragged.csv", ragged.as_bytes(), "more or fewer fields than the header")?;

    let half = &desk.good.as_bytes()[..desk.good.len() / 2];
    desk.refuses("half.csv", half, "the file ends in the middle of line")?;
    let rows = desk.lines().len();
    let clean = desk.lines()[..rows / 2].join("\n") + "\n";
    desk.refuses("clean-half.csv", clean.as_bytes(), "it may be cut off")?;
    let header = desk.lines()[0].clone() + "\n";
    desk.refuses("header.csv", header.as_bytes(), "the file has 0 rows where about")?;
    let open = desk.with("ADDRESS", 1, |_| "\"".into()).replacen("\"\"\"\"", "\"14 Larkrise", 1);
    desk.refuses("quote.csv", open.as_bytes(), "is never closed")?;
    let missing = desk.good.replacen("SURNAME", "FAMILY", 1);
    desk.refuses("renamed.csv", missing.as_bytes(), "the file has no column `SURNAME`")
}

#[test]
fn numbers_and_dates_that_a_spreadsheet_ruined_are_set_aside_or_refused() -> anyhow::Result<()> {
    let desk = Desk::open()?;
    for (column, ruined, rule, why) in [
        ("UPRN", "9.9997E+11", "scientific-number", "a spreadsheet has rounded the number"),
        ("NHS", "9.99032E+09", "scientific-number", "a spreadsheet has rounded the number"),
        ("DOB", "31873", "serial-date", "a spreadsheet has turned the date into a count of days"),
        ("ADDRESS", "#REF!", "spreadsheet-error", "a spreadsheet's error message"),
    ] {
        let receipt = desk.takes("few.csv", desk.with(column, 2, |_| ruined.into()).as_bytes())?;
        assert_eq!(receipt["file"]["by_rule"], serde_json::json!({ rule: 2 }), "{column}");
        assert_eq!(receipt["file"]["quarantine"][0]["column"], column);
        assert_eq!(receipt["removed"], 0);
        let all = desk.with(column, usize::MAX, |_| ruined.into());
        desk.refuses("all.csv", all.as_bytes(), why)?;
    }
    Ok(())
}

#[test]
fn the_same_file_twice_changes_nothing() -> anyhow::Result<()> {
    let desk = Desk::open()?;
    let before = desk.state()?;
    let receipt = desk.takes("again.csv", desk.good.as_bytes())?;
    assert_eq!(receipt["same_as_last"], true);
    assert_eq!(desk.state()?, before);
    // Nor do the same rows in another order, which is another file.
    let mut lines = desk.lines();
    lines[1..].reverse();
    let receipt = desk.takes("backwards.csv", (lines.join("\n") + "\n").as_bytes())?;
    assert_eq!(receipt["same_as_last"], false);
    assert_eq!(
        (&receipt["changed"], &receipt["unchanged"]),
        (&0.into(), &(lines.len() - 1).into())
    );
    assert_eq!(desk.state()?, before);
    // And the state is one that can change.
    desk.takes("moved.csv", desk.with("ADDRESS", 1, |_| "1 New Street".into()).as_bytes())?;
    assert_ne!(desk.state()?, before);
    Ok(())
}

#[test]
fn a_line_of_a_gigabyte_is_refused_before_it_is_read() -> anyhow::Result<()> {
    let desk = Desk::open()?;
    let before = desk.state()?;
    let pipe = desk.village.scratch().join("endless.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status()?.success());
    let (header, path) = (desk.lines()[0].clone(), pipe.clone());
    let writer = std::thread::spawn(move || {
        let mut written = 0_u64;
        let Ok(mut out) = File::options().write(true).open(path) else { return written };
        let mut piece = format!("{header}\n").into_bytes();
        while written < 1 << 30 && out.write_all(&piece).is_ok() {
            written += piece.len() as u64;
            piece = vec![b'a'; 1 << 16];
        }
        written
    });
    let answer = desk.take_in(&pipe)?;
    answer.is_refused("the row at line 2 is longer than 1 MiB: check `delimiter` and `quote`");
    assert!(answer.took < Duration::from_secs(20), "{:?}", answer.took);
    assert!(answer.output.peak_kib < MOST_MEMORY_KIB, "{} KiB", answer.output.peak_kib);
    let written = writer.join().unwrap();
    assert!((1 << 20..16 << 20).contains(&written), "{written} bytes were read of a gigabyte");
    assert_eq!(desk.state()?, before);
    Ok(())
}

/// Writes an export of so many more people.
fn crowd(desk: &Desk, people: usize) -> anyhow::Result<PathBuf> {
    let path = desk.village.scratch().join("crowd.csv");
    let mut out = BufWriter::new(File::create(&path)?);
    out.write_all(desk.good.as_bytes())?;
    for number in 0..people {
        let (year, month, day) = (1930 + number % 80, 1 + number % 12, 2 + number / 80 % 26);
        let letters: String = (0..5)
            .map(|place| char::from(b'a' + ((number / 7_usize.pow(place)) % 26) as u8))
            .collect();
        writeln!(
            out,
            "CROWD-{number},,Fore{letters},,Sur{letters},{year}-{month:02}-{day:02},F,{number} \
             Crowded Way,ZX{} 1AA,,,,,",
            number % 9
        )?;
    }
    out.flush()?;
    Ok(path)
}

#[test]
fn a_disk_that_is_full_changes_nothing() -> anyhow::Result<()> {
    let desk = Desk::open()?;
    let before = desk.state()?;
    let crowd = crowd(&desk, 3_000)?;
    let size = fs::metadata(desk.village.town.nodes()[0].folder.join("data/node.db"))?.len();
    // Room for what is there and a little more; and to be told so rather than be killed.
    let blocks = size / 512 + 64;
    let limited = |blocks: &str| {
        let program = env!("CARGO_BIN_EXE_town");
        Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", blocks, program, "node"])
            .arg("--config")
            .arg(desk.config())
            .args(["ingest", "people"])
            .arg(&crowd)
            .args(["--as-at", AS_AT])
            .output()
    };
    let full = limited(&blocks.to_string())?;
    let said = String::from_utf8(full.stderr)?;
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.contains("nothing was taken in"), "{said}");
    assert!(said.contains("full") || said.contains("disk"), "it says why: {said}");
    assert_eq!(desk.state()?, before);
    // With room it passes.
    let roomy = limited("unlimited")?;
    assert!(roomy.status.success(), "{}", String::from_utf8_lossy(&roomy.stderr));
    assert_ne!(desk.state()?, before);
    Ok(())
}

#[test]
fn a_node_killed_while_it_takes_in_a_file_has_all_of_it_or_nothing() -> anyhow::Result<()> {
    let desk = Desk::open()?;
    let before = desk.state()?;
    let crowd = crowd(&desk, 5_000)?;
    let wal = desk.village.town.nodes()[0].folder.join("data/node.db-wal");
    let mut killed = 0;
    // Later every time, so that some are killed while they read and some while they write.
    for least in [0, 1 << 12, 1 << 16, 1 << 19] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_town"))
            .args(["node", "--config"])
            .arg(desk.config())
            .args(["ingest", "people"])
            .arg(&crowd)
            .args(["--as-at", AS_AT])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let began = Instant::now();
        let ended = until("the file to be taken in", PATIENCE, || {
            let written = fs::metadata(&wal).map_or(0, |file| file.len());
            let is_time = written >= least && began.elapsed() > Duration::from_millis(200);
            Ok(match child.try_wait()? {
                Some(status) => Some(Some(status)),
                None => is_time.then_some(None),
            })
        })?;
        child.kill()?;
        child.wait()?;
        if ended.is_none() {
            killed += 1;
        }
        let after = desk.state()?;
        if after != before {
            // Whole: there is nothing left to do.
            assert_eq!(after[0].matches("CROWD-").count(), 5_000);
            break;
        }
    }
    assert!(killed > 0, "nobody was killed in time");
    let answer = desk.take_in(&crowd)?;
    assert!(answer.output.status.success(), "{}", answer.output.err);
    assert_eq!(desk.state()?[0].matches("CROWD-").count(), 5_000);
    Ok(())
}
