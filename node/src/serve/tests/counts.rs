//! Counts: of who was linked, by kinds of people, and of how often two people agree.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn blurred_bits_are_counted_once_by_kinds_of_many_people() {
    let police = Police::new().await;
    police.take_in_a_crowd().await;
    let opened = police.open(1).await.unwrap();
    assert!(opened.records >= 200, "{}", opened.records);
    let counts = police.count(|at| at % 2 == 0).await.unwrap();
    let of = |subgroup| counts.iter().find(|count| count.subgroup == subgroup).copied();
    let women = of(Subgroup::Female).unwrap();
    assert!((150..=250).contains(&women.records), "{women:?}");
    assert!((50..=150).contains(&women.indicated), "{women:?}");
    assert!(counts.iter().all(|count| count.records >= 20), "{counts:?}");

    assert_eq!(police.count(|at| at % 2 == 0).await.unwrap(), counts, "asked again");
    let refused = police.count(|at| at % 2 == 1).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("COUNTED_ALREADY"));
    let police = police.restarted().await;
    let refused = police.count(|at| at % 2 == 1).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("COUNTED_ALREADY"), "after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_may_refuse_to_tell_counts() {
    let mut police = Police::new().await;
    police.take_in_a_crowd().await;
    let refusing = format!("{POLICY}\n[disclose]\nsubgroup_counts = false\n");
    let path = police.folder.path().join("silent.toml");
    std::fs::write(&path, refusing).unwrap();
    let kind = AgencyKind::Police;
    let policy = Policy::load(&path, &"police".parse().unwrap(), kind).unwrap();
    let store = Store::open(&police.folder.path().join("node.db")).await.unwrap();
    let feeds = vec![Feed::from_toml(PEOPLE).unwrap(), Feed::from_toml(EVENTS).unwrap()];
    let ring = keyring(&police.folder);
    police.node = Node::new(kind, (store, ring), policy, (feeds, None), (|| 1, true));
    police.open(1).await.unwrap();
    let refused = police.count(|at| at % 2 == 0).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("POLICY_REFUSES"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_pair_shows_nothing_of_two_people() {
    let police = Police::new().await;
    police.take_in_a_crowd().await;
    police.open(1).await.unwrap();
    let sample = async |police: &Police, pairs| {
        let request = pb::SampleAgreementRequest { sweep_id: sweep(1), pairs };
        let answer = police.node.sample_agreement(Request::new(request)).await.unwrap();
        answer.into_inner().fields
    };
    let [few, more] = [sample(&police, 1000).await, sample(&police, 1001).await];
    assert!(few.iter().any(|field| field.compared > 0.0));
    for (few, more) in few.iter().zip(&more) {
        let counts = few.counts.iter().zip(&more.counts);
        for (few, more) in counts.chain([(&few.compared, &more.compared)]) {
            assert!((few * 1.001 - more).abs() < 1e-9, "{few} and {more}");
        }
    }
    assert_eq!(sample(&police.restarted().await, 1000).await, few);
}
