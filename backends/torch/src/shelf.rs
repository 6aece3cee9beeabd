//! What is loaded once, however many workers use it.

use crate::error::Result;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Values by key, each for as long as somebody holds it.
pub struct Shelf<K, V> {
    places: Mutex<Option<HashMap<K, Place<V>>>>,
}

type Place<V> = Arc<Mutex<Weak<V>>>;

impl<K: Eq + Hash, V> Shelf<K, V> {
    pub const fn new() -> Self {
        Shelf {
            places: Mutex::new(None),
        }
    }

    /// The value of `key`: loaded by the first caller, while others that want the same wait; freed when the last holder
    /// lets go.
    pub fn get(&self, key: K, load: impl FnOnce() -> Result<V>) -> Result<Arc<V>> {
        let place = self.place(key);
        let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.upgrade() {
            return Ok(value);
        }
        let value = Arc::new(load()?);
        *held = Arc::downgrade(&value);
        Ok(value)
    }

    fn place(&self, key: K) -> Place<V> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = places.get_or_insert_default();
        // Who waits for a place holds it, so a place that nobody holds can be asked at once.
        places.retain(|_, place| Arc::strong_count(place) > 1 || is_held(place));
        Arc::clone(places.entry(key).or_default())
    }
}

fn is_held<V>(place: &Place<V>) -> bool {
    let held = place.lock().unwrap_or_else(PoisonError::into_inner);
    held.strong_count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_value_is_loaded_once_while_somebody_holds_it_and_anew_after() {
        let shelf = Shelf::new();
        let first = shelf.get("a", || Ok(1)).unwrap();
        let again = shelf.get("a", || panic!("it is there")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(*shelf.get("b", || Ok(2)).unwrap(), 2);
        drop((first, again));
        assert_eq!(*shelf.get("a", || Ok(3)).unwrap(), 3);
    }

    #[test]
    fn a_failed_load_is_tried_again() {
        let shelf = Shelf::new();
        let failed = shelf.get("a", || Err(Error::Failed("no".into())));
        assert!(failed.is_err());
        assert_eq!(*shelf.get("a", || Ok(1)).unwrap(), 1);
    }
}
