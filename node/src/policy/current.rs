//! The policy as its file says now: whoever changes the file need not restart the node.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use causeway_proto::{catalogue::AgencyKind, ids::AgencyId};

use super::{Policy, PolicyError};

/// A policy that follows its file.
///
/// Always what the file says when it is asked for; as long as the file cannot be followed there is no
/// policy, and nothing is released.
#[derive(Debug)]
pub struct Current {
    file: Option<File>,
    read: Mutex<Read>,
}

/// Which file, and whose.
#[derive(Debug)]
struct File {
    path: PathBuf,
    id: AgencyId,
    kind: AgencyKind,
}

/// What was read last.
#[derive(Debug)]
struct Read {
    /// `None` if the file could not be read.
    text: Option<String>,
    policy: Option<Arc<Policy>>,
}

impl Current {
    /// Reads the policy of an agency of this kind, which has to be one that can be followed.
    pub fn load(path: &Path, id: &AgencyId, kind: AgencyKind) -> Result<Self, PolicyError> {
        let file = File { path: path.to_owned(), id: id.clone(), kind };
        let text = file.read()?;
        let policy = Some(Arc::new(file.parse(&text)?));
        Ok(Self { file: Some(file), read: Mutex::new(Read { text: Some(text), policy }) })
    }

    /// Returns the policy, or `None` if the file cannot be followed now. Says in the log when that, or
    /// what it says, has changed.
    pub fn now(&self) -> Option<Arc<Policy>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &self.file else { return read.policy.clone() };
        // A few kilobytes: to read them is cheaper than to be sure that they did not change.
        let text = file.read();
        if text.as_ref().ok() == read.text.as_ref() {
            return read.policy.clone();
        }
        let (text, policy) = match text {
            Ok(text) => {
                let policy = file.parse(&text);
                (Some(text), policy)
            }
            Err(error) => (None, Err(error)),
        };
        match &policy {
            Ok(policy) => tracing::info!(
                codes = policy.released_codes(),
                "the policy file has changed and is followed from now on"
            ),
            Err(error) => tracing::error!(
                error = error as &dyn std::error::Error,
                "the policy file cannot be followed, and nothing is released until it can: mend it; \
                 the node need not be restarted"
            ),
        }
        let policy = policy.ok().map(Arc::new);
        *read = Read { text, policy: policy.clone() };
        policy
    }

    /// Returns whether the agency has stopped its node.
    pub fn is_killed(&self) -> bool {
        self.now().is_some_and(|policy| policy.killed)
    }
}

impl From<Policy> for Current {
    /// A policy that stays as it is.
    fn from(policy: Policy) -> Self {
        let policy = Some(Arc::new(policy));
        Self { file: None, read: Mutex::new(Read { text: None, policy }) }
    }
}

impl File {
    fn read(&self) -> Result<String, PolicyError> {
        fs::read_to_string(&self.path)
            .map_err(|source| PolicyError::Read { path: self.path.clone(), source })
    }

    fn parse(&self, text: &str) -> Result<Policy, PolicyError> {
        Policy::from_text(&self.path, text, &self.id, self.kind)
    }
}
