//! Puts linked records together, so that one false pair cannot chain two people into one.
//!
//! Greedy average-link: the two clusters whose records agree best on average are merged first, and
//! merging stops where the average turns negative. A pair that was never compared counts as mild
//! evidence against ([`ABSENT_BITS`]); a vetoed pair, two records of one agency that holds one record a person, or two
//! national numbers that differ, keep clusters apart for good. `linkage/LINKAGE.md` 2.9.
//!
//! The result depends on the records and their weights only, never on the order they come in: ties
//! are broken by the rank that the caller gives each record.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
};

/// What an uncompared pair of records weighs, in bits.
pub const ABSENT_BITS: f64 = -2.0;

/// Evidence of one pair counts no more than this either way, in bits.
pub const MOST_BITS: f64 = 12.0;

/// One record to be put into a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Member {
    /// The agency that holds it, if that agency holds one record a person.
    pub sole_of: Option<u16>,
    /// Keyed national numbers by scheme (NHS, UPN, NINO); zero where it has none.
    pub strong_ids: [u64; 3],
    /// Breaks ties; different for every record, and the same whatever order records come in.
    pub rank: u64,
}

/// What is known of two records, by their places in the list of members.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// One record.
    pub a: u32,
    /// The other.
    pub b: u32,
    /// Match weight in bits; `None` when they must not be one person.
    pub bits: Option<f64>,
}

/// Returns a cluster number for each member; members of one person share one.
///
/// Numbers are the lowest place in the list that the cluster holds.
pub fn cluster(members: &[Member], edges: &[Edge]) -> Vec<u32> {
    let mut labels: Vec<u32> = (0..).take(members.len()).collect();
    let components = Components::of(members.len(), edges);
    for component in components.iter() {
        for (member, label) in merged(members, edges, component) {
            labels[member as usize] = label;
        }
    }
    labels
}

/// An edge inside a component: by the component's lowest member, the edge's place in the list.
type Inside = (u32, u32);

/// The edges inside each set of records that positive edges connect. Edges between sets cannot
/// merge anything, and an absent pair inside a set is counted as absent wherever it is.
#[derive(Debug)]
struct Components(Vec<Inside>);

impl Components {
    fn of(members: usize, edges: &[Edge]) -> Self {
        let mut groups = Groups::new(members);
        for edge in edges.iter().filter(|edge| edge.bits.is_some_and(|bits| bits >= 0.0)) {
            groups.join(edge.a, edge.b);
        }
        let mut inside: Vec<Inside> = Vec::new();
        for (at, edge) in edges.iter().enumerate() {
            let root = groups.root(edge.a);
            if root == groups.root(edge.b) {
                inside.push((root, u32::try_from(at).expect("edges are numbered by u32")));
            }
        }
        inside.sort_unstable();
        Self(inside)
    }

    /// Each one's edges.
    fn iter(&self) -> impl Iterator<Item = &[Inside]> {
        self.0.chunk_by(|x, y| x.0 == y.0)
    }
}

/// Merges what is worth merging in one component. Returns the members whose cluster number is not
/// their own place, with that number.
fn merged(members: &[Member], edges: &[Edge], component: &[Inside]) -> Vec<(u32, u32)> {
    let edges: Vec<Edge> = component.iter().map(|(_, at)| edges[*at as usize]).collect();
    Agglomeration::new(members, &edges).run()
}

/// Records that can reach each other, by the lowest number of each set.
#[derive(Debug)]
pub struct Groups(Vec<u32>);

impl Groups {
    /// Begins with so many sets of one record.
    pub fn new(size: usize) -> Self {
        Self((0..).take(size).collect())
    }

    /// Returns the lowest number of a record's set.
    pub fn root(&mut self, mut at: u32) -> u32 {
        while self.0[at as usize] != at {
            let above = self.0[at as usize];
            self.0[at as usize] = self.0[above as usize];
            at = above;
        }
        at
    }

    /// Puts the sets of two records together.
    pub fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

/// A cluster in the making.
#[derive(Debug, Default)]
struct Cluster {
    records: Vec<u32>,
    /// The lowest rank among its records.
    rank: u64,
    /// Agencies that may not appear twice.
    agencies: Vec<u16>,
    strong_ids: [Vec<u64>; 3],
    /// What is known about other clusters.
    links: BTreeMap<usize, Link>,
}

/// What is known between two clusters.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// No pair counts more than [`MOST_BITS`] here.
    bits: f64,
    /// The whole evidence: who fits better where all fit well enough.
    whole: f64,
    pairs: u32,
    vetoed: bool,
}

/// A merge that was worth making when both clusters had these sizes.
#[derive(Debug, PartialEq)]
struct Proposal {
    bits: f64,
    whole: f64,
    ranks: (u64, u64),
    clusters: (usize, usize),
    sizes: (usize, usize),
}

impl Eq for Proposal {}

impl PartialOrd for Proposal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Proposal {
    /// Higher average first, then more evidence on the whole, then lower ranks.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_bits = self.bits.total_cmp(&other.bits);
        let by_whole = by_bits.then_with(|| self.whole.total_cmp(&other.whole));
        by_whole.then_with(|| other.ranks.cmp(&self.ranks))
    }
}

