//! A node that is down, slow, wrong or hostile costs a sweep what that node holds and nothing else.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context;
use causeway_certs::{ca::Ca, files::IdentityFiles};
use causeway_proto::{
    catalogue::AgencyKind::Nhs,
    pb::{self, stream_tokens_response::Column},
};
use causeway_tests::{
    town::process::Agent,
    wiretap::{
        Call,
        Meddling::{self, HoldAnswer, Instead, Refuse, RefuseOnce},
        Served, Wiretap,
    },
};
use prost::Message;
use serde_json::Value;
use time::OffsetDateTime;

use crate::village::{self, AS_AT, FIVE, Tapped, Village, alert, problem, tapped};

/// How long a sweep of the village may take with one node that hangs: a few calls' deadlines.
const BOUND: Duration = Duration::from_secs(60);
/// A call's deadline in these stories.
const IMPATIENT: &str = "call_seconds = 5";
/// What is said of a message that would not fit into memory.
const TOO_LARGE: &str = "broke the contract: Error, decoded message length too large";
/// More than a sweep of a village needs, and less than a hostile node could fill.
const MOST_MEMORY_KIB: u64 = 400 * 1024;

fn impatient(text: String) -> String {
    text.replace("call_seconds = 10", IMPATIENT)
}

/// Makes a sweep in which one health node is not well, and returns the result and what is said of it.
fn sweep_without_health(village: &Village) -> anyhow::Result<(Value, String)> {
    let began = Instant::now();
    let (report, output) = village.town.coordinate(&["sweep", "--as-at", AS_AT])?;
    assert!(began.elapsed() < BOUND, "it took {} s", began.elapsed().as_secs());
    assert!(output.peak_kib < MOST_MEMORY_KIB, "it took {} KiB", output.peak_kib);
    for kind in FIVE.into_iter().filter(|kind| *kind != Nhs) {
        assert_eq!(problem(&report, kind), None, "the others are well");
    }
    let said = problem(&report, Nhs).context("nobody was missed")?.to_owned();
    Ok((report, said))
}

/// The household is found without the health node, and the alert says that it was missing.
fn found_all_the_same(report: &Value) -> anyhow::Result<()> {
    let alert = alert(report)?;
    assert_eq!(alert["tier"], "T3", "{alert:#}");
    let unknowns = alert["unknowns"].to_string();
    assert!(unknowns.contains("nhs"), "{unknowns}");
    let range: [f64; 2] = serde_json::from_value(alert["range"].clone())?;
    assert!(range[0] < range[1], "it could have changed the score: {range:?}");
    Ok(())
}

#[test]
fn a_node_that_is_down_is_named() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village.settings(impatient)?;
    village.node(Nhs)?.kill()?;
    let (report, said) = sweep_without_health(&village)?;
    assert!(said.starts_with("cannot be reached: could not reach 127.0.0.1:"), "{said}");
    found_all_the_same(&report)
}

#[test]
fn a_node_that_hangs_is_named() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village.settings(impatient)?;
    village.node(Nhs)?.freeze()?;
    let swept = sweep_without_health(&village);
    let (launcher, config) = (village::launcher(), village.town.coordinator_config());
    let watched = launcher.run(Agent::Coordinator, &config, &["sweep", "--as-at", AS_AT]);
    village.node(Nhs)?.thaw()?;
    let (report, said) = swept?;
    assert_eq!(said, "took longer than 5 s to answer OpenSweep");
    // Whoever watches sees who answered while it hangs, and whom the sweep waits for.
    let progress = watched?.err;
    let place = |line: &str| progress.find(line).with_context(|| format!("no {line}: {progress}"));
    let waits = place("wait      nhs has not answered yet; for 3 s at most")?;
    assert!(place("open      police")? < waits && waits < place("LEFT OUT: took longer")?);
    found_all_the_same(&report)
}

