//! Nobody but the agency that holds a record can tell whose it is: not from the wire, inside the
//! TLS, not from the coordinator's disk, not from anybody's log, not from another agency's database.
//! And what was seen in one sweep says nothing about the next.

use std::{collections::BTreeSet, fs, path::Path};

use aho_corasick::AhoCorasick;
use causeway_certs::{dial, tls::TlsState};
use causeway_proto::{
    catalogue::AgencyKind,
    limits::TOKEN_BYTES,
    pb::{self, stream_tokens_response::Column, sweep_service_client::SweepServiceClient},
};
use causeway_tests::{
    needles::Needles,
    wiretap::{Call, Heard, Meddling, Wiretap},
};
use time::OffsetDateTime;

use crate::village::{self, FIVE, Making, PATIENCE, Village, alert, id, tap, tapped, until};

#[test]
fn no_name_date_address_or_number_is_found_outside_its_agency() -> anyhow::Result<()> {
    // Whoever looks for a fault has everything logged.
    let making = Making::of(&FIVE);
    let talkative = Making { launcher: making.launcher.clone().logging("trace"), ..making };
    let tapped = tap(talkative.up()?)?;
    let village = &tapped.village;
    let needles = Needles::of(&village.people.records)?;
    assert!(needles.texts().len() > 400, "{}", needles.texts().len());

    for sweep in 0..2 {
        let (report, output) = village.town.coordinate(&["sweep", "--as-at", village::AS_AT])?;
        if sweep == 0 {
            alert(&report)?;
        }
        nothing_in(&needles, "what the sweep printed", output.out.as_bytes());
        assert!(output.err.len() > 100_000, "it says a lot: {}", output.err.len());
        nothing_in(&needles, "what the sweep logged", output.err.as_bytes());
        for (agency, heard) in FIVE.iter().zip(tapped.take()) {
            assert!(
                heard.from_node.len() > 1000 && heard.from_coordinator.len() > 1000,
                "{agency}"
            );
            assert_eq!(heard.of("StreamTokens").count(), 1, "{agency} was listened in on");
            nothing_in(&needles, "the wire", &heard.from_coordinator);
            nothing_in(&needles, "the wire", &heard.from_node);
            for call in &heard.calls {
                nothing_in(&needles, &call.path, call.headers.as_bytes());
                nothing_in(&needles, &call.path, &call.asked);
                nothing_in(&needles, &call.path, &call.answered);
                assert!(!call.headers.contains("grpc-encoding"), "{}", call.headers);
                // Fails where a body is compressed, and so was not searched.
                Call::messages::<()>(&call.answered)?;
            }
        }
    }

    let town = village.town.folder();
    let mut searched = 0;
    for (name, bytes) in files_below(&town.join("coordinator"))? {
        searched += bytes.len();
        nothing_in(&needles, &name, &bytes);
    }
    assert!(searched > 10_000, "the coordinator has a ledger: {searched}");
    for kind in FIVE {
        let home = town.join(id(kind).as_str());
        let log = fs::read(home.join("log.txt"))?;
        assert!(log.len() > 100_000, "it says a lot: {}", log.len());
        nothing_in(&needles, "a node's log", &log);
        others_are_not_at_home(village, kind, &home)?;
    }
    Ok(())
}

/// Looks in everything a node has on disk for those whom its agency never heard of; and finds those
/// whom it knows.
fn others_are_not_at_home(village: &Village, kind: AgencyKind, home: &Path) -> anyhow::Result<()> {
    let records = &village.people.records;
    let ours = Needles::of(records.iter().filter(|record| record.agency == kind))?;
    let known: BTreeSet<&String> = ours.texts().iter().collect();
    let strange: Vec<String> = Needles::of(records)?
        .texts()
        .iter()
        .filter(|text| !known.contains(text) && !known.iter().any(|ours| ours.contains(*text)))
        .cloned()
        .collect();
    assert!(strange.len() > 100, "{}", strange.len());
    let strange = Needles::new(strange)?;
    let (mut at_home, mut files) = (BTreeSet::new(), 0);
    for (name, bytes) in files_below(home)? {
        files += usize::from(name.contains("node.db"));
        nothing_in(&strange, &name, &bytes);
        at_home.extend(ours.search(&bytes).into_iter().map(|found| found.what));
    }
    assert!(files > 0, "{} has a database", home.display());
    for record in records.iter().filter(|record| record.agency == kind) {
        let surname = record.person.surname.to_lowercase();
        assert!(surname.len() < 6 || at_home.contains(&surname), "the owner has its records");
        assert!(record.local_id.len() < 6 || at_home.contains(&record.local_id.to_lowercase()));
    }
    Ok(())
}

