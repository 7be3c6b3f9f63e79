use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn epoch_key() -> EpochKey {
    EpochKey { epoch: 7, roster_hash: [0x22; 32], key: Zeroizing::new([0x11; 32]) }
}

fn chain() -> Chain {
    epoch_key().begin(&"pilot".parse().unwrap())
}

/// The vectors of `privacy/vectors.txt`, made by a Python program that shares no code with us:
/// kind, `K_y`, y, `K_kind`'s token over y, and the fields.
const VECTORS: [(u8, &str, &str, &str, &[&str]); 5] = [
    (
        3,
        "810fbb02f2e513ac1a34706191cdf610469d891816ba7ba2332df116ec849cf6",
        "3c42e515276fcecee4eb0ce4f3a5dd39",
        "c901d5b2684bdeac847b5d10b6e6c4d2",
        &["anna", "19870321"],
    ),
    (
        4,
        "acab3e43f07945d98c26b71ec67b7946439971728454b0d15377d1aecaea38d8",
        "65bbadb1ba694600f5b444539fd6c643",
        "04ac5fbc38af4eebd0ba3110ae4cec39",
        &["smith", "19870321"],
    ),
    (
        6,
        "3447f19af3b49498f2636a3ff3d4c3cbc8debb3561abf89ef930be28af8e248d",
        "f40765bda81994decddc1f6589a18671",
        "a64bc169a20e21ff7c30bd06d64cf0f6",
        &["19870321", "sw1a1aa"],
    ),
    (
        12,
        "baff837c8c094eb4f1d942c54455770fc6cbd468d4647cf7299729da02e418a8",
        "11d6a968417c000746727d09766b0365",
        "ba40ac6fe1bed28afb6fab0fcfe36e68",
        &["9434765919"],
    ),
    (
        15,
        "86c46d4ab32f201d3ea6edd9bab0a2119da3918f0ab61f5267c25e471716ac2c",
        "23609924a50a8170a80e55a54abfcf17",
        "104d9e62a28b9cba335eafa619a75b01",
        &["zoë", "sw1a1aa", "14"],
    ),
];

#[test]
fn the_published_vectors_come_out() {
    let mut chain = chain();
    let commit = "9233aaaaecfbf4ba25bc498d52d602a0a82f7a36d44e495a6a6dbe35b91b1d7f";
    assert_eq!(hex(&chain.commit()), commit);
    chain.advance(2, 1000).unwrap();
    let chain_key = "80a5f82af08de82156329db08b96f6cc120e9fe547e75f9a137073912956af89";
    assert_eq!(hex(chain.chain_key()), chain_key);

    let sweep = SweepId::new(2, [0x33; 8]);
    let keys = chain.sweep(&sweep, &Zeroizing::new([0x55; 32])).unwrap();
    for (number, match_key, y, token, fields) in VECTORS {
        let kind = MatchKeyKind::from_wire(i32::from(number)).unwrap();
        assert_eq!(hex(&chain.match_keys()[kind.index()]), match_key);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &chain.match_keys()[kind.index()]);
        let hashed = keyed(&key, fields);
        assert_eq!(hex(&hashed), y);
        let mut block = Block::from(hashed);
        keys.kind(kind).encrypt_block(&mut block);
        assert_eq!(hex(&block), token);
    }
    assert_eq!(hex(keys.own.handle(42).as_bytes()), "56ec240c97d8f42ed29aa06b4bd9c6c2");
}

#[test]
fn a_handle_leads_back_to_its_record_at_its_own_node_only() {
    let sweep = SweepId::new(0, [1; 8]);
    let (mine, theirs) = (
        OwnKeys::new(&Zeroizing::new([1; 32]), &sweep),
        OwnKeys::new(&Zeroizing::new([2; 32]), &sweep),
    );
    assert_eq!(mine.record(mine.handle(42)), Some(42));
    assert_eq!(theirs.record(mine.handle(42)), None);
}

#[test]
fn a_sweep_that_is_over_cannot_be_opened_again() {
    let mut chain = chain();
    chain.advance(5, 1000).unwrap();
    assert_eq!(chain.advance(4, 1000), Err(ChainError::Passed { asked: 4, at: 5 }));
    let far = ChainError::TooFar { asked: 1006, at: 5, most: 1000 };
    assert_eq!(chain.advance(1006, 1000), Err(far));
    assert!(chain.sweep(&SweepId::new(4, [0; 8]), &Zeroizing::new([0; 32])).is_err());
}

#[test]
fn fields_cannot_run_into_each_other() {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    assert_ne!(keyed(&key, &["ab", "c"]), keyed(&key, &["a", "bc"]));
}