#[test]
fn a_node_with_the_wrong_certificate_is_named_with_what_is_wrong() -> anyhow::Result<()> {
    let village = village::five()?;
    let now = OffsetDateTime::now_utc();
    let coordinator = village.identity("coordinator");
    let strangers = Ca::init(village.scratch().join("strangers-ca"), &"town".parse()?, now)?;
    let made = |name: &str, ca: &Ca, at: OffsetDateTime| -> anyhow::Result<IdentityFiles> {
        let folder = village.scratch().join(name);
        fs::create_dir_all(&folder)?;
        let files = IdentityFiles::in_folder(&folder);
        ca.issue_to(&files, &village.name(Nhs), &[], 7, at)?;
        // Whoever stands there believes the coordinator all the same.
        fs::write(&files.ca, village.town.ca().pem())?;
        Ok(files)
    };
    let ours = village.town.ca();
    let old = now - time::Duration::days(9);
    for (files, why) in [
        (made("stranger", &strangers, now)?, "its certificate is signed by another CA"),
        (made("old", ours, old)?, "its certificate expired on"),
        (village.identity("police"), "is node/police, not node/nhs"),
        (coordinator.clone(), "is coordinator/main, not node/nhs"),
    ] {
        let node = &village.town.nodes()[village.place(Nhs)];
        let address = node.address.clone().unwrap();
        let tap = Wiretap::between(&coordinator, (&files, &village.name(Nhs)), address.clone())?;
        village.settings(|text| impatient(text).replace(&address, &tap.address()))?;
        let (_, said) = sweep_without_health(&village)?;
        assert!(said.contains("cannot be reached: ") && said.contains(why), "{said}");
        assert!(said.contains(&tap.address()), "it says where: {said}");
    }
    Ok(())
}

#[test]
fn a_node_that_never_answers_is_named_with_the_call() -> anyhow::Result<()> {
    let tapped = tapped()?;
    tapped.settings(impatient)?;
    for call in ["OpenSweep", "StreamTokens", "SampleAgreement", "QueryDwellings"] {
        tapped.tap(Nhs).meddle(Some((call, HoldAnswer)));
        let (_, said) = sweep_without_health(&tapped.village)?;
        assert_eq!(said, format!("took longer than 5 s to answer {call}"));
    }
    healthy_again(&tapped)
}

#[test]
fn a_node_that_is_away_for_a_moment_is_waited_for_at_every_step() -> anyhow::Result<()> {
    let tapped = tapped()?;
    let tap = tapped.tap(Nhs);
    for call in ["StreamTokens", "SampleAgreement", "Compare", "QueryDwellings", "QuerySignals"] {
        tap.meddle(Some((call, RefuseOnce)));
        let report = tapped.village.sweep()?;
        assert!(!tap.meddles(), "{call} was refused");
        assert_eq!(problem(&report, Nhs), None, "{call}");
    }
    Ok(())
}

