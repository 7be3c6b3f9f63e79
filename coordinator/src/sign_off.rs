//! Two people sign a scoring model off before it may score anybody.
//!
//! `FILE.sig` beside a model file holds their signatures. Each is over the file's SHA-256, the model's
//! version and the signer's name, so it fits no other content, and one key can sign for one person
//! only. Whose keys count is in the coordinator's settings; the built-in model came with the program,
//! and whoever released that answers for it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use causeway_certs::{
    certificate::{hex, unhex},
    files::{FilesError, write_public},
    signing::{DocumentKey, DocumentPublicKey, SigningError, labelled},
};
use serde::{Deserialize, Serialize};

use crate::score::{Model, model::ModelError};

/// So many people, each with a key of their own.
pub const NEEDED: usize = 2;

/// Says what is signed, so that a signature means nothing anywhere else.
const LABEL: &str = "causeway/v1/model-sign-off";

/// Somebody who may sign models off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Their role, as the settings have it.
    pub name: String,
    /// Their key.
    pub key: DocumentPublicKey,
}

/// What `FILE.sig` holds.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Signatures {
    #[serde(default, rename = "signature")]
    all: Vec<Signature>,
}

/// One person's signature.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    /// The signer's role.
    name: String,
    /// The fingerprint of the key, for finding it.
    key: String,
    /// ECDSA P-256 in DER, in hexadecimal.
    signature: String,
}

/// A model is not signed off, or cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SignOffError {
    /// The model itself is not fit to be used.
    #[error("model file {} cannot be used: `causeway-coordinator model check` says why", path.display())]
    Model {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ModelError,
    },
    /// There is a file of signatures that cannot be read.
    #[error("could not read the signatures in {}: sign again into a new file", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no list of signatures.
    #[error("{} holds no signatures that this version understands: sign again into a new file", .0.display())]
    Damaged(PathBuf),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] SigningError),
    /// The signatures could not be written.
    #[error(transparent)]
    Write(#[from] FilesError),
    /// Not enough people signed.
    #[error("{0}")]
    Missing(Missing),
}

/// Which signatures there are, which there are not, and what to do.
#[derive(Debug)]
pub struct Missing {
    model: PathBuf,
    valid: Vec<String>,
    faults: Vec<String>,
    waiting: Vec<String>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { model, valid, faults, waiting } = self;
        let (file, count) = (model.display(), valid.len());
        write!(f, "model file {file} is signed off by {count} of {NEEDED} people")?;
        if !valid.is_empty() {
            write!(f, " ({})", valid.join(", "))?;
        }
        faults.iter().try_for_each(|fault| write!(f, "; {fault}"))?;
        if valid.len() + waiting.len() < NEEDED {
            write!(f, ". The settings list too few keys: name {NEEDED} people as [[model_signer]]")
        } else {
            let who = waiting.join(" or ");
            write!(
                f,
                ". Ask {who} to read it and run `causeway-coordinator model sign {file} --key KEY.pem \
                 --name ROLE`"
            )
        }
    }
}

/// Returns where the signatures of a model file are.
pub fn signatures_of(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Signs a model file off as somebody, and returns where the signatures are. What the same key signed
/// before is replaced.
pub fn sign(file: &Path, key: &DocumentKey, name: &str) -> Result<PathBuf, SignOffError> {
    let model = load(file)?;
    let path = signatures_of(file);
    let mut signatures = read(&path)?;
    let fingerprint = key.public().fingerprint();
    signatures.all.retain(|signature| signature.key != fingerprint);
    signatures.all.push(Signature {
        name: name.to_owned(),
        key: fingerprint,
        signature: hex(&key.sign(&message(&model, name))?),
    });
    let text = toml::to_string(&signatures).expect("plain data");
    write_public(&path, text.as_bytes())?;
    Ok(path)
}

/// Reads a model file that [`NEEDED`] of some signers signed off.
pub fn load_signed(file: &Path, signers: &[Signer]) -> Result<Model, SignOffError> {
    let model = load(file)?;
    let (mut valid, mut faults) = (BTreeSet::new(), Vec::new());
    let path = signatures_of(file);
    let signatures = read(&path)?;
    if signatures.all.is_empty() {
        faults.push(format!("there are no signatures in {}", path.display()));
    }
    for Signature { name, key, signature } in &signatures.all {
        match signers.iter().position(|signer| signer.key.fingerprint() == *key) {
            None => faults.push(format!(
                "the settings list no key {key}, with which `{name}` signed: add it as \
                 [[model_signer]] if they may sign"
            )),
            Some(at) => {
                let signature = unhex(signature).unwrap_or_default();
                if signers[at].key.verify(&message(&model, name), &signature) {
                    valid.insert(at);
                } else {
                    faults.push(format!(
                        "the signature of `{name}` does not fit: the file was changed after it was \
                         signed"
                    ));
                }
            }
        }
    }
    // A key that is listed twice is only found in its first place, so these are different keys.
    if valid.len() >= NEEDED {
        return Ok(model);
    }
    let named = |of: bool| -> Vec<String> {
        let chosen = signers.iter().enumerate().filter(|(at, _)| valid.contains(at) == of);
        chosen.map(|(_, signer)| format!("`{}`", signer.name)).collect()
    };
    let (valid, waiting) = (named(true), named(false));
    Err(SignOffError::Missing(Missing { model: file.to_owned(), valid, faults, waiting }))
}

fn load(file: &Path) -> Result<Model, SignOffError> {
    Model::load(file).map_err(|source| SignOffError::Model { path: file.to_owned(), source })
}

fn read(path: &Path) -> Result<Signatures, SignOffError> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|_| SignOffError::Damaged(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Signatures::default()),
        Err(source) => Err(SignOffError::Unreadable { path: path.to_owned(), source }),
    }
}