#[test]
fn whoever_did_send_a_name_would_be_caught() -> anyhow::Result<()> {
    let tapped = tapped()?;
    let needles = Needles::of(&tapped.village.people.records)?;
    let leak = "Carol Denholm, 06/04/1987";
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let files = tapped.village.identity("coordinator");
        let tls = TlsState::load(&files, OffsetDateTime::now_utc())?;
        let name = tapped.village.name(FIVE[0]);
        let channel = dial::channel(&tls, tapped.taps[0].address(), name);
        let opening = pb::OpenSweepRequest { model_version: leak.into(), ..Default::default() };
        let mut request = tonic::Request::new(opening);
        request.metadata_mut().insert("note", leak.parse()?);
        // It is refused, which is well: it was on the wire all the same.
        SweepServiceClient::new(channel).open_sweep(request).await.unwrap_err();
        anyhow::Ok(())
    })?;
    let heard = tapped.taps[0].take();
    let call = heard.of("OpenSweep").next().unwrap();
    for place in [&heard.from_coordinator, &call.asked, call.headers.as_bytes()] {
        let found: BTreeSet<String> = needles.search(place).into_iter().map(|f| f.what).collect();
        assert!(found.contains("carol denholm") && found.contains("06/04/1987"), "{found:?}");
    }
    Ok(())
}

#[test]
fn no_handle_token_or_key_of_one_sweep_is_seen_in_the_next() -> anyhow::Result<()> {
    let tapped = tapped()?;
    let mut sweeps = Vec::new();
    for _ in 0..2 {
        tapped.village.sweep()?;
        sweeps.push(tapped.take());
    }
    let [first, second] = [Seen::of(&sweeps[0])?, Seen::of(&sweeps[1])?];
    for (what, first, second) in [
        ("handles", &first.handles, &second.handles),
        ("tokens", &first.tokens, &second.tokens),
        ("dwellings", &first.dwellings, &second.dwellings),
        ("events", &first.events, &second.events),
    ] {
        assert!(!first.is_empty() && !second.is_empty(), "{what} were seen");
        assert_eq!(first.intersection(second).count(), 0, "{what} join two sweeps");
    }
    // The search that finds nothing between sweeps finds the handles again inside one.
    let handles = AhoCorasick::new(&first.handles)?;
    let asked: Vec<&Call> = sweeps[0].iter().flat_map(|heard| heard.of("Compare")).collect();
    assert!(asked.iter().any(|call| handles.is_match(&call.asked)));

    let all =
        [&first.handles, &first.tokens, &first.dwellings, &first.events].into_iter().flatten();
    let all = AhoCorasick::new(all)?;
    for heard in &sweeps[1] {
        assert!(!all.is_match(&heard.from_node) && !all.is_match(&heard.from_coordinator));
    }
    // And nothing else that looks random, whatever it is called, is sent twice.
    let [first_parts, second_parts] = [random_parts(&sweeps[0])?, random_parts(&sweeps[1])?];
    assert!(first.handles.iter().filter(|handle| first_parts.contains(*handle)).count() > 20);
    let again: Vec<&Vec<u8>> = first_parts.intersection(&second_parts).take(3).collect();
    assert!(again.is_empty(), "this joins two sweeps: {again:02x?}");

    // Tokens were in memory only, and handles were on the disk until their alert was delivered.
    let all = [&first, &second].into_iter().flat_map(|seen| seen.handles.union(&seen.tokens));
    let all = AhoCorasick::new(all)?;
    for (name, bytes) in files_below(&tapped.village.town.folder().join("coordinator"))? {
        assert!(!all.is_match(&bytes), "{name} holds handles or tokens");
    }
    Ok(())
}

