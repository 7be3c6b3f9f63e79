//! What the agency's policy allows when a question is answered, and not when the sweep was opened.

use causeway_proto::{catalogue::Purpose, day::Day, refusal};
use tonic::{Code, Status};

use super::Node;
use crate::policy::Policy;

impl Node {
    /// Returns what policy allows now in a sweep as at a day. Without a file that can be followed, or with
    /// agreements that have ended, nothing.
    pub(super) fn policy_for(&self, as_at: Day) -> Result<Policy, Status> {
        let Some(policy) = self.policy.now() else {
            let message = "the node's policy file cannot be followed, so it tells nothing: its operator \
                           finds the reason in its log";
            return Err(refusal::status(Code::FailedPrecondition, "POLICY_UNUSABLE", message));
        };
        Ok(policy.in_force(self.day_of_agreements(as_at)))
    }

    /// The same, with those of some purposes that it allows: there is one at least.
    pub(super) fn allowed(
        &self,
        purposes: &[Purpose],
        as_at: Day,
    ) -> Result<(Policy, Vec<Purpose>), Status> {
        let policy = self.policy_for(as_at)?;
        let purposes = policy.allowed(purposes);
        if purposes.is_empty() {
            let message = "the node's policy allows none of these purposes on that day";
            return Err(refusal::status(Code::PermissionDenied, "DENIED_POLICY", message));
        }
        Ok((policy, purposes))
    }
}