/// One connected set of records on its way to clusters.
struct Agglomeration {
    clusters: Vec<Option<Cluster>>,
    proposals: BinaryHeap<Proposal>,
}

impl Agglomeration {
    fn new(members: &[Member], edges: &[Edge]) -> Self {
        let mut records: Vec<u32> = edges.iter().flat_map(|edge| [edge.a, edge.b]).collect();
        records.sort_unstable();
        records.dedup();
        let place = |record| records.binary_search(&record).expect("it is an edge's");
        let mut clusters: Vec<Cluster> =
            records.iter().map(|at| Cluster::of(*at, &members[*at as usize])).collect();
        for edge in edges {
            let (a, b) = (place(edge.a), place(edge.b));
            let link = match edge.bits {
                Some(bits) => {
                    let most = bits.clamp(-MOST_BITS, MOST_BITS);
                    Link { bits: most, whole: bits, pairs: 1, vetoed: false }
                }
                None => Link { pairs: 1, vetoed: true, ..Link::default() },
            };
            clusters[a].links.insert(b, link);
            clusters[b].links.insert(a, link);
        }
        let mut this = Self {
            clusters: clusters.into_iter().map(Some).collect(),
            proposals: BinaryHeap::new(),
        };
        for at in 0..this.clusters.len() {
            this.propose(at, |other| other > at);
        }
        this
    }

    /// Merges what is worth merging and returns the cluster numbers.
    fn run(mut self) -> Vec<(u32, u32)> {
        while let Some(proposal) = self.proposals.pop() {
            let (a, b) = proposal.clusters;
            let current = |at: usize, size| {
                self.clusters[at].as_ref().is_some_and(|c: &Cluster| c.records.len() == size)
            };
            if current(a, proposal.sizes.0) && current(b, proposal.sizes.1) {
                self.merge(a, b);
                self.propose(a, |_| true);
            }
        }
        let numbered = |cluster: &Cluster| {
            let label = *cluster.records.iter().min().expect("a cluster has a record");
            let others = cluster.records.iter().filter(move |record| **record != label);
            others.map(|record| (*record, label)).collect::<Vec<_>>()
        };
        self.clusters.iter().flatten().flat_map(numbered).collect()
    }

    /// Proposes every allowed merge of a cluster with those that `with` selects.
    fn propose(&mut self, at: usize, with: impl Fn(usize) -> bool) {
        let Some(cluster) = &self.clusters[at] else { return };
        for (other, link) in &cluster.links {
            let Some(rival) = self.clusters[*other].as_ref().filter(|_| with(*other)) else {
                continue;
            };
            let sizes = (cluster.records.len(), rival.records.len());
            let pairs = (sizes.0 * sizes.1) as f64;
            let absent = pairs - f64::from(link.pairs);
            let average = |bits: f64| (bits + ABSENT_BITS * absent) / pairs;
            let (bits, whole) = (average(link.bits), average(link.whole));
            if bits >= 0.0 && !link.vetoed && cluster.may_hold(rival) {
                let ranks = (cluster.rank.min(rival.rank), cluster.rank.max(rival.rank));
                self.proposals.push(Proposal { bits, whole, ranks, clusters: (at, *other), sizes });
            }
        }
    }

    /// Moves everything of `b` into `a`.
    fn merge(&mut self, a: usize, b: usize) {
        let gone = self.clusters[b].take().expect("the caller checked it");
        let mut into = self.clusters[a].take().expect("the caller checked it");
        into.links.remove(&b);
        for (other, link) in gone.links.into_iter().filter(|(other, _)| *other != a) {
            let sum = into.links.entry(other).or_default();
            sum.bits += link.bits;
            sum.whole += link.whole;
            sum.pairs += link.pairs;
            sum.vetoed |= link.vetoed;
            let sum = *sum;
            if let Some(rival) = &mut self.clusters[other] {
                rival.links.remove(&b);
                rival.links.insert(a, sum);
            }
        }
        into.records.extend(gone.records);
        into.rank = into.rank.min(gone.rank);
        into.agencies.extend(gone.agencies);
        for (mine, theirs) in into.strong_ids.iter_mut().zip(gone.strong_ids) {
            mine.extend(theirs);
        }
        self.clusters[a] = Some(into);
    }
}

impl Cluster {
    fn of(record: u32, member: &Member) -> Self {
        let ids = member.strong_ids.map(|id| if id == 0 { vec![] } else { vec![id] });
        Self {
            records: vec![record],
            rank: member.rank,
            agencies: member.sole_of.into_iter().collect(),
            strong_ids: ids,
            links: BTreeMap::new(),
        }
    }

    /// Returns whether one person could be in both clusters.
    fn may_hold(&self, other: &Self) -> bool {
        let twice = self.agencies.iter().any(|agency| other.agencies.contains(agency));
        let conflict = self.strong_ids.iter().zip(&other.strong_ids).any(|(mine, theirs)| {
            !mine.is_empty() && !theirs.is_empty() && !mine.iter().any(|id| theirs.contains(id))
        });
        !twice && !conflict
    }
}

#[cfg(test)]
mod tests;
