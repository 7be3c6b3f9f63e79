//! An agency in a sweep: whether it takes part, and why not.

use causeway_proto::{catalogue::SignalCode, sweep::Opened};

use super::progress::{Progress, Step};
use crate::federation::{Member, Problem};

/// An enrolled agency in this pass.
pub struct Taking<'a> {
    /// Who.
    pub member: &'a Member,
    /// What it brought when the sweep was opened; `None` when it could not.
    pub opened: Option<Opened>,
    /// Why it does not take part, or not any more.
    pub problem: Option<Problem>,
    /// Why nothing is heard of it at present. What it told stands, and may be out of date.
    pub silent: Option<Problem>,
    /// It brought more than it may in this sweep, and takes part again in the next one.
    pub barred: bool,
    /// What an operator should ask it about although it takes part.
    pub warnings: Vec<String>,
}

impl Taking<'_> {
    /// Returns whether what it holds is part of the result.
    pub fn is_in(&self) -> bool {
        self.problem.is_none()
    }

    /// Lets it drop out of the pass; the first reason stays.
    pub(super) fn drop_out(&mut self, progress: Progress<'_>, step: Step, problem: Problem) {
        if self.is_in() {
            progress.problem(step, &self.member.id, &problem);
            tracing::warn!(agency.id = %self.member.id, %problem, "goes on without a node");
            (self.problem, self.silent) = (Some(problem), None);
        }
    }

    /// Names something that an operator should ask about. It takes part all the same.
    pub(super) fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            tracing::warn!(agency.id = %self.member.id, warning, "something is odd about a node");
            self.warnings.push(warning);
        }
    }

    /// Names a contact that it sent and nobody is shown.
    pub(super) fn look_for_contact(&mut self) {
        let error = self.opened.as_ref().and_then(|opened| opened.no_contact.as_ref());
        if let Some(warning) =
            error.map(|error| format!("nobody is told whom to ring there: {error}"))
        {
            self.warn(warning);
        }
    }

    /// Returns whether an export of it is older than it should be.
    pub fn is_stale(&self) -> bool {
        let is_old = |opened: &Opened| opened.feeds.iter().any(|feed| feed.stale);
        self.silent.is_some() || self.opened.as_ref().is_some_and(is_old)
    }

    /// Returns whether its policy releases nothing of a code.
    pub fn withholds(&self, code: SignalCode) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.withheld.contains(&code))
    }

    /// Returns why nothing new comes from it at present, if that is so.
    pub fn trouble(&self) -> Option<&Problem> {
        self.problem.as_ref().or(self.silent.as_ref())
    }
}

/// Names everybody who spells names and addresses in an older way than another one: what is spelt in two ways links
/// nobody.
pub(super) fn look_for_spelling(agencies: &mut [Taking<'_>]) {
    let opened = agencies.iter().filter_map(|agency| agency.opened.as_ref());
    let newest = opened.map(|opened| opened.spelling).max().unwrap_or_default();
    for agency in agencies {
        let mine = agency.opened.as_ref().map_or(newest, |opened| opened.spelling);
        if mine < newest {
            agency.warn(format!(
                "it spells names, dates and addresses by version {mine} and others by version {newest}, so that \
                 links with it are missed: have it updated"
            ));
        }
    }
}
