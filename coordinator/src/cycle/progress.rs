//! Says how far a sweep is, to whoever watches.

use std::time::{Duration, Instant};

use causeway_proto::ids::AgencyId;

use crate::federation::Problem;

/// A step of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waiting for a node that has not answered yet: what is done is how many seconds at most.
    Wait,
    /// Opening the sweep at a node.
    Open,
    /// Streaming a node's tokens.
    Stream,
    /// Finding records that share a token.
    Group,
    /// Asking a node for comparisons.
    Compare,
    /// Putting persons together.
    Cluster,
    /// Asking a node who shares a home.
    Dwellings,
    /// Asking a node for signals.
    Signals,
    /// Scoring households and deciding who is told.
    Score,
    /// The sweep is over.
    Done,
}

impl Step {
    const ALL: [Self; 10] = [
        Self::Wait,
        Self::Open,
        Self::Stream,
        Self::Group,
        Self::Compare,
        Self::Cluster,
        Self::Dwellings,
        Self::Signals,
        Self::Score,
        Self::Done,
    ];

    /// Returns the step of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }

    /// Returns the name used in progress lines and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Open => "open",
            Self::Stream => "stream",
            Self::Group => "group",
            Self::Compare => "compare",
            Self::Cluster => "cluster",
            Self::Dwellings => "dwellings",
            Self::Signals => "signals",
            Self::Score => "score",
            Self::Done => "done",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// In which step.
    pub step: Step,
    /// At which node; `None` for steps that concern no single node.
    pub agency: Option<AgencyId>,
    /// How much is done.
    pub done: u64,
    /// Of how much; 0 while not known.
    pub total: u64,
    /// What went wrong with the node in words, if anything. The sweep goes on.
    pub problem: Option<String>,
}

/// Where events go. Must not block.
#[derive(Clone, Copy)]
pub struct Progress<'a>(pub &'a (dyn Fn(Event) + Sync));

impl Progress<'_> {
    /// Says how far a step is.
    pub fn step(&self, step: Step, agency: Option<&AgencyId>, done: u64, total: u64) {
        (self.0)(Event { step, agency: agency.cloned(), done, total, problem: None });
    }

    /// Says that a node has not answered yet, and for how long it is waited for at most.
    pub fn waits(&self, agency: &AgencyId, most: Duration) {
        self.step(Step::Wait, Some(agency), most.as_secs(), 0);
    }

    /// Says that a node drops out.
    pub fn problem(&self, step: Step, agency: &AgencyId, problem: &Problem) {
        let (agency, problem) = (Some(agency.clone()), Some(problem.to_string()));
        (self.0)(Event { step, agency, done: 0, total: 0, problem });
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<9}", self.step.as_str())?;
        if let Some(agency) = &self.agency {
            write!(f, " {agency:<24}")?;
        }
        match (&self.problem, self.total) {
            (Some(problem), _) => write!(f, " LEFT OUT: {problem}"),
            (None, _) if self.step == Step::Wait => {
                write!(f, " has not answered yet; for {} s at most", self.done)
            }
            (None, 0) => write!(f, " {}", self.done),
            (None, total) if total == self.done => write!(f, " {total}"),
            (None, total) => write!(f, " {} of {total}", self.done),
        }
    }
}

/// Estimates how long a step still takes, from how fast it has gone so far.
#[derive(Debug, Default)]
pub struct Pace(Option<Begun>);

/// A step under way: which, and how much of it was done when.
#[derive(Debug)]
struct Begun {
    step: Step,
    first: (u64, Instant),
    done: u64,
}

impl Pace {
    /// Takes note of an event at `now`. Returns the time left in its step; `None` where nothing is
    /// known yet, or nothing is left.
    pub fn left(&mut self, event: &Event, now: Instant) -> Option<Duration> {
        if event.agency.is_some() || event.total == 0 {
            return None;
        }
        let done = event.done;
        // A step that begins again counts from there.
        let begun = match &mut self.0 {
            Some(begun) if begun.step == event.step && begun.done <= done => begun,
            begun => begun.insert(Begun { step: event.step, first: (done, now), done }),
        };
        begun.done = done;
        let (first, began) = begun.first;
        let (did, left) = (done - first, event.total.saturating_sub(done));
        (did > 0 && left > 0).then(|| (now - began).mul_f64(left as f64 / did as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_goes_by_its_name() {
        assert!(Step::ALL.iter().all(|step| Step::named(step.as_str()) == Some(*step)));
        assert_eq!(Step::named("pause"), None);
    }

    #[test]
    fn what_is_left_takes_as_long_as_what_was_done() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let mut left = |step, done, seconds| {
            let event = Event { step, agency: None, done, total: 100, problem: None };
            pace.left(&event, began + Duration::from_secs(seconds))
        };
        assert_eq!(left(Step::Group, 10, 5), None);
        assert_eq!(left(Step::Group, 40, 11), Some(Duration::from_secs(12)));
        assert_eq!(left(Step::Group, 100, 23), None, "it is over");
        assert_eq!(left(Step::Compare, 50, 30), None, "another step");
        assert_eq!(left(Step::Compare, 75, 40), Some(Duration::from_secs(10)));
    }
}
