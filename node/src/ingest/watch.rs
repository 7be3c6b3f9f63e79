//! Everything that comes in by itself: folders that exports land in, and databases that are asked.
//!
//! One thing at a time, since one file is written at a time anyway. What goes wrong is logged when
//! it begins and when it changes, and tried again: nothing here ends the node.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    IngestError, Intake, Receipt, freshness,
    landing::{Landing, LandingError, Outcome, reason},
};
use crate::{
    cause::in_one_line,
    clock,
    config::IntakeConfig,
    source::Feed,
    store::Store,
    tokenise::{keyring::Keyring, recipe::MatchKeys},
};

/// How often to say which feeds are stale.
const ANNOUNCE: Duration = Duration::from_secs(3600);

/// The policy's own measure of what is stale, as it is now: hours.
pub type StaleAfter = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// What comes in by itself at one node.
pub struct Watch {
    store: Store,
    keyring: Keyring,
    feeds: Arc<[Feed]>,
    landings: Vec<(Landing, Clockwork)>,
    asked: Vec<(usize, Clockwork)>,
    stale_after_h: StaleAfter,
    announce: Clockwork,
    /// What was last said of each thing that goes wrong.
    said: HashMap<String, String>,
}

/// When something is due again.
struct Clockwork {
    every: Duration,
    next: Instant,
}

impl Clockwork {
    fn new(every: Duration) -> Self {
        Self { every, next: Instant::now() }
    }

    /// Returns whether it is due, and winds it up again if so.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

impl Watch {
    /// Watches the folders of the settings, and asks the databases of the mappings.
    pub fn new(
        (store, keyring): (Store, Keyring),
        feeds: Vec<Feed>,
        folders: &[IntakeConfig],
        stale_after_h: StaleAfter,
    ) -> Self {
        let landings =
            folders.iter().map(|f| (Landing::new(f), Clockwork::new(f.every()))).collect();
        let every = |feed: &Feed| {
            let database = feed.mapping().database.as_ref()?;
            Some(Clockwork::new(Duration::from_secs_f64(database.every_seconds)))
        };
        let asked =
            feeds.iter().enumerate().filter_map(|(at, feed)| Some((at, every(feed)?))).collect();
        let announce = Clockwork::new(ANNOUNCE);
        let said = HashMap::new();
        let feeds = feeds.into();
        Self { store, keyring, feeds, landings, asked, stale_after_h, announce, said }
    }

    /// Goes on until it is dropped.
    pub async fn run(mut self) {
        loop {
            let now = Instant::now();
            for at in 0..self.landings.len() {
                if self.landings[at].1.is_due(now) {
                    self.land(at).await;
                }
            }
            for at in 0..self.asked.len() {
                if self.asked[at].1.is_due(now) {
                    self.ask(self.asked[at].0).await;
                }
            }
            if self.announce.is_due(now) {
                self.say_what_is_stale().await;
            }
            let next = self.landings.iter().map(|(_, clock)| clock.next);
            let next = next.chain(self.asked.iter().map(|(_, clock)| clock.next));
            let next = next.chain([self.announce.next]).min().unwrap_or(now);
            tokio::time::sleep_until(next.into()).await;
        }
    }

    /// Takes in what is whole in one folder. No file waits for another one.
    async fn land(&mut self, at: usize) {
        let name = format!("folder {at}");
        let feeds = self.feeds.clone();
        let landing = &mut self.landings[at].0;
        let found = tokio::task::block_in_place(|| landing.look(&feeds));
        let found = match found {
            Err(error) => return self.say(name, Some(in_one_line(&error))),
            Ok(found) => found,
        };
        let (twice, stray) = (landing.claimed_twice(), landing.stray());
        self.say(name, None);
        self.say(format!("strays in folder {at}"), stray.as_ref().map(|stray| in_one_line(stray)));
        // What was said of files that are there no more is of no interest.
        let place = |path: &Path| format!("file {}", path.display());
        let folder = place(&self.landings[at].0.folder().join(""));
        let mut there: HashSet<String> = found.iter().map(|landed| place(&landed.path)).collect();
        for problem in twice {
            let LandingError::TwoFeeds { path, .. } = &problem else { continue };
            there.insert(place(path));
            self.say(place(path), Some(in_one_line(&problem)));
        }
        self.said.retain(|what, _| !what.starts_with(&folder) || there.contains(what));
        for landed in found {
            let place = place(&landed.path);
            let keys = match self.keyring.match_keys() {
                Ok(keys) => keys,
                Err(error) => return self.say("keys".into(), Some(error.to_string())),
            };
            let intake = intake((&self.store, &self.keyring), &feeds, &keys);
            if let Some(outcome) = self.landings[at].0.deal_with(&intake, landed).await {
                self.log(&outcome, place);
            }
        }
    }

