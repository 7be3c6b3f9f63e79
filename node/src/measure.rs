//! Who a sweep's handles stood for. Only the node itself can say, with a key that never leaves it.
//!
//! For measuring linkage on data whose truth is known, by whoever holds every node's folder.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use causeway_proto::ids::{Handle, SweepId};

use crate::{
    config::NodeConfig,
    store::{Store, persons, records},
    tokenise::{chain::OwnKeys, keyring::Keyring},
};

/// The records behind a handle, as feed and key.
pub type Behind = Vec<(String, String)>;

/// Returns the records behind each handle of a sweep.
pub async fn resolve(
    config: &NodeConfig,
    sweep: SweepId,
    handles: &[Handle],
) -> anyhow::Result<Vec<Behind>> {
    let keyring = Keyring::new(&config.keys.folder, config.deployment.clone());
    let own = OwnKeys::new(&keyring.handle_key()?, &sweep);
    let rows: Option<Vec<u64>> = handles.iter().map(|handle| own.record(*handle)).collect();
    let rows = rows.context("one of the handles was never made by this node")?;
    let store = Store::open(&config.store.path).await?;
    let mut conn = store.read().await?;
    let persons = persons::by_row(&mut conn, &rows).await?;
    let ids: Vec<i64> = persons.iter().map(|person| person.id).collect();
    let records = records::of_persons(&mut conn, &ids).await?;
    let row_of: HashMap<i64, u64> = persons.iter().map(|person| (person.id, person.row)).collect();
    let place: HashMap<u64, usize> = rows.iter().copied().zip(0..).collect();
    let mut behind: Vec<Behind> = vec![Vec::new(); rows.len()];
    for record in records {
        let row = record.person.and_then(|person| row_of.get(&person));
        if let Some(at) = row.and_then(|row| place.get(row)) {
            behind[*at].push((record.feed, record.key));
        }
    }
    ensure!(
        behind.iter().all(|records| !records.is_empty()),
        "a record was changed since the sweep"
    );
    Ok(behind)
}