#[test]
fn handles_stand_on_the_coordinators_disk_only_while_a_delivery_waits() -> anyhow::Result<()> {
    let tapped = tapped()?;
    tapped.tap(AgencyKind::AdultSocialCare).meddle(Some(("DeliverAlert", Meddling::Refuse)));
    let mut village = tapped.village;
    village.town.start_coordinator()?;
    village.sweep()?;
    let heard: Vec<Heard> = tapped.taps.iter().map(Wiretap::take).collect();
    let handles = AhoCorasick::new(Seen::of(&heard)?.handles)?;
    let folder = village.town.folder().join("coordinator");
    let on_disk = || -> anyhow::Result<bool> {
        Ok(files_below(&folder)?.iter().any(|(_, bytes)| handles.is_match(bytes)))
    };
    assert!(on_disk()?, "the alert that waits names its records by handle");
    tapped.taps.iter().for_each(|tap| tap.meddle(None));
    until("the handles to be gone", PATIENCE, || Ok((!on_disk()?).then_some(())))?;
    let status = village.town.coordinate(&["status"])?.0;
    assert_eq!(status["deliveries_waiting"], 0);
    Ok(())
}

/// What a coordinator sees in one sweep that stands for somebody or something.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) handles: BTreeSet<Vec<u8>>,
    pub(super) tokens: BTreeSet<Vec<u8>>,
    pub(super) dwellings: BTreeSet<Vec<u8>>,
    pub(super) events: BTreeSet<Vec<u8>>,
}

impl Seen {
    pub(super) fn of(heard: &[Heard]) -> anyhow::Result<Self> {
        let mut seen = Self::default();
        for call in heard.iter().flat_map(|heard| heard.of("StreamTokens")) {
            for message in Call::messages::<pb::StreamTokensResponse>(&call.answered)? {
                match message.column.unwrap() {
                    Column::People(people) => {
                        seen.handles.extend(people.handles.chunks(16).map(Vec::from));
                    }
                    Column::Tokens(column) => {
                        seen.tokens.extend(column.tokens.chunks(TOKEN_BYTES).map(Vec::from));
                    }
                }
            }
        }
        for call in heard.iter().flat_map(|heard| heard.of("QueryDwellings")) {
            for answer in Call::messages::<pb::QueryDwellingsResponse>(&call.answered)? {
                let dwellings = answer.residences.into_iter().flat_map(|home| home.dwellings);
                seen.dwellings.extend(dwellings.flat_map(|d| [d.property_key, d.address_key]));
            }
        }
        seen.dwellings.remove(&Vec::new());
        for call in heard.iter().flat_map(|heard| heard.of("QuerySignals")) {
            for answer in Call::messages::<pb::QuerySignalsResponse>(&call.answered)? {
                let signals = answer.subjects.into_iter().flat_map(|subject| subject.signals);
                seen.events.extend(signals.map(|signal| signal.event_key));
            }
        }
        Ok(seen)
    }
}

/// Every stretch of sixteen bytes that looks random, out of everything that was said, except what
/// stays the same by design: the commitment to the epoch's key, the ids of memos and alerts, and
/// counts of how often strangers agree.
fn random_parts(heard: &[Heard]) -> anyhow::Result<BTreeSet<Vec<u8>>> {
    let mut constant: Vec<Vec<u8>> = Vec::new();
    for call in heard.iter().flat_map(|heard| heard.of("OpenSweep")) {
        for opened in Call::messages::<pb::OpenSweepResponse>(&call.answered)? {
            constant.push(opened.key_commit);
            constant.extend(opened.memos.into_iter().map(|memo| memo.memo_id));
        }
    }
    let is_constant = |part: &[u8]| {
        constant.iter().any(|c| c.windows(8).any(|c| part.windows(8).any(|p| p == c)))
    };
    let calls = heard.iter().flat_map(|heard| &heard.calls);
    let calls = calls.filter(|call| !call.path.ends_with("/SampleAgreement"));
    let bodies = calls.flat_map(|call| [&call.asked, &call.answered]);
    Ok(bodies
        .flat_map(|body| body.windows(16))
        .filter(|part| looks_random(part) && !is_constant(part))
        .map(<[u8]>::to_vec)
        .collect())
}

/// Nine of ten handles do; tags, lengths, small numbers and words do not.
fn looks_random(part: &[u8]) -> bool {
    let high = part.iter().filter(|byte| **byte >= 0x80).count();
    let low = part.iter().filter(|byte| **byte < 0x20).count();
    high >= 5 && low <= 4
}

fn nothing_in(needles: &Needles, place: &str, bytes: &[u8]) {
    let found = needles.search(bytes);
    assert!(found.is_empty(), "{place} holds {found:?}");
}

/// Reads every file below a folder, sockets left out.
fn files_below(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let (path, kind) = (entry.as_ref().unwrap().path(), entry?.file_type()?);
        if kind.is_dir() {
            files.extend(files_below(&path)?);
        } else if kind.is_file() {
            files.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    Ok(files)
}
