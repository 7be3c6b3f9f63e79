//! What a sweep says of a row: whether it is in it at all, and its flags.

use std::collections::HashMap;

use causeway_proto::{catalogue::SignalClass, day::Day, token::PersonFlags};
use sqlx::SqliteConnection;

use crate::{
    policy::{Policy, Scope, living_child_band},
    store::{
        StoreError,
        events::{self, PersonEvent},
        persons, records,
        segments::{self, ALIVE},
        sweeps::Sweep,
    },
};

/// What a sweep says of one row, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing(pub(super) u8);

impl Standing {
    /// Not in the sweep; nothing is said.
    pub(super) const OUT: Self = Self(0);
    /// In the place of [`ALIVE`] in a state byte, and above every flag.
    const IN_SWEEP: u8 = ALIVE;

    /// Returns whether the row is in the sweep.
    pub(super) fn is_in(self) -> bool {
        self.0 & Self::IN_SWEEP != 0
    }

    /// Returns the flags that are told.
    pub(super) fn flags(self) -> PersonFlags {
        PersonFlags(self.0 & !Self::IN_SWEEP)
    }

    /// Decides about a row from its state byte and what is to be said of it.
    fn of(state: u8, said: u8, scope: Scope) -> Self {
        let alive = state & ALIVE != 0;
        if alive && (scope == Scope::Everybody || said != 0) {
            return Self((state & !ALIVE) | said | Self::IN_SWEEP);
        }
        Self::OUT
    }
}

/// Returns what a sweep says of every row, in order.
pub(super) async fn all(
    conn: &mut SqliteConnection,
    policy: &Policy,
    sweep: &Sweep,
) -> Result<Vec<Standing>, StoreError> {
    let states = segments::states(conn).await?;
    let mut said = vec![0; states.len()];
    for event in events::up_to(conn, sweep.as_at).await? {
        let row = usize::try_from(event.row).unwrap_or(usize::MAX);
        if let Some(said) = said.get_mut(row) {
            *said |= of_event(policy, sweep, &event);
        }
    }
    let died = records::died(conn).await?;
    for ((row, said), born) in (0..).zip(&mut said).zip(segments::born(conn).await?) {
        *said |= born.map_or(0, |born| of_birth(policy, sweep, born, died.get(&row).copied()));
    }
    let each = states.into_iter().zip(said);
    Ok(each.map(|(state, said)| Standing::of(state, said, policy.scope)).collect())
}

/// Returns what a sweep says of some rows.
pub(super) async fn some(
    conn: &mut SqliteConnection,
    policy: &Policy,
    sweep: &Sweep,
    rows: &[u64],
) -> Result<HashMap<u64, Standing>, StoreError> {
    let mut said: HashMap<u64, u8> = HashMap::new();
    let persons = persons::by_row(conn, rows).await?;
    let persons: Vec<i64> = persons.into_iter().map(|person| person.id).collect();
    for event in events::of_persons(conn, &persons, sweep.as_at).await? {
        *said.entry(event.row).or_default() |= of_event(policy, sweep, &event);
    }
    let died = records::died_of(conn, rows).await?;
    for (row, born) in segments::born_of(conn, rows).await? {
        *said.entry(row).or_default() |= of_birth(policy, sweep, born, died.get(&row).copied());
    }
    let states = segments::states_of(conn, rows).await?;
    let standing = |(row, state)| {
        let said = said.get(&row).copied().unwrap_or_default();
        (row, Standing::of(state, said, policy.scope))
    };
    Ok(states.into_iter().map(standing).collect())
}

fn of_event(policy: &Policy, sweep: &Sweep, event: &PersonEvent) -> u8 {
    if policy.release(event, &sweep.purposes, sweep.as_at).is_none() {
        return 0;
    }
    match event.code.spec().class {
        SignalClass::Harm => PersonFlags::HARM,
        SignalClass::Context | SignalClass::Protective => PersonFlags::CONTEXT,
    }
}

fn of_birth(policy: &Policy, sweep: &Sweep, born: Day, died: Option<Day>) -> u8 {
    let band = living_child_band(born, died, sweep.as_at);
    let told = band.is_some_and(|band| policy.releases(band, &sweep.purposes));
    if told { PersonFlags::CONTEXT } else { 0 }
}
