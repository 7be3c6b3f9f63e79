//! An agency stops its node by the switch in its policy file, and a store is served by one node at a time.

use std::fs;

use anyhow::Context;
use causeway_proto::catalogue::AgencyKind::Nhs;
use causeway_tests::town::process::Agent;

use crate::village::{self, FIVE, id, problem};

#[test]
fn an_agency_that_stops_its_node_is_left_out_until_it_lets_go() -> anyhow::Result<()> {
    let village = village::five()?;
    assert_eq!(problem(&village.sweep()?, Nhs), None);
    let policy = village.town.load_node_config(&id(Nhs))?.policy;
    let before = fs::read_to_string(&policy)?;

    // No restart, and no network.
    fs::write(&policy, format!("{before}\n[kill]\nlocal = true\n"))?;
    let report = village.sweep()?;
    let said = problem(&report, Nhs).context("it took part")?;
    assert!(said.contains("stopped this node by its kill switch"), "{said}");
    for kind in FIVE.into_iter().filter(|kind| *kind != Nhs) {
        assert_eq!(problem(&report, kind), None);
    }
    let config = village.town.node_config(&id(Nhs));
    let checked = village.town.launcher().run(Agent::Node, &config, &["check"])?;
    assert_eq!(checked.status.code(), Some(1));
    assert!(checked.out.contains("the node is stopped"), "{}", checked.out);

    fs::write(&policy, before)?;
    assert_eq!(problem(&village.sweep()?, Nhs), None);
    Ok(())
}

#[test]
fn a_second_node_on_one_store_is_refused_and_a_killed_one_leaves_nothing_in_the_way()
-> anyhow::Result<()> {
    let mut village = village::five()?;
    let at = FIVE.iter().position(|kind| *kind == Nhs).context("it is one of them")?;
    // Its settings leave the port to the system, so that nothing else is in the way.
    let config = village.town.node_config(&id(Nhs));
    let second = village.town.launcher().run(Agent::Node, &config, &["serve"])?;
    assert_eq!(second.status.code(), Some(1), "{}", second.err);
    assert!(second.err.contains("another node serves the records in"), "{}", second.err);
    assert_eq!(problem(&village.sweep()?, Nhs), None, "the first goes on");

    village.town.node_mut(at).running()?.kill()?;
    village.town.start_node(at)?;
    village.settings(|text| text)?;
    assert_eq!(problem(&village.sweep()?, Nhs), None);
    Ok(())
}
