//! A whole federation in one folder: CA, nodes, coordinator, exports.

pub mod process;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use causeway_certs::{
    ca::Ca,
    files::IdentityFiles,
    name::{Identity, Role},
};
use causeway_node::{
    config::NodeConfig,
    tokenise::{chain::EpochKey, keyring::Keyring},
};
use causeway_proto::{catalogue::AgencyKind, day::Day, ids::AgencyId};
use serde_json::Value;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use self::process::{Agent, Launcher, Running, Watched};
use crate::ports;

/// The federation's short name.
const DEPLOYMENT: &str = "town";
/// The coordinator's short name.
const COORDINATOR: &str = "main";

/// What a new town's agency brings.
#[derive(Clone, Debug)]
pub struct Agency {
    /// Its short name.
    pub id: AgencyId,
    /// What it is for.
    pub kind: AgencyKind,
    /// Its exports, people before events.
    pub feeds: Vec<FeedFile>,
    /// Its policy file.
    pub policy: String,
    /// Whether it dials out instead of being dialled.
    pub dials_out: bool,
}

/// One export and the mapping that reads it.
#[derive(Clone, Debug)]
pub struct FeedFile {
    /// The feed's id.
    pub id: String,
    /// The mapping file.
    pub mapping: PathBuf,
    /// The export.
    pub file: PathBuf,
}

/// How a town is made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its agencies.
    pub agencies: Vec<Agency>,
    /// The day of the exports.
    pub as_at: Day,
    /// Lets the coordinator write links by handles, for measuring.
    pub measure_links: bool,
    /// Lets it write everything that a sweep receives, for measuring.
    pub measure_dump: bool,
    /// Has it look at every candidate pair, however clear.
    pub look_at_all: bool,
}

/// A federation in a folder.
pub struct Town {
    folder: PathBuf,
    launcher: Launcher,
    plan: Plan,
    ca: Ca,
    nodes: Vec<Node>,
    coordinator: Option<Running>,
    coordinator_address: String,
}

/// One agency's node.
pub struct Node {
    /// What it brings.
    pub agency: Agency,
    /// Its folder.
    pub folder: PathBuf,
    /// Where it answers, while it does.
    pub address: Option<String>,
    running: Option<Running>,
}

