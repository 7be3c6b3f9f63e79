//! A coordinator among made-up nodes, sweep after sweep, and what has to be true after each.

use super::*;

/// A coordinator among made-up nodes.
pub(super) struct Town {
    pub(super) nodes: Nodes,
    pub(super) courier: Courier,
    reviewed: Notify,
    pub(super) as_at: Day,
    _folder: TempDir,
}

impl Town {
    pub(super) async fn new(scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_file(&folder.path().join("ledger.db")).await.unwrap();
        let nodes = Nodes::of(World::of(scenario));
        let federation = Arc::new(Federation::of(nodes.members()));
        let (bell, now_ms) = (Arc::default(), crate::clock::now_ms as fn() -> u64);
        let courier = Courier { ledger, federation, bell, now_ms };
        let as_at = "2025-02-20".parse().unwrap();
        Self { nodes, courier, reviewed: Notify::new(), as_at, _folder: folder }
    }

    /// Lives through a history. Returns what was said in it, or what should have been.
    pub(super) fn and_live(
        mut self,
        runtime: &tokio::runtime::Runtime,
        history: Vec<Step>,
    ) -> Result<Vec<String>, String> {
        runtime.block_on(async {
            let mut happened = Vec::new();
            for (days, changes) in history {
                self.as_at = self.as_at.plus(days);
                for change in changes {
                    happened.push(format!("{} {change:?}", self.as_at));
                    match change {
                        Change::Dispute(line) => self.review(Some(line)).await,
                        Change::Review => self.review(None).await,
                        change => self.nodes.world().change(change),
                    }
                }
                let wrong = self.sweep().await;
                wrong.map_err(|wrong| format!("{wrong} on {} after {happened:#?}", self.as_at))?;
            }
            Ok(self.said().await)
        })
    }

    /// A recipient answers the newest open alert: one of its lines is somebody else's, or there is nothing
    /// to worry about.
    pub(super) async fn review(&mut self, line: Option<usize>) {
        let mut tx = self.courier.ledger.begin().await.unwrap();
        let Some(standing) = standings::open(&mut tx).await.unwrap().pop() else { return };
        let told = alerts::find(&mut tx, standing.alert).await.unwrap().unwrap();
        let report: report::AlertReport = serde_json::from_str(&told.explanation).unwrap();
        let line = line.map(|at| &report.lines[at % report.lines.len()].line);
        let line = line.map(|line| u128::from_str_radix(line, 16).unwrap().to_be_bytes());
        drop(tx);
        self.answer(line.map(LineId::from_bytes)).await;
    }

