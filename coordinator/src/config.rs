//! Settings for one coordinator, read once at start-up from a TOML file.

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
use causeway_proto::{
    catalogue::{AgencyKind, Purpose},
    ids::AgencyId,
};
use serde::Deserialize;

/// A whole settings file with comments, for somebody who has only the program.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Everything that the operator decides about a coordinator.
///
/// Secrets are named by path and never written inline, so this struct is safe to log. Paths that
/// are not absolute begin at the folder of the file itself.
///
/// ```
/// # use causeway_coordinator::config::CoordinatorConfig;
/// let config = CoordinatorConfig::from_toml(r#"
///     deployment = "pilot"
///     id = "main"
///     purposes = ["adult_safeguarding", "child_safeguarding", "asb_hate"]
///
///     [identity]
///     certificate = "identity/certificate.pem"
///     key = "identity/key.pem"
///     ca = "identity/ca.pem"
///     crl = "identity/crl.pem"
///
///     [ledger]
///     path = "data/ledger.db"
///
///     [serve]
///     listen = "0.0.0.0:7440"
///
///     ## A sweep is open all day and follows what changes; a new one begins at night.
///     [schedule]
///     daily_at = "02:30"
///
///     ## A model file needs the signatures of two of these; the built-in model needs none.
///     ## model = "model.toml"
///     ## [[model_signer]]
///     ## name = "head of safeguarding"
///     ## public_key = "signers/safeguarding.pem"
///
///     ## A node that the coordinator dials, and one that dials in.
///     [[node]]
///     id = "housing"
///     kind = "housing"
///     address = "causeway.housing.example:7443"
///
///     [[node]]
///     id = "police"
///     kind = "police"
/// "#)?;
/// assert_eq!(config.nodes[1].address, None);
/// # Ok::<_, anyhow::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoordinatorConfig {
    /// The federation.
    pub deployment: AgencyId,
    /// This coordinator's short name in it.
    pub id: AgencyId,
    /// Why it asks. Nodes answer for those that their own policies allow.
    pub purposes: Vec<Purpose>,
    /// The scoring model file; the built-in model where it is left out. Two of the
    /// [model signers](Self::model_signers) have to have signed it off.
    #[serde(default)]
    pub model: Option<PathBuf>,
    /// A model file that every sweep tries beside the one in use, without telling anybody; signed off
    /// like it.
    #[serde(default)]
    pub shadow_model: Option<PathBuf>,
    /// Who may sign model files off.
    #[serde(default, rename = "model_signer")]
    pub model_signers: Vec<ModelSignerConfig>,
    /// Certificate and key of this coordinator, and whom it believes.
    #[serde(rename = "identity")]
    pub identity_files: IdentityFiles,
    /// Where decisions and deliveries are kept.
    pub ledger: LedgerConfig,
    /// How nodes and operators reach it.
    pub serve: ServeConfig,
    /// Patience and limits of a sweep.
    #[serde(default)]
    pub sweep: SweepConfig,
    /// When `serve` sweeps by itself; left out, it sweeps only when it is asked to.
    #[serde(default)]
    pub schedule: Option<ScheduleConfig>,
    /// The enrolled nodes.
    #[serde(default, rename = "node")]
    pub nodes: Vec<MemberConfig>,
}

/// Somebody who may sign model files off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSignerConfig {
    /// Their role.
    pub name: String,
    /// Their public key, in PEM form.
    pub public_key: PathBuf,
}

/// Where decisions and deliveries are kept: one file, or a PostgreSQL server that two coordinators
/// share.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// The SQLite file.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// A file that holds the `postgres://…` address, which may hold a password and so is readable
    /// by this user only.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
}

/// How nodes and operators reach the coordinator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeConfig {
    /// The address to answer on.
    pub listen: SocketAddr,
    /// A socket for commands on the same machine, which only this user can open.
    #[serde(default = "default_control")]
    pub control: PathBuf,
    /// Operator certificates that may ask and start sweeps.
    #[serde(default)]
    pub operators: Vec<AgencyId>,
    /// Whether to tell any peer what services there are.
    #[serde(default)]
    pub reflection: bool,
    /// How long calls in progress may take to end when the coordinator is stopped, in seconds.
    #[serde(default = "default_drain_seconds")]
    pub drain_seconds: u64,
}

