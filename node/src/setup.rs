//! Makes the folder of a new node: keys, a request to sign, and files to fill in.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use causeway_certs::{
    ca::new_key_and_csr,
    files::{write_public, write_secret},
    name::{Identity, Role},
};
use causeway_proto::{
    catalogue::{AgencyKind, ReleaseDefault, SignalCode},
    ids::AgencyId,
};

use crate::tokenise::keyring::Keyring;

/// Who a new node is to be.
pub struct NewNode {
    /// Where to make it.
    pub folder: PathBuf,
    /// The federation.
    pub deployment: AgencyId,
    /// The agency's short name.
    pub id: AgencyId,
    /// What the agency is for.
    pub kind: AgencyKind,
    /// The coordinator's short name.
    pub coordinator: AgencyId,
    /// Host and port of the coordinator.
    pub coordinator_address: String,
}

#[cfg(test)]
impl NewNode {
    /// A housing agency's node in a folder for a test.
    pub(crate) fn of_tests(folder: &Path) -> Self {
        Self {
            folder: folder.join("node"),
            deployment: "pilot".parse().unwrap(),
            id: "housing".parse().unwrap(),
            kind: AgencyKind::Housing,
            coordinator: "main".parse().unwrap(),
            coordinator_address: "localhost:7440".into(),
        }
    }
}

/// Makes the folder. Returns where the request to sign is.
pub fn init(new: &NewNode) -> anyhow::Result<PathBuf> {
    let folder = &new.folder;
    ensure!(
        !folder.join("node.toml").exists(),
        "{} is a node already: remove it first, or choose another folder",
        folder.display()
    );
    for part in ["", "identity", "keys", "data", "feeds"] {
        private_folder(&folder.join(part))?;
    }
    Keyring::new(folder.join("keys"), new.deployment.clone()).init()?;
    let identity = Identity::new(new.deployment.clone(), Role::Node, new.id.clone());
    let (key, csr) = new_key_and_csr(&identity)?;
    write_secret(folder.join("identity/key.pem"), key.as_bytes())?;
    let request = folder.join("identity/request.csr");
    write_public(&request, csr.as_bytes())?;
    write_public(folder.join("policy.toml"), policy(new).as_bytes())?;
    write_public(folder.join("feeds/example.toml"), EXAMPLE_FEED.as_bytes())?;
    // Last, so that a folder with settings is a whole one.
    write_public(folder.join("node.toml"), settings(new).as_bytes())?;
    Ok(request)
}

fn private_folder(path: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("could not make folder {}", path.display()))
}

fn settings(new: &NewNode) -> String {
    let NewNode { deployment, id, kind, coordinator, coordinator_address, .. } = new;
    format!(
        r#"# Settings of one Causeway node. Paths begin at this file's folder.

# The federation, this agency's short name in it, what it is for, and the one coordinator that
# this node answers to.
deployment = "{deployment}"
id = "{id}"
kind = "{kind}"
coordinator = "{coordinator}"

# What may be said, to whom, and why. Nothing by default.
policy = "policy.toml"

# One mapping file for each export; feeds/example.toml shows how to write one.
feeds = []

[identity]
# key.pem was made here and never leaves. The others come from whoever runs the CA.
certificate = "identity/certificate.pem"
key = "identity/key.pem"
ca = "identity/ca.pem"
crl = "identity/crl.pem"

[keys]
# The epoch's linkage key is put here as epoch.key; the node takes it in. One person makes it for all
# nodes, with `causeway-certs epoch-key`.
folder = "keys"

[store]
# The agency's records, as this node keeps them. Use an encrypted volume.
path = "data/node.db"

[serve]
# Where the firewall lets the coordinator in: the address to answer on.
# listen = "0.0.0.0:7443"
# Where it lets nothing in, the node dials the coordinator and is called on that connection.
coordinator_address = "{coordinator_address}"
# With `listen`, too, the node dials out only if it is told to.
# dial_out = true
# Whose certificates, operator/NAME, may read and answer this agency's inbox, as a worklist or a case
# system does. Whoever runs the CA makes one: causeway-certs issue operator/NAME --out FOLDER
# operators = ["{id}-worklist"]
# For trials with made-up data only: lets sweeps speak of any day, not only of about today, and lifts
# what else goes by the calendar. With real data the coordinator could find out dates of birth.
# any_day = true

# Folders that exports land in. Each mapping says in `files` what its exports are called. What was
# dealt with is moved to `done` and `refused` in the folder, where this user may write.
# [[intake]]
# folder = "/srv/exports"
# every_seconds = 5
# A file counts as whole once it looks the same twice or, where this is set, once the empty file
# `tenancies.csv.done` stands beside `tenancies.csv`.
# marker = ".done"

# Whom a colleague in another agency can ring: a desk, never a person. Told only where the policy
# says `[disclose] contact = true`.
# [contact]
# service = "Duty desk"
# role = "duty officer"
# phone = ""
"#
    )
}