    /// Asks one feed's database.
    async fn ask(&mut self, at: usize) {
        let keys = match self.keyring.match_keys() {
            Ok(keys) => keys,
            Err(error) => return self.say("keys".into(), Some(error.to_string())),
        };
        let feed = &self.feeds[at];
        let result = intake((&self.store, &self.keyring), &self.feeds, &keys).ask(feed).await;
        let outcome = Outcome::of_database(feed, result);
        self.log(&outcome, format!("database of {}", outcome.feed));
    }

    /// Logs what became of an export, once where it is the same every time.
    fn log(&mut self, outcome: &Outcome, place: String) {
        let Outcome { feed, file, result, not_put_away } = outcome;
        let mut problem = not_put_away.as_ref().map(|error| in_one_line(error));
        match result {
            Ok(receipt) => {
                self.say(format!("feed {feed}"), None);
                if let Some(receipt) = receipt.as_ref().filter(|receipt| !receipt.same_as_last) {
                    took_in(receipt, file);
                }
            }
            // Others of the same feed may be good.
            Err(error @ IngestError::Open { .. }) => problem = Some(reason(error)),
            Err(error @ (IngestError::Store(_) | IngestError::Claim(_))) => {
                let store = self.store.path().display();
                let problem = format!("could not use the records in {store}: {}", reason(error));
                self.say(format!("feed {feed}"), Some(problem));
            }
            Err(error) => self.say(format!("feed {feed}"), Some(reason(error))),
        }
        self.say(place, problem);
    }

    /// Logs a problem when it begins or changes.
    fn say(&mut self, what: String, problem: Option<String>) {
        match problem {
            None => {
                if self.said.remove(&what).is_some() {
                    tracing::info!(what, "works again");
                }
            }
            Some(problem) if self.said.get(&what) == Some(&problem) => {}
            Some(problem) => {
                tracing::warn!(what, problem, "nothing was taken in, and what was there stands");
                self.said.insert(what, problem);
            }
        }
    }

    async fn say_what_is_stale(&self) {
        let stale_after_h = (self.stale_after_h)();
        let found = async {
            let mut conn = self.store.read().await?;
            freshness::of(&mut conn, &self.feeds, stale_after_h, clock::now_ms()).await
        };
        match found.await {
            Ok(feeds) => announce(&feeds),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "could not read the store"
                );
            }
        }
    }
}

/// What came of taking in everything once.
#[derive(Debug, Default)]
pub struct Round {
    /// What became of each file, and of each answer of a database.
    pub outcomes: Vec<Outcome>,
    /// Folders that could not be looked at, and files that several feeds claim.
    pub problems: Vec<LandingError>,
    /// What lies in the folders and is nobody's.
    pub strays: Vec<LandingError>,
}

/// Takes in everything once: what lies whole in the folders, and what the databases answer. What goes
/// wrong with one file, folder or database is no matter of the others.
pub async fn once(intake: &Intake<'_>, folders: &[IntakeConfig]) -> Round {
    let mut round = Round::default();
    let mut landings: Vec<Landing> = Vec::new();
    for mut landing in folders.iter().map(Landing::new) {
        match landing.look(intake.feeds) {
            Ok(_) => landings.push(landing),
            Err(problem) => round.problems.push(problem),
        }
    }
    // What still grows looks different by then.
    let patience = folders.iter().filter(|f| f.marker.is_none()).map(IntakeConfig::every).max();
    tokio::time::sleep(patience.unwrap_or_default()).await;
    for landing in &mut landings {
        let found = landing.look(intake.feeds);
        match found {
            Ok(found) => {
                round.problems.extend(landing.claimed_twice());
                round.strays.extend(landing.stray());
                for landed in found {
                    let path = landed.path.clone();
                    match landing.deal_with(intake, landed).await {
                        Some(outcome) => round.outcomes.push(outcome),
                        None if landing.is_waiting(&path) => {
                            round.problems.push(LandingError::Changed { path });
                        }
                        None => {}
                    }
                }
            }
            Err(problem) => round.problems.push(problem),
        }
    }
    for feed in intake.feeds.iter().filter(|feed| feed.mapping().database.is_some()) {
        let result = intake.ask(feed).await;
        round.outcomes.push(Outcome::of_database(feed, result));
    }
    round
}

/// Logs that an export was taken in.
pub fn took_in(receipt: &Receipt, file: &str) {
    tracing::info!(
        feed = receipt.feed,
        file,
        rows = receipt.file.rows,
        changed = receipt.changed,
        removed = receipt.removed,
        quarantined = receipt.file.quarantined,
        "took in an export"
    );
}

/// Logs which feeds have something wrong with them.
fn announce(feeds: &[freshness::Freshness]) {
    for problem in feeds.iter().filter_map(freshness::Freshness::problem) {
        tracing::warn!(problem, "a feed needs somebody to look at it");
    }
}

fn intake<'a>(
    (store, keyring): (&'a Store, &'a Keyring),
    feeds: &'a [Feed],
    keys: &'a MatchKeys,
) -> Intake<'a> {
    let (as_at, now_ms) = (clock::today(), clock::now_ms());
    Intake { store, feeds, keys, keyring: Some(keyring), as_at, now_ms }
}