/// Patience and limits of a sweep.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepConfig {
    /// How long one call to a node may take, in seconds.
    pub call_seconds: u64,
    /// How long to wait for a node that went away in the middle of a sweep, in seconds. After that
    /// the sweep goes on without it and says so.
    pub patience_seconds: u64,
    /// How often a node that was left out of an open sweep is asked to join again, in seconds.
    pub rejoin_seconds: u64,
    /// The most people that one node may bring. Bounds the memory of a sweep. A node that is followed may
    /// bring twice as many until the sweep is closed, changed ones and those who left among them; beyond
    /// that it is left out until the next.
    pub most_records: u64,
    /// How many candidate pairs are looked at however clear their match-keys make them, so that weights
    /// can be learnt; of very many pairs, more. Every look shows a little of two people.
    pub sample_pairs: usize,
    /// Lets `sweep --links-out` write this sweep's links, by handles, for measuring linkage with the
    /// nodes' help. Off in daily work.
    pub measure_links: bool,
    /// Keeps everything that a sweep receives and lets `sweep --dump-out` write it, for measuring what
    /// it gives away. Costs memory. Off in daily work.
    pub measure_dump: bool,
}

/// When `serve` begins a new sweep by itself. In between it follows what changes, so that scores move
/// with the data all day, and with time alone every night.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The time of day in UTC, such as `02:30`.
    pub daily_at: TimeOfDay,
}

/// A time of day in UTC, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeOfDay {
    minutes: u64,
}

impl TimeOfDay {
    /// Returns how long it is from a moment, in Unix milliseconds, to the next such time.
    pub fn from(self, now_ms: u64) -> Duration {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        let due = self.minutes * 60 * 1000;
        let wait = (due + DAY_MS - now_ms % DAY_MS) % DAY_MS;
        Duration::from_millis(if wait == 0 { DAY_MS } else { wait })
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(hours, minutes)| {
            Some((hours.parse::<u64>().ok()?, minutes.parse::<u64>().ok()?))
        });
        match parts {
            Some((hours @ 0..24, minutes @ 0..60)) => Ok(Self { minutes: 60 * hours + minutes }),
            _ => Err(format!("`{text}` is not a time of day: write it as `02:30`")),
        }
    }
}

/// One enrolled node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberConfig {
    /// Its short name.
    pub id: AgencyId,
    /// What the agency is for. A node that says otherwise is left out.
    pub kind: AgencyKind,
    /// Host and port to dial; left out for a node that dials in.
    #[serde(default)]
    pub address: Option<String>,
}

impl Default for SweepConfig {
    fn default() -> Self {
        Self {
            call_seconds: 120,
            patience_seconds: 60,
            rejoin_seconds: 30,
            most_records: 20_000_000,
            sample_pairs: 4096,
            measure_links: false,
            measure_dump: false,
        }
    }
}

impl SweepConfig {
    /// Returns how long one call to a node may take.
    pub fn call(&self) -> Duration {
        Duration::from_secs(self.call_seconds)
    }

    /// Returns how long to wait before a node that was left out is asked again.
    pub fn rejoin(&self) -> Duration {
        Duration::from_secs(self.rejoin_seconds)
    }

    /// Returns how long to wait for a node that went away.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_seconds)
    }
}

