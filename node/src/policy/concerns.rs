//! What is amiss with a policy that can be followed, as at a day: what `check` shows and the log says.

use causeway_proto::day::Day;

use super::Policy;

/// Agreements that end within so many days are worth a word.
const SOON_DAYS: i32 = 30;

/// What the switch means, for whoever reads a log or a check.
const KILLED: &str = "[kill] local is set, so the node is stopped: it answers nobody elsewhere and passes \
                      nothing on; set it to false to go on";

/// What is amiss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// Whether the node takes part in no sweep because of it.
    pub is_fatal: bool,
    /// What it is, and what to do.
    pub message: String,
}

impl Policy {
    /// Returns what is amiss on a day, worst first.
    pub fn concerns(&self, today: Day) -> Vec<Concern> {
        let fatal = |message| Concern { is_fatal: true, message };
        let minor = |message| Concern { is_fatal: false, message };
        let mut concerns = Vec::new();
        if self.killed {
            concerns.push(fatal(KILLED.to_owned()));
        }
        if self.purposes.is_empty() {
            let message = "no purpose is answered for, so the node takes part in no sweep: add \
                           [purpose.NAME]";
            concerns.push(fatal(message.to_owned()));
        } else if self.in_force(today).purposes.is_empty() {
            let message = format!(
                "every agreement has ended by {today}, so the node takes part in no sweep: agree anew and set \
                 `expires`"
            );
            concerns.push(fatal(message));
        }
        for (purpose, expires) in &self.purposes {
            let Some(last) = expires.filter(|last| *last < today.plus(SOON_DAYS)) else { continue };
            let what = if last < today { "ended after" } else { "ends after" };
            let message =
                format!("[purpose.{purpose}] {what} {last}: agree anew and set `expires`");
            concerns.push(minor(message));
        }
        for place in &self.unfilled {
            concerns.push(minor(format!("{place} still says FILL IN")));
        }
        concerns
    }
}