impl Town {
    /// Makes a federation in an empty folder: everybody has certificates and the linkage key.
    pub fn make(folder: &Path, launcher: Launcher, plan: Plan) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let deployment: AgencyId = DEPLOYMENT.parse()?;
        let now = OffsetDateTime::now_utc();
        let ca = Ca::init(folder.join("ca"), &deployment, now)?;
        ca.crl(causeway_certs::ca::CRL_DAYS, now)?;
        // Nobody else is told the port before the coordinator takes it.
        let coordinator_address = format!("127.0.0.1:{}", ports::free()?);
        let key = random_key()?;
        let mut nodes = Vec::new();
        for agency in &plan.agencies {
            let home = folder.join(agency.id.as_str());
            fs::create_dir_all(home.join("keys"))?;
            fs::create_dir_all(home.join("data"))?;
            private(&home.join("keys"))?;
            private(&home.join("data"))?;
            let identity = Identity::new(deployment.clone(), Role::Node, agency.id.clone());
            issue(&ca, &home, &identity)?;
            let keyring = Keyring::new(home.join("keys"), deployment.clone());
            keyring.init()?;
            keyring.put_epoch(&EpochKey { epoch: 1, roster_hash: [0; 32], key: key.clone() })?;
            fs::write(home.join("policy.toml"), &agency.policy)?;
            fs::write(home.join("node.toml"), node_toml(agency, &coordinator_address))?;
            nodes.push(Node { agency: agency.clone(), folder: home, address: None, running: None });
        }
        let home = folder.join("coordinator");
        fs::create_dir_all(&home)?;
        let identity = Identity::new(deployment, Role::Coordinator, COORDINATOR.parse()?);
        issue(&ca, &home, &identity)?;
        let folder = folder.to_owned();
        Ok(Self { folder, launcher, plan, ca, nodes, coordinator: None, coordinator_address })
    }

    /// Takes in every agency's exports. Returns the receipts, by agency and feed.
    pub fn ingest(&self) -> anyhow::Result<Vec<(AgencyId, Value)>> {
        let mut receipts = Vec::new();
        for node in &self.nodes {
            for feed in &node.agency.feeds {
                let receipt = self.ingest_file(&node.agency.id, &feed.id, &feed.file)?;
                receipts.push((node.agency.id.clone(), receipt));
            }
        }
        Ok(receipts)
    }

    /// Lets another day's exports come in from now on.
    pub fn set_day(&mut self, as_at: Day) {
        self.plan.as_at = as_at;
    }

    /// Takes in one file at one agency.
    pub fn ingest_file(&self, agency: &AgencyId, feed: &str, file: &Path) -> anyhow::Result<Value> {
        let (as_at, file) = (self.plan.as_at.to_string(), file.display().to_string());
        let args = ["ingest", feed, &file, "--as-at", &as_at];
        let (receipt, _) = self.launcher.json(Agent::Node, &self.node_config(agency), &args)?;
        Ok(receipt)
    }

    /// Starts every node, and writes the coordinator's settings with their addresses.
    pub fn start_nodes(&mut self) -> anyhow::Result<()> {
        for at in 0..self.nodes.len() {
            self.start_node(at)?;
        }
        self.write_coordinator_settings()
    }

    /// Starts one node by its place.
    pub fn start_node(&mut self, at: usize) -> anyhow::Result<()> {
        let node = &mut self.nodes[at];
        let config = node.folder.join("node.toml");
        let (running, address) = self.launcher.serve(Agent::Node, &config, &node.folder)?;
        (node.running, node.address) = (Some(running), address);
        Ok(())
    }

    /// Writes the coordinator's settings for the nodes as they are now.
    pub fn write_coordinator_settings(&self) -> anyhow::Result<()> {
        let Plan { measure_links, measure_dump, look_at_all, .. } = &self.plan;
        let sample = if *look_at_all { "sample_pairs = 1_000_000_000\n" } else { "" };
        let mut text = format!(
            "deployment = \"{DEPLOYMENT}\"\nid = \"{COORDINATOR}\"\n\
             purposes = [\"adult_safeguarding\", \"child_safeguarding\", \"asb_hate\"]\n\n\
             [identity]\n{IDENTITY}\n[ledger]\npath = \"ledger.db\"\n\n\
             [serve]\nlisten = \"{}\"\noperators = [\"console\"]\n\n\
             [sweep]\nmeasure_links = {measure_links}\nmeasure_dump = {measure_dump}\n{sample}",
            self.coordinator_address
        );
        for node in &self.nodes {
            let Agency { id, kind, .. } = &node.agency;
            write!(text, "\n[[node]]\nid = \"{id}\"\nkind = \"{kind}\"\n")?;
            if let Some(address) = node.address.as_ref().filter(|_| !node.agency.dials_out) {
                writeln!(text, "address = \"{address}\"")?;
            }
        }
        Ok(fs::write(self.coordinator_config(), text)?)
    }

    /// Starts the coordinator.
    pub fn start_coordinator(&mut self) -> anyhow::Result<()> {
        let (config, folder) = (self.coordinator_config(), self.folder.join("coordinator"));
        let (running, _) = self.launcher.serve(Agent::Coordinator, &config, &folder)?;
        self.coordinator = Some(running);
        Ok(())
    }

    /// Runs one command of the coordinator and reads its JSON.
    pub fn coordinate(&self, args: &[&str]) -> anyhow::Result<(Value, process::Output)> {
        self.launcher.json(Agent::Coordinator, &self.coordinator_config(), args)
    }

    /// Starts a sweep of the coordinator that is left open and follows what changes.
    pub fn watch(&self, args: &[&str]) -> anyhow::Result<Watched> {
        let args: Vec<&str> = ["sweep", "--watch"].iter().chain(args).copied().collect();
        let config = self.coordinator_config();
        let folder = config.parent().unwrap_or(&self.folder);
        self.launcher.watch(Agent::Coordinator, &config, &args, folder)
    }

    /// Runs one command of a node and reads its JSON.
    pub fn ask_node(&self, agency: &AgencyId, args: &[&str]) -> anyhow::Result<Value> {
        Ok(self.launcher.json(Agent::Node, &self.node_config(agency), args)?.0)
    }

    /// Runs one command of a node and returns what it printed for people.
    pub fn tell_node(&self, agency: &AgencyId, args: &[&str]) -> anyhow::Result<String> {
        let output = self.launcher.run(Agent::Node, &self.node_config(agency), args)?;
        ensure!(output.status.success(), "`{}` failed: {}", args.join(" "), output.err.trim());
        Ok(output.out)
    }

    /// Stops everybody.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut coordinator) = self.coordinator.take() {
            coordinator.stop()?;
        }
        for node in &mut self.nodes {
            if let Some(mut running) = node.running.take() {
                running.stop()?;
            }
        }
        Ok(())
    }

    /// Returns the nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns a node by its place, to break it.
    pub fn node_mut(&mut self, at: usize) -> &mut Node {
        &mut self.nodes[at]
    }

    /// Returns the coordinator while it runs.
    pub fn coordinator_mut(&mut self) -> Option<&mut Running> {
        self.coordinator.as_mut()
    }

    /// Returns the CA.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns how to start agents.
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Returns where the coordinator answers, or will.
    pub fn coordinator_address(&self) -> &str {
        &self.coordinator_address
    }

    /// Returns the coordinator's settings file.
    pub fn coordinator_config(&self) -> PathBuf {
        self.folder.join("coordinator/coordinator.toml")
    }

    /// Returns a node's settings file.
    pub fn node_config(&self, agency: &AgencyId) -> PathBuf {
        self.folder.join(agency.as_str()).join("node.toml")
    }

    /// Reads a node's settings.
    pub fn load_node_config(&self, agency: &AgencyId) -> anyhow::Result<NodeConfig> {
        NodeConfig::load(&self.node_config(agency))
    }

    /// Returns the most memory each node used so far, in MiB, in the order of the nodes.
    pub fn node_peaks_mib(&mut self) -> Vec<u64> {
        let peak = |node: &mut Node| node.running.as_mut().map_or(0, Running::peak_kib) / 1024;
        self.nodes.iter_mut().map(peak).collect()
    }

    /// Returns the most memory any node used so far, in MiB.
    pub fn nodes_peak_mib(&mut self) -> u64 {
        self.node_peaks_mib().into_iter().max().unwrap_or(0)
    }
}

