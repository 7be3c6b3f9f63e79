//! Settings for one node, read once at start-up from a TOML file.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use causeway_certs::{
    files::IdentityFiles,
    name::{Identity, Role},
};
use causeway_proto::{catalogue::AgencyKind, ids::AgencyId, sweep::Contact};
use serde::Deserialize;

/// Everything that IT decides about a node.
///
/// Secrets are named by path and never written inline, so this struct is safe to log. Paths that
/// are not absolute begin at the folder of the file itself.
///
/// ```
/// # use causeway_node::config::NodeConfig;
/// let config = NodeConfig::from_toml(r#"
///     deployment = "pilot"
///     id = "housing"
///     kind = "housing"
///     coordinator = "main"
///     policy = "policy.toml"
///     feeds = ["feeds/tenancies.toml", "feeds/complaints.toml"]
///
///     [identity]
///     certificate = "identity/certificate.pem"
///     key = "identity/key.pem"
///     ca = "identity/ca.pem"
///     crl = "identity/crl.pem"
///
///     [keys]
///     folder = "keys"
///
///     [store]
///     path = "data/node.db"
///
///     [[intake]]
///     folder = "/srv/exports"
///     every_seconds = 5
///     marker = ".done"
///
///     [serve]
///     listen = "0.0.0.0:7443"
///     coordinator_address = "coordinator.pilot.example:7440"
/// "#)?;
/// assert_eq!(config.identity().dns_name(), "housing.node.pilot.causeway");
/// # Ok::<_, anyhow::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The federation this node belongs to.
    pub deployment: AgencyId,
    /// This agency's short name in it.
    pub id: AgencyId,
    /// What the agency is for.
    pub kind: AgencyKind,
    /// The one coordinator that this node answers to.
    pub coordinator: AgencyId,
    /// The agency's policy file: what may be said, to whom, and why.
    pub policy: PathBuf,
    /// One mapping file for each export.
    pub feeds: Vec<PathBuf>,
    /// Certificate and key of this node, and whom it believes.
    #[serde(rename = "identity")]
    pub identity_files: IdentityFiles,
    /// Where the linkage keys are kept.
    pub keys: KeysConfig,
    /// Where records are kept.
    pub store: StoreConfig,
    /// Folders that exports land in.
    #[serde(default)]
    pub intake: Vec<IntakeConfig>,
    /// How the coordinator reaches this node.
    pub serve: ServeConfig,
    /// Whom a colleague in another agency can ring; disclosed only where the policy says so.
    #[serde(default)]
    pub contact: Option<ContactConfig>,
}

/// Where the linkage keys are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// A folder that only this user may read, on an encrypted volume.
    pub folder: PathBuf,
}

/// Where records are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The database file. Its folder should be on an encrypted volume.
    pub path: PathBuf,
}

/// A folder that exports land in. Each mapping says in `files` what its exports are called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntakeConfig {
    /// The folder. What was dealt with is moved to `done` and `refused` in it, where this user may.
    pub folder: PathBuf,
    /// How often to look, in seconds. A file counts as whole once it looks the same twice.
    #[serde(default = "default_every_seconds")]
    pub every_seconds: f64,
    /// What ends the name of the empty file that says that a file is whole: `tenants.csv.done`.
    /// Where it is set, nothing else counts.
    #[serde(default)]
    pub marker: Option<String>,
    /// Whether what was dealt with stays where it is, as in a folder that others read, too. It is
    /// then remembered by its content, as it is in a folder that this user may not change.
    #[serde(default)]
    pub keep: bool,
}

impl IntakeConfig {
    /// Returns how often to look.
    pub fn every(&self) -> Duration {
        Duration::from_secs_f64(self.every_seconds)
    }
}

/// How node and coordinator reach each other. Either the coordinator dials `listen`, or the node dials
/// out and is called on that connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeConfig {
    /// The address to answer on.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Host and port of the coordinator. Reviews go there; and the node dials it where the firewall
    /// lets nothing in.
    #[serde(default)]
    pub coordinator_address: Option<String>,
    /// Whether to keep a connection to the coordinator up and be called on it. Where there is no
    /// `listen`, always.
    #[serde(default)]
    pub dial_out: bool,
    /// Operator certificates that may read this agency's inbox.
    #[serde(default)]
    pub operators: Vec<AgencyId>,
    /// Whether to tell any peer what services there are. Useful to integrators, and to nobody in
    /// daily work.
    #[serde(default)]
    pub reflection: bool,
    /// Whether sweeps may speak of any day, and people may be counted by kinds in every sweep. Only for
    /// trials with made-up data: a coordinator that chooses the day finds dates of birth by trial.
    #[serde(default)]
    pub any_day: bool,
    /// How long calls in progress may take to end when the node is stopped, in seconds.
    #[serde(default = "default_drain_seconds")]
    pub drain_seconds: u64,
}

/// A desk, never a person.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactConfig {
    /// Such as `Tenancy support team`.
    pub service: String,
    /// Such as `duty officer`.
    pub role: String,
    /// Such as a switchboard number.
    #[serde(default)]
    pub phone: String,
}