fn message(model: &Model, name: &str) -> Vec<u8> {
    labelled(LABEL, &[model.version.as_bytes(), model.sha256.as_bytes(), name.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILTIN: &str = include_str!("../model/causeway-1.toml");

    struct Desk {
        _folder: tempfile::TempDir,
        file: PathBuf,
        keys: [DocumentKey; 3],
    }

    impl Desk {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("model.toml");
            fs::write(&file, BUILTIN).unwrap();
            let keys = [(); 3].map(|()| DocumentKey::generate().unwrap());
            Self { _folder: folder, file, keys }
        }

        fn signers(&self) -> Vec<Signer> {
            let two = self.keys[..2].iter().zip(["safeguarding", "analysis"]);
            two.map(|(key, name)| Signer { name: name.to_owned(), key: key.public() }).collect()
        }

        fn sign(&self, key: usize, name: &str) {
            sign(&self.file, &self.keys[key], name).unwrap();
        }

        fn refusal(&self) -> String {
            load_signed(&self.file, &self.signers()).unwrap_err().to_string()
        }
    }

    #[test]
    fn two_people_sign_a_model_and_then_it_is_used() {
        let desk = Desk::new();
        let none = desk.refusal();
        assert!(none.contains("0 of 2 people; there are no signatures in"), "{none}");
        assert!(none.contains("Ask `safeguarding` or `analysis`"), "{none}");
        desk.sign(0, "head of safeguarding");
        let one = desk.refusal();
        assert!(one.contains("1 of 2 people (`safeguarding`). Ask `analysis`"), "{one}");
        desk.sign(1, "lead analyst");
        let model = load_signed(&desk.file, &desk.signers()).unwrap();
        assert_eq!(model.version, "causeway-1");
    }

    #[test]
    fn one_person_is_not_two() {
        let desk = Desk::new();
        desk.sign(0, "head of safeguarding");
        desk.sign(0, "lead analyst");
        assert!(desk.refusal().contains("1 of 2"), "{}", desk.refusal());
        // Nor where the settings list one key twice and somebody copied the signature.
        let path = signatures_of(&desk.file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{text}")).unwrap();
        let twice = Signer { name: "somebody else".into(), key: desk.keys[0].public() };
        let signers = [desk.signers().remove(0), twice];
        load_signed(&desk.file, &signers).unwrap_err();
    }

    #[test]
    fn a_change_a_stranger_and_another_name_do_not_pass() {
        let desk = Desk::new();
        desk.sign(0, "head of safeguarding");
        desk.sign(2, "passer-by");
        assert!(desk.refusal().contains("with which `passer-by` signed"), "{}", desk.refusal());
        desk.sign(1, "lead analyst");
        load_signed(&desk.file, &desk.signers()).unwrap();

        let path = signatures_of(&desk.file);
        let signed = fs::read_to_string(&path).unwrap();
        fs::write(&path, signed.replace("lead analyst", "director")).unwrap();
        let renamed = desk.refusal();
        assert!(renamed.contains("the signature of `director` does not fit"), "{renamed}");
        fs::write(&path, signed).unwrap();
        fs::write(&desk.file, BUILTIN.replacen("points = 16", "points = 15", 1)).unwrap();
        let changed = desk.refusal();
        assert!(changed.contains("0 of 2"), "{changed}");
        assert_eq!(changed.matches("was changed after it was signed").count(), 2, "{changed}");
    }
}