impl CoordinatorConfig {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("could not read settings file {}", path.display()))?;
        let mut config = Self::from_toml(&text)
            .with_context(|| format!("in settings file {}", path.display()))?;
        config.begin_paths_at(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// Parses and checks `text`.
    pub fn from_toml(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        ensure!(!config.purposes.is_empty(), "`purposes` needs at least one purpose");
        ensure!(
            config.ledger.path.is_some() != config.ledger.url_file.is_some(),
            "[ledger] needs either `path` (a file) or `url_file` (PostgreSQL)"
        );
        let mut ids: Vec<&AgencyId> = config.nodes.iter().map(|node| &node.id).collect();
        ids.sort();
        for pair in ids.windows(2) {
            ensure!(pair[0] != pair[1], "there are two [[node]] with the id `{}`", pair[0]);
        }
        ensure!(config.nodes.len() <= 4096, "more than 4096 nodes are not supported");
        Ok(config)
    }

    /// Returns who this coordinator is.
    pub fn identity(&self) -> Identity {
        Identity::new(self.deployment.clone(), Role::Coordinator, self.id.clone())
    }

    fn begin_paths_at(&mut self, folder: &Path) {
        let Self { model, shadow_model, identity_files: files, ledger, serve, .. } = self;
        let paths = [
            &mut files.certificate,
            &mut files.key,
            &mut files.ca,
            &mut files.crl,
            &mut serve.control,
        ];
        let keys = self.model_signers.iter_mut().map(|signer| &mut signer.public_key);
        let optional = [model, shadow_model, &mut ledger.path, &mut ledger.url_file];
        for path in paths.into_iter().chain(keys).chain(optional.into_iter().flatten()) {
            *path = folder.join(&*path);
        }
    }
}

fn default_control() -> PathBuf {
    "control.sock".into()
}

fn default_drain_seconds() -> u64 {
    20
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "
        deployment = 'pilot'
        id = 'main'
        purposes = ['asb_hate']
        identity = { certificate = 'c', key = 'k', ca = 'a', crl = 'r' }
        serve = { listen = '127.0.0.1:0' }
    ";

    #[test]
    fn the_example_is_a_whole_file_also_with_what_it_has_in_comments() {
        let config = CoordinatorConfig::from_toml(EXAMPLE).unwrap();
        assert_eq!(config.nodes.len(), 2);
        // Settings stand as `# name = `, and sections as `# [name]`.
        let setting = |line: &str| {
            let rest = line.strip_prefix("# ").unwrap_or_default();
            let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(name, _)| is_name(name))
        };
        let whole: Vec<&str> =
            EXAMPLE.lines().map(|l| if setting(l) { &l[2..] } else { l }).collect();
        let mut whole = whole.join("\n");
        // Sections come after what belongs to the file itself.
        let signer = whole.find("[[model_signer]]").unwrap();
        let (section, rest) = whole[signer..].split_once("\n\n").unwrap();
        whole = format!("{}{rest}\n{section}\n", &whole[..signer]);
        let config = CoordinatorConfig::from_toml(&whole).unwrap();
        assert!(config.schedule.is_some() && config.model.is_some());
        assert_eq!((config.model_signers.len(), config.serve.operators.len()), (1, 1));
    }

    #[test]
    fn a_daily_time_comes_again_after_a_day() {
        let at = TimeOfDay::try_from("02:30".to_owned()).unwrap();
        let hour = 3_600_000;
        assert_eq!(at.from(0), Duration::from_secs(9000));
        assert_eq!(at.from(5 * hour / 2), Duration::from_secs(86_400));
        assert_eq!(at.from(3 * hour), Duration::from_secs(86_400 - 1800));
        assert!(TimeOfDay::try_from("24:00".to_owned()).is_err());
    }

    #[test]
    fn two_nodes_of_one_name_and_two_ledgers_are_refused() {
        let node = "[[node]]\nid = 'housing'\nkind = 'housing'\n";
        let text = format!("{REST}\nledger = {{ path = 'l.db' }}\n{node}{node}");
        let refused = CoordinatorConfig::from_toml(&text).unwrap_err().to_string();
        assert!(refused.contains("two [[node]]"), "{refused}");
        let text = format!("{REST}\nledger = {{ path = 'l.db', url_file = 'pg' }}");
        let refused = CoordinatorConfig::from_toml(&text).unwrap_err().to_string();
        assert!(refused.contains("either `path`"), "{refused}");
    }
}