impl NodeConfig {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!("could not read {}: `causeway-node init` makes one", path.display())
        })?;
        let mut config = Self::from_toml(&text)
            .with_context(|| format!("in settings file {}", path.display()))?;
        config.begin_paths_at(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// Parses and checks `text`.
    pub fn from_toml(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        ensure!(
            config.serve.listen.is_some() || config.serve.coordinator_address.is_some(),
            "[serve] needs `listen` (the coordinator dials) or `coordinator_address` (the node does)"
        );
        ensure!(
            !config.serve.dial_out || config.serve.coordinator_address.is_some(),
            "[serve] dial_out needs the `coordinator_address` to dial"
        );
        if let Some(contact) = &config.contact {
            Contact::from(contact.clone())
                .check()
                .context("[contact] goes to colleagues elsewhere, who could not be shown it")?;
        }
        if let Some(address) = &config.serve.coordinator_address {
            host_and_port(address)
                .map_err(|why| anyhow::anyhow!("[serve] coordinator_address: {why}"))?;
        }
        for intake in &config.intake {
            ensure!(
                (0.01..=86_400.0).contains(&intake.every_seconds),
                "[[intake]] every_seconds should be between 0.01 and 86400; 5 suits most"
            );
            ensure!(
                intake.marker.as_deref().is_none_or(|marker| !marker.is_empty()),
                "[[intake]] marker should be the end of a name, such as `.done`"
            );
        }
        Ok(config)
    }

    /// Returns who this node is.
    pub fn identity(&self) -> Identity {
        Identity::new(self.deployment.clone(), Role::Node, self.id.clone())
    }

    /// Returns whom it answers to.
    pub fn coordinator(&self) -> Identity {
        Identity::new(self.deployment.clone(), Role::Coordinator, self.coordinator.clone())
    }

    /// Returns the address to dial out to, if the node is to be called on its own connection.
    pub fn dials_out(&self) -> Option<&str> {
        let wanted = self.serve.dial_out || self.serve.listen.is_none();
        self.serve.coordinator_address.as_deref().filter(|_| wanted)
    }

    fn begin_paths_at(&mut self, folder: &Path) {
        let Self { policy, feeds, intake, identity_files: files, keys, store, .. } = self;
        let paths = [
            policy,
            &mut files.certificate,
            &mut files.key,
            &mut files.ca,
            &mut files.crl,
            &mut keys.folder,
            &mut store.path,
        ];
        let folders = intake.iter_mut().map(|intake| &mut intake.folder);
        for path in paths.into_iter().chain(feeds).chain(folders) {
            *path = folder.join(&*path);
        }
    }
}

/// Checks that an address names host and port.
pub fn host_and_port(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    match parts {
        Some((host, Ok(1..))) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("`{text}` lacks host or port: write it as coordinator.example:7440")),
    }
}

impl From<ContactConfig> for Contact {
    fn from(config: ContactConfig) -> Self {
        Self { service: config.service, role: config.role, phone: config.phone }
    }
}

/// What `[serve] any_day` means, for whoever reads a log or a check.
pub const ANY_DAY: &str = "whoever runs the coordinator can find dates of birth here: take it out \
                           unless all data are made up";

fn default_every_seconds() -> f64 {
    5.0
}

fn default_drain_seconds() -> u64 {
    20
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "
        id = 'housing'
        kind = 'housing'
        coordinator = 'main'
        policy = 'policy.toml'
        feeds = []
        keys = { folder = 'keys' }
        store = { path = 'node.db' }
        identity = { certificate = 'c', key = 'k', ca = 'a', crl = 'r' }
    ";

    #[test]
    fn a_misspelt_setting_is_an_error_and_not_a_default() {
        let text =
            format!("deployment = 'pilot'\n{REST}\n[serve]\nlisten = '127.0.0.1:1'\nlisen = 1");
        let error = NodeConfig::from_toml(&text).unwrap_err();
        assert!(error.to_string().contains("lisen"), "{error}");
    }

    #[test]
    fn any_day_is_for_those_who_ask_for_it_and_is_warned_about() {
        let text = format!("deployment = 'pilot'\n{REST}\n[serve]\nlisten = '127.0.0.1:1'\n");
        let careful = NodeConfig::from_toml(&text).unwrap();
        assert!(!careful.serve.any_day);
        let trial = NodeConfig::from_toml(&(text + "any_day = true\n")).unwrap();
        assert_eq!(crate::doctor::any_day(&careful), None);
        let warned = crate::doctor::any_day(&trial).unwrap();
        assert_eq!(warned.state, crate::doctor::State::Warning);
        assert!(warned.message.contains("dates of birth"), "{}", warned.message);
    }

    #[test]
    fn a_contact_that_others_would_not_take_is_refused_at_home() {
        let text = |phone: &str| {
            format!(
                "deployment = 'pilot'\n{REST}\n[serve]\nlisten = '127.0.0.1:1'\n[contact]\n\
                 service = 'Duty desk'\nrole = 'duty officer'\nphone = '{phone}'"
            )
        };
        assert!(NodeConfig::from_toml(&text("01632 960001")).is_ok());
        let error = NodeConfig::from_toml(&text(&"1".repeat(201))).unwrap_err();
        assert!(format!("{error:#}").contains("`contact.phone`"), "{error:#}");
    }

    #[test]
    fn an_address_has_a_port() {
        for good in ["127.0.0.1:7440", "coordinator.example:7440", "[::1]:7440"] {
            assert!(host_and_port(good).is_ok(), "{good}");
        }
        for bad in ["127.0.0.1", "coordinator.example", ":7440", "a:", "a:0", "a:70000"] {
            let refused = host_and_port(bad).unwrap_err();
            assert!(refused.contains("coordinator.example:7440"), "{refused}");
        }
        let text = format!("deployment = 'pilot'\n{REST}\n[serve]\ncoordinator_address = 'a'\n");
        let error = NodeConfig::from_toml(&text).unwrap_err();
        assert!(error.to_string().contains("coordinator_address: `a` lacks"), "{error}");
    }

    #[test]
    fn a_node_that_nobody_can_reach_is_refused() {
        let text = format!("deployment = 'pilot'\n{REST}\n[serve]\n");
        let error = NodeConfig::from_toml(&text).unwrap_err();
        assert!(error.to_string().contains("`listen`"), "{error}");
    }
}
