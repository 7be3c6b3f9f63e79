//! Alerts, reviews and findings of who is not whom live through the nightly re-keying; and whoever has
//! everything that the coordinator ever stored cannot say that two sweeps speak of the same person.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use causeway_certs::certificate::hex;
use causeway_coordinator::score::Model;
use causeway_proto::{
    catalogue::{
        AgencyKind::{self, AdultSocialCare},
        SignalCode,
    },
    linkage::comparison,
    pb::{self, MemoKind},
};
use causeway_tests::{
    stored::{Common, Part, Stored},
    wiretap::{Call, Heard},
};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    nothing_personal_leaves::Seen,
    village::{self, FIVE, PATIENCE, Tapped, alert, id, until},
};

/// What was stored when a sweep began, when it was over, and what was said in it.
struct Sweep {
    before: Stored,
    after: Stored,
    /// Everything that stood for somebody or something: as it came, and as it was renamed on receipt.
    names: BTreeSet<Vec<u8>>,
    memos: Vec<pb::Memo>,
}

/// An alert is open; it is answered; one of its lines is disputed; and a day later all of that is
/// handed back.
fn sweeps(tapped: &mut Tapped) -> anyhow::Result<(String, Vec<Sweep>)> {
    let first = sweep(tapped, "2025-02-25")?;
    let report: Value = serde_json::from_str(&fs::read_to_string(report(tapped))?)?;
    let alert = alert(&report)?["alert_id"].as_str().context("an id")?.to_owned();
    answer(tapped, &alert, &["acting"])?;
    let second = sweep(tapped, "2025-02-26")?;
    let shown = tapped.village.town.ask_node(&id(AdultSocialCare), &["inbox", "show", &alert])?;
    let lines = shown["lines"].as_array().context("reasons")?;
    let at = lines.iter().position(|line| line["kind"] == "police").context("a police line")?;
    answer(tapped, &alert, &["wrong-record", "--line", &(at + 1).to_string()])?;
    let third = sweep(tapped, "2025-02-27")?;
    let fourth = sweep(tapped, "2025-02-28")?;
    Ok((alert, vec![first, second, third, fourth]))
}

fn folder(tapped: &Tapped) -> PathBuf {
    tapped.village.town.folder().join("coordinator")
}

fn report(tapped: &Tapped) -> PathBuf {
    tapped.village.scratch().join("report.json")
}

/// Makes one sweep, and looks at what was stored around it.
fn sweep(tapped: &Tapped, as_at: &str) -> anyhow::Result<Sweep> {
    let before = Stored::of(&folder(tapped))?;
    // What it received, under the names that it gave, for this test alone and in another folder.
    let received = tapped.village.scratch().join(format!("received-{as_at}"));
    let out = received.display().to_string();
    let args = ["sweep", "--as-at", as_at, "--dump-out", &out];
    let (result, _) = tapped.village.town.coordinate(&args)?;
    fs::write(report(tapped), result.to_string())?;
    let after = Stored::of(&folder(tapped))?;
    let heard = tapped.take();
    let seen = Seen::of(&heard)?;
    let mut names = renamed(&received)?;
    assert!(names.len() > 500, "{}", names.len());
    names.extend([seen.handles, seen.tokens, seen.dwellings, seen.events].into_iter().flatten());
    names.extend(comparisons(&heard)?);
    Ok(Sweep { before, after, names, memos: memos(&heard)? })
}

/// The tokens under the names that the coordinator gave them on receipt.
fn renamed(received: &Path) -> anyhow::Result<BTreeSet<Vec<u8>>> {
    let text = fs::read_to_string(received)?;
    let records = text.lines().filter(|line| line.starts_with("record,"));
    let tokens = records.flat_map(|line| line.split(',').skip(5));
    let token = |field: &str| -> anyhow::Result<Vec<u8>> {
        let token = field.rsplit('.').next().context("a token")?;
        Ok(u64::from_str_radix(token, 16)?.to_be_bytes().to_vec())
    };
    tokens.map(token).collect()
}