/// A policy that releases nothing, with the agency's own codes ready to be released.
fn policy(new: &NewNode) -> String {
    let NewNode { id, kind, .. } = new;
    let mut text = format!(
        r#"# What {id} lets other agencies know. Nothing is said that no rule here names.
# Have it read by whoever answers for the data, and by the Caldicott guardian in health.

[node]
id = "{id}"
controller = "FILL IN: who answers for the data"
ico_ref = ""
regime = "part2"

# A purpose is answered for only where it stands here, until its agreement expires.
# [purpose.adult_safeguarding]
# lawful_basis = "6(1)(e)"
# condition = "sch1p18"
# gateway = "care_act_s45"
# dsa_ref = "FILL IN"
# expires = "FILL IN"

[release]
default = "deny"

"#
    );
    for code in SignalCode::all().filter(|code| code.spec().owner == Some(*kind)) {
        let spec = code.spec();
        let advice = match spec.release {
            ReleaseDefault::On => "",
            ReleaseDefault::Restricted => " Usually for a named purpose only.",
            ReleaseDefault::Off => " Off until it is signed off.",
        };
        text.push_str(&format!(
            "# {}.{advice}\n# [[release.rule]]\n# code = \"{code}\"\n# purpose = \
             [\"adult_safeguarding\"]\n# max_age_days = 730\n# detail = \"code+month\"\n\n",
            spec.plain.trim()
        ));
    }
    text.push_str(
        "[kill]\n# Stops the node within a second: true, and it answers nobody elsewhere until this says \
         false.\nlocal = false\n\n[disclose]\ncontact = false\n# May the coordinator be told how many people of each kind (sex, age band) were \
         linked? Counts of\n# twenty or more only, with noise, of bits that chance has blurred.\nsubgroup_counts = true\n",
    );
    text
}

const EXAMPLE_FEED: &str = r#"# How one export is to be read, in the export's own words. Copy it, fill it in, and name it in
# `feeds` of node.toml. Try it with `causeway-node ingest FEED FILE --dry-run`.

id = "tenancies"
about = "people"
encoding = "detect"
delimiter = ","
dates = ["%d/%m/%Y"]
nulls = ["NULL", "N/A"]
# What the export is called in a folder of [[intake]]. Instead of files, `[database]` asks one:
# tests/data/feeds/example-database.toml.
files = ["tenancies-*.csv"]
key = ["TENANT_REF"]
mode = "full"
max_drop_pct = 10
freshness_h = 36

[columns]
title = "TITLE"
forename = "FORENAME"
surname = "SURNAME"
dob = "DOB"
sex = "SEX"
address = "ADDRESS"
postcode = "POSTCODE"
uprn = "UPRN"
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::NodeConfig, source::Feed};

    #[test]
    fn what_init_writes_is_what_the_node_reads() {
        let folder = tempfile::tempdir().unwrap();
        let new = NewNode::of_tests(folder.path());
        let request = init(&new).unwrap();
        assert!(fs::read_to_string(request).unwrap().contains("CERTIFICATE REQUEST"));
        let config = NodeConfig::load(&new.folder.join("node.toml")).unwrap();
        assert_eq!(config.dials_out(), Some("localhost:7440"));
        Feed::load(&new.folder.join("feeds/example.toml")).unwrap();
        let policy = crate::policy::Policy::load(&config.policy, &config.id, config.kind).unwrap();
        assert_eq!(policy.released_codes(), 0);
        let again = init(&new).unwrap_err().to_string();
        assert!(again.contains("is a node already"), "{again}");
    }
}