    /// A recipient answers the newest open alert, and names a line of it or none.
    pub(super) async fn answer(&self, line: Option<LineId>) {
        let mut tx = self.courier.ledger.begin().await.unwrap();
        let standing = standings::open(&mut tx).await.unwrap().pop().expect("an open alert");
        let told = alerts::find(&mut tx, standing.alert).await.unwrap().unwrap();
        let review = Review {
            id: ReviewId::from_bytes(surface::random_id().unwrap()),
            alert: told.id,
            revision: told.revision,
            action: match line {
                Some(_) => ReviewAction::WrongRecord,
                None => ReviewAction::NoFurtherAction,
            },
            reason: line.is_none().then_some(ReviewReason::BelowThreshold),
            line,
            day: self.as_at,
        };
        let agency = outbox::told(&mut tx, told.id).await.unwrap().remove(0);
        let score_tenths = told.score_tenths;
        let received = reviews::Received { review, agency, score_tenths };
        reviews::put(&mut tx, &received, 1).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Makes a sweep, and says what is wrong with what it comes to.
    pub(super) async fn sweep(&mut self) -> Result<(), String> {
        let limits = SweepConfig::default();
        let cycle = self.cycle(&limits);
        self.courier.catch_up().await.unwrap();
        let mut tx = self.courier.ledger.begin().await.unwrap();
        let before = standings::open(&mut tx).await.unwrap();
        let mut revisions = BTreeMap::new();
        for standing in &before {
            let told = alerts::find(&mut tx, standing.alert).await.unwrap().unwrap();
            revisions.insert(standing.alert, told.revision);
        }
        drop(tx);
        let sweep = cycle.begin(self.as_at).await.unwrap();
        let mut open = self.open(&cycle, sweep);
        let (houses, _) = cycle.tell(&mut open, &mut Seconds::default()).await.unwrap();
        let (_, again) = cycle.tell(&mut open, &mut Seconds::default()).await.unwrap();
        if !again.alerts.is_empty() {
            return Err(format!("looking again says {:#?}", again.alerts));
        }
        let old = self.nodes.world().grown_old();
        let mut tx = self.courier.ledger.begin().await.unwrap();
        for standing in standings::open(&mut tx).await.unwrap() {
            let is_back = |id: &String| is_in(&open, &id.parse().unwrap());
            if standing.told.unheard.iter().any(is_back) {
                return Err(format!("{} is back, and heard nothing", standing.alert));
            }
            if !rests(&open, &houses.worth, &standing, &old) {
                return Err(format!("{} rests on nothing: {:?}", standing.alert, standing.told));
            }
        }
        for standing in &before {
            let last = alerts::find(&mut tx, standing.alert).await.unwrap().unwrap();
            let is_new = last.revision > revisions[&standing.alert];
            let taken_back = is_new && ["withdrawn", "gone"].contains(&last.reason.as_str());
            if !rests(&open, &houses.worth, standing, &old) && !taken_back {
                return Err(format!("{} was not taken back: {:?}", last.id, standing.told));
            }
            if taken_back {
                let mut ever = outbox::told(&mut tx, last.id).await.unwrap();
                // Who is away hears of a change when it is back; of the end it finds in its letters.
                ever.retain(|id| last.change == AlertChange::Cancel || is_in(&open, id));
                let reached = outbox::reached(&mut tx, last.id, last.revision).await.unwrap();
                if reached.recipients != ever {
                    return Err(format!("{ever:?} were told, and {:?} hear", reached.recipients));
                }
            }
        }
        drop(tx);
        self.courier.catch_up().await.unwrap();
        Ok(())
    }

    pub(super) fn cycle<'a>(&'a self, limits: &'a SweepConfig) -> Cycle<'a> {
        Cycle {
            federation: &self.courier.federation,
            ledger: &self.courier.ledger,
            model: Model::builtin(),
            shadow: None,
            weakest: 0,
            purposes: &[],
            limits,
            now_ms: self.courier.now_ms,
            progress: Progress(&|_| ()),
            received: None,
            follows: false,
            reviewed: &self.reviewed,
            going: watch::channel(false).1,
            untold: watch::Sender::new(false),
        }
    }

    /// The sweep as it is when everybody's records are linked.
    pub(super) fn open<'a>(&self, cycle: &Cycle<'a>, sweep: SweepId) -> Open<'a> {
        let mut world = self.nodes.world();
        world.begin(sweep, self.as_at);
        let members = cycle.federation.members().iter();
        let agencies: Vec<Taking<'_>> = members
            .zip(&world.agencies)
            .map(|(member, agency)| Taking {
                member,
                opened: (!agency.missing).then(|| world.opened(&agency.id)),
                problem: agency.missing.then(|| Problem::Unreachable("it is away".into())),
                silent: None,
                barred: false,
                warnings: Vec::new(),
            })
            .collect();
        let continuity = Continuity::of(&agencies);
        let (mut records, numbers) = world.records();
        continuity.keep_apart(&mut records);
        // What was found to be somebody else is linked with nobody.
        let is_stranger =
            |record: &u32| continuity.is_stranger(records.agency(*record), records.handle(*record));
        let same = world.same_person(&numbers).into_iter();
        let same = same.filter(|pair| !pair.iter().any(is_stranger));
        let pairs: Vec<Pair> = same.map(pair).collect();
        let (_, looked_at, weights) = two_agencies();
        let levels = vec![looked_at[0].1; pairs.len()];
        let decision = decide::decide(&records, &pairs, &levels, weights);
        let linked = Linked::new(records, pairs, levels, 0, Clear::default(), decision);
        let known = Known::new(&linked.records);
        Open {
            sweep,
            as_at: self.as_at,
            agencies,
            key_commit: None,
            rekey: Arc::new(Rekey::random().unwrap()),
            linked,
            known,
            continuity,
            scores: Scores::default(),
            learn_again: false,
        }
    }

    /// What was said, revision by revision: what it does, and why.
    pub(super) async fn said(&self) -> Vec<String> {
        let mut tx = self.courier.ledger.read().await.unwrap();
        let mut said = Vec::new();
        for last in alerts::latest(&mut tx, 1000).await.unwrap() {
            for revision in 1..=last.revision {
                let told = alerts::revision(&mut tx, last.id, revision).await.unwrap().unwrap();
                said.push(format!("{} {}", told.change, told.reason));
            }
        }
        said
    }
}