fn comparisons(heard: &[Heard]) -> anyhow::Result<BTreeSet<Vec<u8>>> {
    let mut all = BTreeSet::new();
    for call in heard.iter().flat_map(|heard| heard.of("Compare")) {
        for answer in Call::messages::<pb::CompareResponse>(&call.answered)? {
            all.extend(answer.comparisons.chunks(comparison::WIDTH).map(Vec::from));
        }
    }
    Ok(all)
}

/// What nodes handed back, and what they were asked to keep.
fn memos(heard: &[Heard]) -> anyhow::Result<Vec<pb::Memo>> {
    let mut memos = Vec::new();
    for call in heard.iter().flat_map(|heard| heard.of("OpenSweep")) {
        let opened = Call::messages::<pb::OpenSweepResponse>(&call.answered)?;
        memos.extend(opened.into_iter().flat_map(|opened| opened.memos));
    }
    for call in heard.iter().flat_map(|heard| heard.of("KeepMemos")) {
        let asked = Call::messages::<pb::KeepMemosRequest>(&call.asked)?;
        memos.extend(asked.into_iter().flat_map(|asked| asked.memos));
    }
    Ok(memos)
}

/// Answers at adult social care's node, while there is a coordinator who hears it.
fn answer(tapped: &mut Tapped, alert: &str, rest: &[&str]) -> anyhow::Result<()> {
    let kind: AgencyKind = AdultSocialCare;
    let town = &mut tapped.village.town;
    town.start_coordinator()?;
    let args = [&["inbox", "review", alert, "--as-at", village::AS_AT, "--action"], rest].concat();
    town.ask_node(&id(kind), &args)?;
    until("the review is with the coordinator", PATIENCE, || {
        let shown = town.ask_node(&id(kind), &["inbox", "show", alert])?;
        Ok((shown["answer_sent"] == true).then_some(()))
    })?;
    town.coordinator_mut().context("it runs")?.stop()
}

/// Numbers that count or measure all records together, or say how high an alert stands; everything below
/// a name that ends in a dot. Whoever adds one decides here whether it could be somebody's.
const MEASURES: [&str; 23] = [
    "sweep.report.agencies.",
    "sweep.report.quality.",
    "sweep.report.subgroups.",
    "sweep.report.seconds.",
    "sweep.report.capacity.",
    "sweep.report.records",
    "sweep.report.candidate_pairs",
    "sweep.report.compared_pairs",
    "sweep.report.links",
    "sweep.report.joined_pairs",
    "sweep.report.persons",
    "sweep.report.households",
    "sweep.report.ambiguous",
    "sweep.report.signals_asked_for",
    "sweep.report.reminders",
    "alert.score_tenths",
    "alert.explanation.people",
    "alert.explanation.score",
    "alert.explanation.raw",
    "alert.explanation.range",
    "alert.explanation.breadth",
    "alert.explanation.best_single_agency",
    "alert.explanation.agency_alone.",
];
/// How a delivery and a review stand.
const STATES: [&str; 2] = ["outbox.attempts", "review.settled"];
/// The model, which every sweep names.
const MODEL: [&str; 2] = ["model_sha256", "causeway-1"];

/// What may be the same in two sweeps: the ids of alerts, what is the federation's or the model's, days,
/// and words.
fn may_be_common(part: &Part, alerts: &BTreeSet<Vec<u8>>) -> bool {
    match part {
        Part::Number(name, _) => {
            // What a sweep reports of its alerts is what stands with the alert.
            let name = name.replace("sweep.report.alerts.", "alert.explanation.");
            let is_in = |of: &str| name == of || (of.ends_with('.') && name.starts_with(of));
            MEASURES.iter().chain(&STATES).any(|of| is_in(of))
        }
        Part::Bytes(eight) => alerts.iter().any(|id| id.windows(8).any(|part| part == eight)),
        Part::Run(run) => {
            let is_alert = || alerts.iter().any(|id| hex(id) == *run);
            let is_constant = || {
                SignalCode::all().any(|code| code.as_str() == run)
                    || FIVE.iter().any(|kind| id(*kind).as_str() == run)
                    || MODEL.contains(&run.as_str())
                    || *run == Model::builtin().sha256
            };
            let is_day = || run.parse::<causeway_proto::day::Day>().is_ok();
            is_alert() || is_constant() || is_day() || is_word(run)
        }
    }
}

