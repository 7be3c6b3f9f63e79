//! Compiles the contract with `protox`, so nobody needs a `protoc` on their path.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

/// One file per conversation, and the words they share.
const CONVERSATIONS: [&str; 14] = [
    "alerts",
    "catalogue",
    "changes",
    "comparisons",
    "dwellings",
    "inbox",
    "keys",
    "operator",
    "quality",
    "referrals",
    "reviews",
    "signals",
    "sweeps",
    "tokens",
];

/// Columns that are large enough for zero-copy slices to pay; small fields are faster copied.
const COLUMNS: [&str; 3] = [
    ".causeway.v1.Tokens.tokens",
    ".causeway.v1.People.handles",
    ".causeway.v1.CompareResponse.comparisons",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = CONVERSATIONS.map(|name| format!("causeway/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    #[expect(clippy::disallowed_methods, reason = "Cargo speaks to build scripts this way")]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("causeway.v1.descriptors"), descriptors.encode_to_vec())?;
    COLUMNS
        .iter()
        .fold(tonic_prost_build::configure(), |build, column| build.bytes(column))
        .compile_fds(descriptors)?;
    Ok(())
}