pub(super) fn pair([a, b]: [u32; 2]) -> Pair {
    Pair { a, b, kinds: 1, carrier: 0, slots: 0, numbers: 0 }
}

fn is_in(open: &Open<'_>, id: &AgencyId) -> bool {
    open.agencies.iter().any(|agency| agency.member.id == *id && agency.is_in())
}

/// Returns whether everything that was told of is known in a house where the alert's records are:
/// every event, and what made its rules apply. What is told no more because it has grown old is known.
///
/// Of those who are away nothing is asked; nor of the others, where a record of theirs that was told of
/// has left the house undisputed: it may have done so because nobody knows where its person lives.
fn rests(open: &Open<'_>, houses: &[House], standing: &Standing, old: &[Event]) -> bool {
    let records = &open.linked.records;
    let is_told_of = |record: u32| {
        let (agency, handle) = (records.agency(record), records.handle(record));
        let is_stranger = open.continuity.is_stranger(agency, handle);
        !is_stranger && open.continuity.alerts(agency, handle).any(|id| id == standing.alert)
    };
    let told_of: BTreeSet<u32> = records.present().filter(|record| is_told_of(*record)).collect();
    let members = |house: &House| -> BTreeSet<u32> {
        house.household.members.iter().map(|member| member.record).collect()
    };
    let away = open.agencies.iter().filter(|agency| !agency.is_in());
    let away: BTreeSet<AgencyKind> = away
        .filter(|agency| standing.holders.contains(&agency.member.id))
        .map(|agency| agency.member.kind)
        .collect();
    let mut basis = standing.told.basis.clone();
    if !away.is_empty() {
        basis = basis.without(&away);
        if !houses.iter().any(|house| told_of.is_subset(&members(house))) {
            return true;
        }
    }
    let is_about = |house: &&House| !told_of.is_disjoint(&members(house));
    let mut about = houses.iter().filter(is_about).peekable();
    match about.peek() {
        Some(_) => about.any(|house| holds(&house.events, &basis, old)),
        // Nobody is asked about a household where one agency alone sees harm that has not grown old.
        None => basis.has_grown_old(Model::builtin(), standing.told.day.max(open.as_at)),
    }
}

fn holds(events: &[Event], basis: &Basis, old: &[Event]) -> bool {
    // A child is told of as of today. And the 15th may stand for a month that was told of by its 1st.
    let middle = basis.as_at.first_of_month().plus(14);
    let begun = |event: &Event| match event.code.spec().owner {
        None => event.start.min(basis.as_at),
        Some(_) if event.start == middle && basis.as_at < middle => basis.as_at.first_of_month(),
        Some(_) => event.start,
    };
    let then = events.iter().map(|event| Event { start: begun(event), ..event.clone() });
    let then: Vec<Event> = then.filter(|event| event.start <= basis.as_at).collect();
    let old: Vec<&Event> = old.iter().filter(|event| event.start <= basis.as_at).collect();
    let known = |code: SignalCode| {
        let of_code = then.iter().chain(old.iter().copied()).filter(|event| event.code == code);
        of_code.map(|event| event.key).collect::<BTreeSet<EventKey>>().len()
    };
    let scored = score(Model::builtin(), &then, basis.as_at, |_| true);
    basis.counts.iter().all(|(code, count)| known(*code) >= *count)
        // What makes a rule apply may have grown old.
        && (!old.is_empty() || basis.rules.iter().all(|id| scored.rules.iter().any(|rule| rule.id == *id)))
}