/// Words have no digits, and capitals at the beginning only. No number is written like that, and no key
/// but by a chance of one in millions.
fn is_word(run: &str) -> bool {
    let mut signs = run.chars();
    signs.next().is_some_and(char::is_alphabetic)
        && signs.all(|sign| sign.is_lowercase() || "_-".contains(sign))
}

#[test]
fn nothing_that_is_stored_joins_two_sweeps_but_the_ids_of_alerts() -> anyhow::Result<()> {
    let mut tapped = village::tapped()?;
    tapped.settings(|text| text.replace("measure_dump = false", "measure_dump = true"))?;
    let (alert, sweeps) = sweeps(&mut tapped)?;
    let alert = u128::from_str_radix(&alert, 16)?.to_be_bytes().to_vec();

    // Everything that lives through the night was there, and came back under other handles.
    let last = &sweeps[3].memos;
    let of = |memos: &[pb::Memo], kind: MemoKind| -> BTreeSet<Vec<u8>> {
        let of_kind = memos.iter().filter(|memo| memo.kind() == kind);
        of_kind.map(|memo| memo.memo_id.clone()).collect()
    };
    let findings = of(last, MemoKind::NotLinked);
    assert!(!findings.is_empty(), "{last:?}");
    for kind in [MemoKind::Alert, MemoKind::Reviewed] {
        assert_eq!(of(last, kind), [alert.clone()].into(), "{kind:?}");
    }
    let names: BTreeSet<Vec<u8>> = sweeps.iter().flat_map(|sweep| &sweep.names).cloned().collect();
    let apart: usize = sweeps.iter().map(|sweep| sweep.names.len()).sum();
    assert_eq!(names.len(), apart, "a name of one sweep is in another");

    let alerts = BTreeSet::from([alert]);
    for (at, Sweep { before, after, .. }) in sweeps.iter().enumerate() {
        let common = after.common(before, |part| may_be_common(part, &alerts));
        assert_eq!(common, [], "sweep {} wrote again what was stored before", at + 1);
        for names in [&names, &findings] {
            assert_eq!(after.files_with(names)?, BTreeSet::new(), "after sweep {}", at + 1);
        }
        assert!(after.values() > before.values(), "it wrote something down");
    }
    whoever_did_store_something_would_be_caught(&tapped, &sweeps, &alerts)
}

/// Stores in copies of the first and the last ledger what would join them, in every way in which it might
/// be stored.
fn whoever_did_store_something_would_be_caught(
    tapped: &Tapped,
    sweeps: &[Sweep],
    alerts: &BTreeSet<Vec<u8>>,
) -> anyhow::Result<()> {
    let name = sweeps[0].names.iter().find(|name| name.len() == 16).context("a handle")?;
    let digits = hex(name);
    for (planted, expected) in [
        (format!("update alert set explanation = json_set(explanation, '$.who', '{digits}')"), 1),
        (format!("update sweep set report = json_set(report, '$.{digits}', 1)"), 1),
        ("update alert set explanation = json_set(explanation, '$.household', 17)".to_owned(), 1),
        (format!("update outbox set problem = 'no node for {digits}, it seems'"), 1),
        (format!("alter table sweep add column who blob; update sweep set who = x'{digits}'"), 9),
        (format!("update outbox set body = x'0a10{digits}1001'"), 9),
        ("alter table alert add column person bigint; update alert set person = 17".to_owned(), 1),
    ] {
        let [before, after] = [&sweeps[0].after, &sweeps[3].after].map(|stored| {
            let copy = tapped.village.scratch().join("planted");
            stored.write(&copy)?;
            plant(&copy.join("ledger.db"), &planted)?;
            Stored::of(&copy)
        });
        let (before, after) = (before?, after?);
        let common: Vec<Common> = after.common(&before, |part| may_be_common(part, alerts));
        assert!(common.len() >= expected, "{planted}: {common:?}");
        if planted.contains(&digits) {
            assert!(after.files_with([name])?.contains("ledger.db"), "{planted}");
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "what is planted is written out above")]
fn plant(ledger: &Path, sql: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(ledger);
        let mut conn = SqliteConnection::connect_with(&options).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut conn).await?;
        Ok(conn.close().await?)
    })
}
