//! Whether a rule applies, and whether it could if more were known.
//!
//! Each form of [`Condition`] is read once, here, for two questions: does it hold whatever else
//! there may be, and could it hold. When nothing is missing the two have one answer, and that is
//! the score; when an agency is missing they bound it.

use causeway_proto::{catalogue::SignalCode, day::Day};

use super::{
    event::{Event, Pool, owner},
    model::{AfterClosed, Condition, Doubled, Model, Of, Unfollowed},
    weigh::Weights,
};

/// What a condition is judged by.
pub(super) struct Facts<'a> {
    pub(super) model: &'a Model,
    pub(super) pool: &'a Pool<'a>,
    pub(super) weights: &'a Weights,
    /// Whether all that is recorded under a code is told.
    pub(super) is_told: &'a dyn Fn(SignalCode) -> bool,
    /// Whether there may be signals of a code beyond those in the pool.
    pub(super) may_have_more: &'a dyn Fn(SignalCode) -> bool,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outlook {
    /// It does, whatever else there may be.
    pub(super) certain: bool,
    /// It does, or would with some of what there may be.
    pub(super) possible: bool,
}

impl Facts<'_> {
    /// Judges a condition.
    pub(super) fn judge(&self, when: &Condition) -> Outlook {
        match when {
            Condition::All(parts) => parts.iter().map(|part| self.judge(part)).fold(
                Outlook { certain: true, possible: true },
                |all, part| Outlook {
                    certain: all.certain && part.certain,
                    possible: all.possible && part.possible,
                },
            ),
            Condition::Any(parts) => parts.iter().map(|part| self.judge(part)).fold(
                Outlook { certain: false, possible: false },
                |any, part| Outlook {
                    certain: any.certain || part.certain,
                    possible: any.possible || part.possible,
                },
            ),
            Condition::Count(count) => {
                let began = |code| self.pool.count(code, count.within_days);
                let known: usize = self.known(&count.of).map(began).sum();
                self.at_least(known >= count.at_least, &count.of)
            }
            Condition::Open(of) => {
                self.at_least(self.known(of).any(|code| self.pool.is_open(code)), of)
            }
            Condition::Recent(recent) => {
                let is_recent = |code| self.pool.is_recent(code, recent.within_days);
                self.at_least(self.known(&recent.of).any(is_recent), &recent.of)
            }
            Condition::DistinctRecent(count) => {
                let is_recent = |code: &SignalCode| self.pool.is_recent(*code, count.within_days);
                let known = self.known(&count.of).filter(is_recent).count();
                let more = self.unknown(&count.of).filter(|code| !is_recent(code)).count();
                Outlook {
                    certain: known >= count.at_least,
                    possible: known + more >= count.at_least,
                }
            }
            Condition::Doubled(doubled) => Outlook {
                certain: (doubled.first_of.iter())
                    .any(|code| self.has_doubled(doubled, *code) && !(self.may_have_more)(*code)),
                possible: (doubled.first_of.iter())
                    .any(|code| self.has_doubled(doubled, *code) || (self.may_have_more)(*code)),
            },
            Condition::Unfollowed(unfollowed) => self.is_unfollowed(unfollowed),
            Condition::AfterClosed(after) => self.is_after_closed(after),
            Condition::ScoredDomain(domains) => {
                let known = domains.iter().any(|domain| self.weights.sum(*domain) > 0.0);
                let more = || {
                    let is_of = |code| domains.contains(&self.model.signal(code).domain);
                    self.all_unknown().any(|code| code.is_harm() && is_of(code))
                };
                Outlook { certain: known, possible: known || more() }
            }
        }
    }

    /// Returns whether more of what a condition asks for can only help it.
    pub(super) fn is_only_helped(when: &Condition) -> bool {
        match when {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().all(Self::is_only_helped),
            Condition::Count(_)
            | Condition::Open(_)
            | Condition::Recent(_)
            | Condition::DistinctRecent(_)
            | Condition::ScoredDomain(_) => true,
            Condition::Doubled(_) | Condition::Unfollowed(_) | Condition::AfterClosed(_) => false,
        }
    }

    /// Returns the signal that a rule is about, for the rules that are about one.
    pub(super) fn signal(&self, when: &Condition) -> Option<SignalCode> {
        match when {
            Condition::Doubled(doubled) => {
                doubled.first_of.iter().copied().find(|code| self.has_doubled(doubled, *code))
            }
            Condition::Unfollowed(unfollowed) => Some(unfollowed.of),
            _ => None,
        }
    }

    /// Returns the latest day on which something began that makes a rule apply. What is merely
    /// open has no say.
    pub(super) fn since(&self, when: &Condition) -> Option<Day> {
        let latest = |of: &Of| {
            let of_code = |code| self.pool.of(code).last().map(|event| event.start);
            self.known(of).filter_map(of_code).max()
        };
        match when {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().filter_map(|part| self.since(part)).max()
            }
            Condition::Count(count) | Condition::DistinctRecent(count) => latest(&count.of),
            Condition::Recent(recent) => latest(&recent.of),
            Condition::Open(_) | Condition::ScoredDomain(_) => None,
            Condition::Doubled(_) => {
                self.pool.of(self.signal(when)?).last().map(|event| event.start)
            }
            Condition::Unfollowed(unfollowed) => {
                self.unfollowed(unfollowed).map(|event| event.start).max()
            }
            Condition::AfterClosed(after) => self
                .pool
                .events()
                .iter()
                .filter(|e| self.is_new_concern(after, e))
                .map(|e| e.start)
                .max(),
        }
    }

    /// Returns the codes among some that the pool has events of.
    fn known<'a>(&'a self, of: &'a Of) -> impl Iterator<Item = SignalCode> + 'a {
        self.pool.codes().filter(|code| of.includes(*code, self.model.signal(*code).domain))
    }

    /// Returns the codes among some of which there may be more events.
    fn unknown<'a>(&'a self, of: &'a Of) -> impl Iterator<Item = SignalCode> + 'a {
        self.all_unknown().filter(|code| of.includes(*code, self.model.signal(*code).domain))
    }

    fn all_unknown(&self) -> impl Iterator<Item = SignalCode> {
        SignalCode::all().filter(|code| (self.may_have_more)(*code))
    }

    /// Judges something that more signals can only help.
    fn at_least(&self, known: bool, of: &Of) -> Outlook {
        Outlook { certain: known, possible: known || self.unknown(of).next().is_some() }
    }

    fn has_doubled(&self, doubled: &Doubled, code: SignalCode) -> bool {
        let last = self.pool.count(code, doubled.window_days);
        let before = self.pool.count(code, 2 * doubled.window_days) - last;
        last >= doubled.at_least && last >= 2 * before.max(1)
    }

    fn unfollowed<'a>(&'a self, rule: &'a Unfollowed) -> impl Iterator<Item = &'a &'a Event> {
        let asked_about = rule.after_days..=rule.within_days;
        self.pool.of(rule.of).iter().filter(move |event| {
            asked_about.contains(&event.age(self.pool.as_at))
                && !self.pool.of(rule.by).iter().any(|follow_up| follow_up.start >= event.start)
        })
    }

    /// A follow-up that is not known would end it, so it is certain only where the follow-ups are
    /// known.
    fn is_unfollowed(&self, rule: &Unfollowed) -> Outlook {
        let is_told = !rule.needs_fresh || (self.is_told)(rule.by);
        let known = self.unfollowed(rule).next().is_some();
        Outlook {
            certain: is_told && known && !(self.may_have_more)(rule.by),
            possible: is_told && (known || (self.may_have_more)(rule.of)),
        }
    }

    /// A later closure that is not known would end it, so it is certain only where closures are
    /// known.
    fn is_after_closed(&self, rule: &AfterClosed) -> Outlook {
        let as_at = self.pool.as_at;
        let closed: Vec<Day> = (self.known(&rule.of).flat_map(|code| self.pool.of(code)))
            .filter(|event| event.age(as_at) <= rule.within_days)
            .map(|event| event.start)
            .collect();
        let enough = closed.len() >= rule.at_least;
        let more_closed = self.unknown(&rule.of).next().is_some();

        let concern_since = |day: Day| {
            self.pool.events().iter().any(|e| e.start > day && self.is_new_concern(rule, e))
        };
        let last = closed.into_iter().max();
        let known = enough && last.is_some_and(concern_since);
        let more_concern = || self.all_unknown().any(|code| self.is_concern(rule, code));
        let first_that_counts = as_at.plus(-rule.within_days);
        Outlook {
            certain: known && !more_closed,
            possible: known
                || (enough && more_concern())
                || (more_closed && (more_concern() || concern_since(first_that_counts))),
        }
    }

    fn is_new_concern(&self, rule: &AfterClosed, event: &Event) -> bool {
        self.is_concern(rule, event.code)
    }

    fn is_concern(&self, rule: &AfterClosed, code: SignalCode) -> bool {
        code.is_harm()
            && self.model.signal(code).severity >= rule.then_severity
            && owner(code) != Some(rule.not_owner)
    }
}