impl Node {
    /// Returns the process while it runs.
    pub fn running(&mut self) -> anyhow::Result<&mut Running> {
        self.running.as_mut().context("the node is not running")
    }

    /// Forgets the process, after it was killed.
    pub fn gone(&mut self) {
        self.running = None;
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        // What does not stop by itself is killed when it is dropped.
        let _ = self.stop();
    }
}

/// The files of an identity, beside the settings.
const IDENTITY: &str = "certificate = \"identity/certificate.pem\"\nkey = \"identity/key.pem\"\n\
                        ca = \"identity/ca.pem\"\ncrl = \"identity/crl.pem\"\n";

fn issue(ca: &Ca, home: &Path, identity: &Identity) -> anyhow::Result<()> {
    let folder = home.join("identity");
    fs::create_dir_all(&folder)?;
    let files = IdentityFiles::in_folder(folder);
    let days = causeway_certs::ca::CERTIFICATE_DAYS;
    ca.issue_to(&files, identity, &[], days, OffsetDateTime::now_utc())?;
    Ok(())
}

fn node_toml(agency: &Agency, coordinator_address: &str) -> String {
    let Agency { id, kind, feeds, dials_out, .. } = agency;
    let feeds: Vec<String> =
        feeds.iter().map(|feed| format!("{:?}", feed.mapping.display().to_string())).collect();
    let listen = if *dials_out { "" } else { "listen = \"127.0.0.1:0\"\n" };
    format!(
        "deployment = \"{DEPLOYMENT}\"\nid = \"{id}\"\nkind = \"{kind}\"\n\
         coordinator = \"{COORDINATOR}\"\npolicy = \"policy.toml\"\nfeeds = [{}]\n\n\
         [identity]\n{IDENTITY}\n[keys]\nfolder = \"keys\"\n\n[store]\npath = \"data/node.db\"\n\n\
         [serve]\n{listen}coordinator_address = \"{coordinator_address}\"\nany_day = true\n\
         operators = [\"{id}-worklist\"]\n\n\
         [contact]\nservice = \"{} duty desk\"\nrole = \"duty officer\"\nphone = \"01632 960000\"\n",
        feeds.join(", "),
        kind.in_words()
    )
}

fn private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?)
}

fn random_key() -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let mut random = fs::File::open("/dev/urandom")?;
    std::io::Read::read_exact(&mut random, &mut key[..])?;
    ensure!(*key != [0; 32], "no randomness");
    Ok(key)
}
