//! The `weights` table: what the agency's own records taught about agreement.

use causeway_proto::linkage::weights::Weights;
use sqlx::SqliteConnection;

use super::StoreError;

/// Keeps weights, replacing those before.
pub async fn save(conn: &mut SqliteConnection, weights: &Weights) -> Result<(), StoreError> {
    let tables = [&weights.m, &weights.u].into_iter().flatten().flatten();
    let Weights { matched, household, twins, namesakes, generations, .. } = weights;
    let numbers = tables.chain([matched, household, twins, namesakes, generations]);
    let body: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
    sqlx::query("insert or replace into weights (id, body) values (1, ?)")
        .bind(body)
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns the weights, if any were learnt by this version's fields and levels.
pub async fn load(conn: &mut SqliteConnection) -> Result<Option<Weights>, StoreError> {
    let row: Option<(Vec<u8>,)> =
        sqlx::query_as("select body from weights").fetch_optional(conn).await?;
    let Some((body,)) = row else { return Ok(None) };
    let mut numbers = body.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
    let mut next = || numbers.next().filter(|number| number.is_finite());
    let mut weights = Weights {
        m: Default::default(),
        u: Default::default(),
        matched: 0.0,
        household: 0.0,
        twins: 0.0,
        namesakes: 0.0,
        generations: 0.0,
    };
    for cell in weights.m.iter_mut().chain(&mut weights.u).flatten() {
        let Some(number) = next() else { return Ok(None) };
        *cell = number;
    }
    let (Some(matched), Some(household), Some(twins)) = (next(), next(), next()) else {
        return Ok(None);
    };
    // Versions before did not know of namesakes.
    let namesakes = next().unwrap_or(0.0);
    // Nor that parents may be more than twins.
    let generations = next().unwrap_or(twins);
    Ok(Some(Weights { matched, household, twins, namesakes, generations, ..weights }))
}

#[cfg(test)]
mod tests {
    use causeway_proto::linkage::weights::{Among, Strangers};

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn weights_survive_being_kept() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        assert_eq!(load(&mut conn).await.unwrap(), None);
        let weights = Weights::estimate(&[], &Strangers::new(), 10.0, Among::OneAgency);
        save(&mut conn, &weights).await.unwrap();
        save(&mut conn, &weights).await.unwrap();
        assert_eq!(load(&mut conn).await.unwrap(), Some(weights));
    }
}
