//! Looks at everybody again once many changes have come in, none of which was much.
//!
//! It takes as long as a large import. All of it but writing what was found is done while others may write, so
//! that the node goes on answering.

use std::collections::BTreeSet;

use super::{
    IngestError, Intake,
    homes::Homes,
    persons::{self, Reading, Whom},
};
use crate::{
    cause::in_one_line,
    store::{StoreError, changes, keyed},
};

impl Intake<'_> {
    /// Looks at everybody if it is time to. To be called by whoever has the claim of an intake. What goes wrong is
    /// logged: the export is taken in, and the next one brings it up again.
    pub(super) async fn look_again(&self) {
        match self.try_to_look_again().await {
            Ok(()) => {}
            Err(error) => tracing::warn!(
                problem = in_one_line(&error),
                "could not look at everybody again, and will after the next export"
            ),
        }
    }

    async fn try_to_look_again(&self) -> Result<(), IngestError> {
        let mut snapshot = self.store.snapshot().await?;
        if !persons::is_due(&mut snapshot).await? {
            return Ok(());
        }
        let as_it_was =
            (keyed::load(&mut snapshot).await?, changes::position(&mut snapshot).await?);
        let reading = Reading { feeds: self.feeds, as_at: self.as_at, keys: self.keys };
        let looked =
            persons::look(&mut snapshot, &reading, Whom::Everybody, Vec::new(), &BTreeSet::new())
                .await?;
        drop(snapshot);
        let mut tx = self.store.begin().await?;
        // Another key may have been taken in meanwhile: whoever did so looked at everybody.
        if as_it_was == (keyed::load(&mut tx).await?, changes::position(&mut tx).await?) {
            let homes = Homes::begin(&mut tx).await?;
            looked.write(&mut tx, self.keys, homes).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok(())
    }
}
