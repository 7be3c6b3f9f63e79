//! Counts what each one takes up, so that nobody takes up everything.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// As many places for each as for any other, such as connections of one member.
pub(crate) struct Places<K> {
    each: usize,
    taken: Mutex<HashMap<K, Taken>>,
}

/// What one takes up. Forgotten when that is nothing, so strangers cannot make it grow.
#[derive(Default)]
struct Taken {
    places: usize,
    told: bool,
}

/// One place, which is free again when this is dropped.
pub(crate) struct Place<K: Eq + Hash> {
    of: Arc<Places<K>>,
    who: K,
}

/// There is no place left for this one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// Whether it was said before. It is worth a line in the log once, until all places are free.
    pub(crate) told: bool,
}

impl<K: Clone + Eq + Hash> Places<K> {
    pub(crate) fn new(each: usize) -> Arc<Self> {
        Arc::new(Self { each, taken: Mutex::default() })
    }

    /// Takes one of the places for `who`.
    pub(crate) fn take(self: &Arc<Self>, who: K) -> Result<Place<K>, Full> {
        let mut all = self.taken();
        let taken = all.entry(who.clone()).or_default();
        if taken.places == self.each {
            return Err(Full { told: std::mem::replace(&mut taken.told, true) });
        }
        taken.places += 1;
        Ok(Place { of: self.clone(), who })
    }
}

impl<K> Places<K> {
    fn taken(&self) -> MutexGuard<'_, HashMap<K, Taken>> {
        // Nothing panics while it is held, and what is in it makes sense after every line.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut all = self.of.taken();
        if let Some(taken) = all.get_mut(&self.who) {
            taken.places -= 1;
            if taken.places == 0 {
                all.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_places_and_a_place_that_is_dropped_is_free_again() {
        let places = Places::new(2);
        let (first, _second) = (places.take("housing").unwrap(), places.take("housing").unwrap());
        assert!(places.take("housing").is_err());
        assert!(places.take("police").is_ok());
        drop(first);
        assert!(places.take("housing").is_ok());
    }

    #[test]
    fn being_refused_is_news_once_until_everything_is_over() {
        let places = Places::new(1);
        for _ in 0..2 {
            let place = places.take("housing").unwrap();
            assert_eq!(places.take("housing").err(), Some(Full { told: false }));
            assert_eq!(places.take("housing").err(), Some(Full { told: true }));
            drop(place);
        }
        assert!(places.taken().is_empty(), "nobody is remembered");
    }
}
