use std::fs;

use super::*;
use crate::setup::{self, NewNode};

/// What a node that `init` made says when it is started; it has no certificate yet.
async fn started(epoch_key: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let new = NewNode::of_tests(folder.path());
    setup::init(&new).unwrap();
    if let Some(text) = epoch_key {
        let path = new.folder.join("keys/epoch.key");
        causeway_certs::files::write_secret(path, text.as_bytes()).unwrap();
    }
    assert!(fs::exists(new.folder.join("keys/handle.key")).unwrap());
    let config = NodeConfig::load(&new.folder.join("node.toml")).unwrap();
    let app = App::build(config).await.unwrap();
    let error = app.serve(std::future::pending(), |_| Ok(())).await.unwrap_err();
    format!("{error:#}")
}

#[tokio::test]
async fn a_second_node_on_one_store_does_not_come_up() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewNode::of_tests(folder.path());
    setup::init(&new).unwrap();
    let config = NodeConfig::load(&new.folder.join("node.toml")).unwrap();
    let app = App::build(config.clone()).await.unwrap();
    let _other = Claim::of(&config.store.path).unwrap();
    let error = app.serve(std::future::pending(), |_| Ok(())).await.unwrap_err();
    assert!(error.to_string().starts_with("another node serves the records in"), "{error:#}");
}

#[tokio::test]
async fn a_node_that_cannot_erase_keys_is_found_out_and_does_not_come_up() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewNode::of_tests(folder.path());
    setup::init(&new).unwrap();
    let config = NodeConfig::load(&new.folder.join("node.toml")).unwrap();
    fs::create_dir_all(config.keys.folder.join(".writable/full")).unwrap();
    let findings = crate::doctor::examine(&config).await;
    let keys = findings.iter().find(|finding| finding.what == "keys").unwrap();
    assert!(keys.message.contains("could not write"), "{}", keys.message);
    let app = App::build(config).await.unwrap();
    let error = app.serve(std::future::pending(), |_| Ok(())).await.unwrap_err();
    assert!(error.to_string().contains("could not be erased"), "{error:#}");
}

#[tokio::test]
async fn a_node_whose_linkage_key_cannot_be_used_does_not_come_up() {
    let said = started(Some("epoch = 1\nkey = 'sesame'\n")).await;
    assert!(said.starts_with("could not use the linkage key: "), "{said}");
    assert!(said.contains("three lines") && !said.contains("sesame"), "{said}");
    // One that has none yet comes as far as its certificate.
    let said = started(None).await;
    assert!(said.contains("certificate"), "{said}");
}
