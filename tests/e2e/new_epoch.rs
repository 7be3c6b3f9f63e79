//! A new linkage key, while everybody is up.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use causeway_node::tokenise::{chain::EpochKey, keyring::Keyring};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::village::{self, FIVE, id};

fn left_out(report: &Value) -> Vec<&str> {
    let agencies = report["agencies"].as_array().into_iter().flatten();
    agencies.filter_map(|agency| agency["problem"].as_str()).collect()
}

#[test]
fn a_new_linkage_key_joins_the_same_people_and_none_before_every_match_key_is_made_again()
-> anyhow::Result<()> {
    let village = village::five()?;
    let before = village.sweep()?;
    for kind in FIVE {
        let config = village.town.load_node_config(&id(kind))?;
        let key = EpochKey { epoch: 2, roster_hash: [2; 32], key: Zeroizing::new([7; 32]) };
        Keyring::new(&config.keys.folder, config.deployment.clone()).put_epoch(&key)?;
    }
    let until = Instant::now() + Duration::from_secs(60);
    let after = loop {
        match village.town.coordinate(&["sweep", "--as-at", village::AS_AT]) {
            Ok((report, _)) if left_out(&report).is_empty() => break report,
            Ok((report, _)) => {
                let all_wait =
                    left_out(&report).iter().all(|why| why.contains("another linkage key"));
                ensure!(all_wait, "{:?}", left_out(&report));
            }
            Err(error) => ensure!(error.to_string().contains("another linkage key"), "{error:#}"),
        }
        ensure!(Instant::now() < until, "the match-keys were not made again");
        thread::sleep(Duration::from_millis(200));
    };
    for what in ["records", "persons", "joined_pairs", "households"] {
        assert_eq!(after[what], before[what], "{what}");
    }
    assert_eq!(after["alerts"], Value::Array(Vec::new()), "nothing is news");
    Ok(())
}