#[test]
fn a_hostile_node_is_named_with_what_it_broke() -> anyhow::Result<()> {
    let tapped = tapped()?;
    tapped.settings(impatient)?;
    let cases: [(&'static str, Meddling, &str); 21] = [
        ("OpenSweep", Refuse, "cannot be reached"),
        ("OpenSweep", Instead(garbage), "failed: OpenSweep"),
        ("OpenSweep", Instead(giant), TOO_LARGE),
        ("OpenSweep", Instead(trickling), "took longer than 5 s to answer OpenSweep"),
        ("QueryDwellings", Instead(trickling), "took longer than 5 s to answer QueryDwellings"),
        ("OpenSweep", Instead(no_answer), "failed: OpenSweep"),
        ("OpenSweep", Instead(another_kind), "it says that it is police and is enrolled as nhs"),
        ("OpenSweep", Instead(another_key), "it holds another linkage key than most"),
        ("OpenSweep", Instead(everybody), "broke the contract: it brings"),
        ("OpenSweep", Instead(one_more), "broke the contract"),
        ("StreamTokens", Instead(garbage), "failed: StreamTokens"),
        ("StreamTokens", Instead(giant), TOO_LARGE),
        ("StreamTokens", Instead(no_answer), "its token stream ended too early"),
        ("StreamTokens", Instead(again_and_again), "broke the contract: `position`"),
        ("StreamTokens", Instead(ragged), "broke the contract: `tokens`"),
        ("StreamTokens", Instead(kinds_swapped), "broke the contract: `kind`"),
        ("StreamTokens", Instead(dripping), "took longer than"),
        ("Compare", Instead(half_an_answer), "broke the contract"),
        (
            "QueryDwellings",
            Instead(half_the_dwellings),
            "broke the contract: QueryDwellings answered",
        ),
        ("QuerySignals", Instead(the_polices_signals), "signals that belong to another agency"),
        ("QuerySignals", Instead(endless_zeros), TOO_LARGE),
    ];
    let mut wrong = Vec::new();
    for (call, meddling, why) in cases {
        tapped.tap(Nhs).meddle(Some((call, meddling)));
        let swept = sweep_without_health(&tapped.village);
        let (_, said) = swept.unwrap_or_else(|error| (Value::Null, format!("{error:#}")));
        if !said.contains(why) {
            wrong.push(format!("{call}: {said}, not {why}"));
        }
        assert!(said.len() < 300, "a hostile node writes into nobody's report: {said}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    healthy_again(&tapped)
}

#[test]
fn a_stream_that_goes_on_for_ever_after_its_end_holds_nobody_up() -> anyhow::Result<()> {
    let tapped = tapped()?;
    tapped.tap(Nhs).meddle(Some(("StreamTokens", Instead(beyond_its_end))));
    let began = Instant::now();
    let report = tapped.village.sweep()?;
    assert!(began.elapsed() < BOUND, "it took {} s", began.elapsed().as_secs());
    // All that it had to say was said by then.
    assert_eq!(problem(&report, Nhs), None);
    alert(&report).map(|_| ())
}

#[test]
fn a_node_that_never_says_that_it_closed_its_sweep_holds_nobody_up() -> anyhow::Result<()> {
    let tapped = tapped()?;
    tapped.settings(impatient)?;
    tapped.tap(Nhs).meddle(Some(("CloseSweep", HoldAnswer)));
    let began = Instant::now();
    let report = tapped.village.sweep()?;
    assert!(began.elapsed() < BOUND, "it took {} s", began.elapsed().as_secs());
    assert_eq!(problem(&report, Nhs), None, "its part was done");
    alert(&report)?;
    healthy_again(&tapped)
}

/// A node that is well again takes part again.
fn healthy_again(tapped: &Tapped) -> anyhow::Result<()> {
    tapped.tap(Nhs).meddle(None);
    let report = tapped.village.sweep()?;
    for kind in FIVE {
        assert_eq!(problem(&report, kind), None);
    }
    Ok(())
}

fn once(body: Vec<u8>) -> Served {
    Served { pieces: vec![body], ..Served::default() }
}

/// Changes the messages of an honest answer.
fn changed<M: Message + Default>(honest: &[u8], change: impl FnOnce(&mut Vec<M>)) -> Vec<u8> {
    let mut messages = Call::messages(honest).unwrap();
    change(&mut messages);
    Call::body(&messages)
}

fn garbage(_: Vec<u8>) -> Served {
    let noise = (0..4000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 | 2);
    once(noise.collect())
}

/// Says that four gigabytes follow, and sends as much as anybody takes.
fn giant(_: Vec<u8>) -> Served {
    let head = vec![0, 0xff, 0xff, 0xff, 0xff];
    Served { pieces: vec![head, vec![7; 64 << 10]], endless: true, ..Served::default() }
}

fn endless_zeros(_: Vec<u8>) -> Served {
    let head = vec![0, 0x00, 0xff, 0xff, 0xff];
    Served { pieces: vec![head, vec![0; 64 << 10]], endless: true, ..Served::default() }
}

/// The honest answer, a byte at a time.
fn trickling(honest: Vec<u8>) -> Served {
    let pieces = honest.into_iter().map(|byte| vec![byte]).collect();
    Served { pieces, pause: Duration::from_millis(500), endless: false }
}

fn no_answer(_: Vec<u8>) -> Served {
    Served::default()
}

fn opened(honest: &[u8], change: impl FnOnce(&mut pb::OpenSweepResponse)) -> Served {
    once(changed(honest, |messages| change(&mut messages[0])))
}

fn another_kind(honest: Vec<u8>) -> Served {
    opened(&honest, |opened| opened.kind = pb::AgencyKind::Police.into())
}

fn another_key(honest: Vec<u8>) -> Served {
    opened(&honest, |opened| opened.key_commit = vec![8; 32])
}

fn everybody(honest: Vec<u8>) -> Served {
    opened(&honest, |opened| opened.records = u64::MAX)
}

fn one_more(honest: Vec<u8>) -> Served {
    opened(&honest, |opened| opened.records += 1)
}

/// The first part of the stream, for ever.
fn again_and_again(honest: Vec<u8>) -> Served {
    let mut messages: Vec<pb::StreamTokensResponse> = Call::messages(&honest).unwrap();
    messages.truncate(1);
    Served { pieces: vec![Call::body(&messages)], endless: true, ..Served::default() }
}

/// The whole stream, and then again.
fn beyond_its_end(honest: Vec<u8>) -> Served {
    Served { pieces: vec![honest], endless: true, ..Served::default() }
}

fn streamed(honest: &[u8], change: impl FnOnce(&mut Vec<pb::StreamTokensResponse>)) -> Served {
    once(changed(honest, change))
}

fn ragged(honest: Vec<u8>) -> Served {
    streamed(&honest, |messages| {
        let Some(Column::Tokens(tokens)) = &mut messages[1].column else { unreachable!() };
        tokens.tokens = tokens.tokens.slice(1..);
    })
}

fn kinds_swapped(honest: Vec<u8>) -> Served {
    streamed(&honest, |messages| {
        let (one, other) = (messages[1].column.clone(), messages[2].column.clone());
        (messages[1].column, messages[2].column) = (other, one);
    })
}

/// The honest stream, a person at a time, each well before anybody's deadline.
fn dripping(honest: Vec<u8>) -> Served {
    let mut pieces = Vec::new();
    let mut position = 0;
    for message in Call::messages::<pb::StreamTokensResponse>(&honest).unwrap() {
        let columns: Vec<Column> = match message.column.unwrap() {
            Column::People(people) => people
                .handles
                .chunks(16)
                .zip(&people.flags)
                .map(|(handle, flag)| {
                    let handles = handle.to_vec().into();
                    Column::People(pb::People { handles, flags: vec![*flag] })
                })
                .collect(),
            Column::Tokens(all) => all
                .tokens
                .chunks(8 * all.slots as usize)
                .map(|row| {
                    let tokens = row.to_vec().into();
                    Column::Tokens(pb::Tokens { kind: all.kind, slots: all.slots, tokens })
                })
                .collect(),
        };
        for (row, column) in columns.into_iter().enumerate() {
            position += 1;
            let first_row = message.first_row + row as u64;
            let row = pb::StreamTokensResponse { position, first_row, column: Some(column) };
            pieces.push(Call::body(&[row]));
        }
    }
    Served { pieces, pause: Duration::from_millis(500), endless: false }
}

fn half_an_answer(honest: Vec<u8>) -> Served {
    once(changed(&honest, |messages: &mut Vec<pb::CompareResponse>| {
        let half = messages[0].comparisons.len() / 2;
        messages[0].comparisons.truncate(half);
    }))
}

fn half_the_dwellings(honest: Vec<u8>) -> Served {
    once(changed(&honest, |messages: &mut Vec<pb::QueryDwellingsResponse>| {
        let half = messages[0].residences.len() / 2;
        messages[0].residences.truncate(half);
    }))
}

fn the_polices_signals(honest: Vec<u8>) -> Served {
    once(changed(&honest, |messages: &mut Vec<pb::QuerySignalsResponse>| {
        for subject in &mut messages[0].subjects {
            for signal in &mut subject.signals {
                signal.code = pb::SignalCode::PolDaHigh.into();
            }
        }
    }))
}
