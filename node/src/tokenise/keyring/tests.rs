use std::os::unix::fs::PermissionsExt;

use super::*;

fn ring(folder: &Path) -> Keyring {
    let ring = Keyring::new(folder, "pilot".parse().unwrap());
    ring.init().unwrap();
    ring
}

fn epoch(epoch: u64) -> EpochKey {
    EpochKey { epoch, roster_hash: [2; 32], key: Zeroizing::new([epoch as u8; 32]) }
}

#[test]
fn an_epochs_key_is_taken_in_and_gone() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    assert!(matches!(ring.chain(), Err(KeyringError::NoKey(_))));
    ring.put_epoch(&epoch(1)).unwrap();
    let chain = ring.chain().unwrap();
    assert_eq!((chain.epoch(), chain.index()), (1, 0));
    assert!(!ring.epoch_file().exists());

    let again = ring.chain().unwrap();
    assert_eq!(again.match_keys(), chain.match_keys());
    ring.put_epoch(&epoch(1)).unwrap();
    assert_eq!(ring.chain().unwrap().epoch(), 1, "the same key again is no news");
    ring.put_epoch(&epoch(2)).unwrap();
    assert_eq!(ring.chain().unwrap().epoch(), 2);
    ring.put_epoch(&epoch(1)).unwrap();
    let refused = ring.chain().unwrap_err().to_string();
    assert!(refused.ends_with("epoch 1, and this node already uses epoch 2"), "{refused}");
}

#[test]
fn a_closed_sweeps_keys_are_gone_even_for_a_restarted_node() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    ring.put_epoch(&epoch(1)).unwrap();
    let sweep = SweepId::new(4, [7; 8]);
    let (_, before) = ring.open_sweep(&sweep).unwrap();
    let (_, after_restart) = ring.open_sweep(&sweep).unwrap();
    assert_eq!(before.own.handle(9), after_restart.own.handle(9));
    assert_eq!(before.event(&["POL7"]), after_restart.event(&["POL7"]));

    ring.close_sweep(&sweep).unwrap();
    ring.close_sweep(&sweep).unwrap();
    let refused = ring.open_sweep(&sweep).err().unwrap().to_string();
    assert_eq!(refused, "sweep 4 is over: this node's key is already at sweep 5");
}

#[test]
fn what_is_left_of_an_epochs_key_that_was_taken_in_stands_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    ring.put_epoch(&epoch(1)).unwrap();
    ring.open_sweep(&SweepId::new(3, [7; 8])).unwrap();
    // Nobody but root can overwrite it.
    ring.put_epoch(&epoch(1)).unwrap();
    fs::set_permissions(ring.epoch_file(), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(ring.chain().unwrap().index(), 3);
    assert!(!ring.epoch_file().exists());
    // Overwritten, and the machine stopped.
    write_secret(ring.epoch_file(), &[0; 90]).unwrap();
    assert_eq!(ring.chain().unwrap().index(), 3);
    assert!(!ring.epoch_file().exists());
}

#[test]
fn a_node_that_is_new_or_has_a_new_key_joins_at_the_sweep_the_others_are_at() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [old, new] = folders.each_ref().map(|folder| ring(folder.path()));
    let sweep = |counter| SweepId::new(counter, [7; 8]);
    old.put_epoch(&epoch(1)).unwrap();
    old.open_sweep(&sweep(1000)).unwrap();
    old.open_sweep(&sweep(1500)).unwrap();
    for ring in [&old, &new] {
        ring.put_epoch(&epoch(2)).unwrap();
    }
    old.close_sweep(&sweep(1500)).unwrap();
    assert_eq!(old.chain().unwrap().index(), 0, "that one had another key");
    let keys = [&old, &new].map(|ring| ring.open_sweep(&sweep(2500)).unwrap().1);
    assert_eq!(keys[0].event(&["POL7"]), keys[1].event(&["POL7"]));
    let far = new.open_sweep(&sweep(3501)).err().unwrap().to_string();
    assert!(far.starts_with("sweep 3501 is more than 1000 ahead of sweep 2500"), "{far}");
    new.close_sweep(&sweep(u64::MAX)).unwrap();
    assert_eq!(new.chain().unwrap().index(), 2500);
}

#[test]
fn a_folder_that_cannot_be_written_is_noticed_and_one_that_can_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    ring.try_write().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "its own key alone");
    // Whoever runs the tests may write anywhere, so something stands in the way.
    fs::create_dir_all(folder.path().join(".writable/full")).unwrap();
    let refused = ring.try_write().unwrap_err().to_string();
    assert!(refused.contains("could not write"), "{refused}");
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    ring.put_epoch(&epoch(1)).unwrap();
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(ring.epoch_file(), open).unwrap();
    let refused = ring.chain().unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn a_damaged_key_file_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    write_secret(ring.epoch_file(), b"epoch = 1\nkey = 'sesame'\n").unwrap();
    let refused = ring.chain().unwrap_err().to_string();
    assert!(!refused.contains("sesame"), "{refused}");
    assert!(refused.contains("three lines as `causeway-certs epoch-key` writes"), "{refused}");
}

#[test]
fn a_key_that_the_command_for_it_made_is_taken_in_and_the_same_everywhere() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let made = folders[0].path().join("made.key");
    causeway_certs::epoch::make(&made, 3).unwrap();
    let chain = folders.each_ref().map(|folder| {
        let ring = ring(folder.path());
        fs::copy(&made, ring.epoch_file()).unwrap();
        ring.chain().unwrap()
    });
    assert_eq!(chain.each_ref().map(Chain::epoch), [3, 3]);
    assert_eq!(chain[0].commit(), chain[1].commit());
}
