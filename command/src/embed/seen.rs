//! Which sequences the run has seen, and where first: by a 64-bit hash, in 13 bytes each.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// A table that grows is in memory twice: many small ones, which do that one after the other, hardly are.
const TABLES: usize = 64;
/// As many in each as fill 8 Mi places in all: about 110 MB.
const MOST: usize = (8 << 20) / TABLES / 8 * 7;

/// The first positions of sequences.
pub struct Seen {
    tables: [HashTable<Entry>; TABLES],
    /// Of a table.
    most: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Both halves of the hash: 8 bytes aligned to 4.
    hash: [u32; 2],
    position: u32,
}

impl Entry {
    fn hash(&self) -> u64 {
        u64::from(self.hash[0]) | u64::from(self.hash[1]) << 32
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            tables: std::array::from_fn(|_| HashTable::new()),
            most: MOST,
        }
    }
}

impl Seen {
    /// The hash that sequences are known by.
    #[must_use]
    pub fn hash(sequence: &[u8]) -> u64 {
        xxh3_64(sequence)
    }

    /// Where a sequence of this hash was first.
    #[must_use]
    pub fn first(&self, hash: u64) -> Option<u64> {
        let entry = self.tables[table(hash)].find(hash, |entry| entry.hash() == hash)?;
        Some(u64::from(entry.position))
    }

    /// A sequence of this hash, which is not known yet, is at `position`. Whether it is remembered: memory has an end.
    pub fn add(&mut self, hash: u64, position: u64) -> bool {
        let Ok(position) = u32::try_from(position) else {
            return false;
        };
        let table = &mut self.tables[table(hash)];
        if table.len() == self.most {
            return false;
        }
        let entry = Entry {
            hash: [hash as u32, (hash >> 32) as u32],
            position,
        };
        table.insert_unique(hash, entry, Entry::hash);
        true
    }
}

/// Which table a hash is in, by bits that the tables themselves look at last.
fn table(hash: u64) -> usize {
    (hash >> 40) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_position_is_found_and_memory_has_an_end() {
        let mut seen = Seen {
            most: 2,
            ..Seen::default()
        };
        let hashes = [1, 2, 3];
        assert!(seen.add(hashes[0], 7) && seen.add(hashes[1], u64::from(u32::MAX)));
        assert!(!seen.add(hashes[2], 9), "it is full");
        assert_eq!(
            hashes.map(|hash| seen.first(hash)),
            [Some(7), Some(u64::from(u32::MAX)), None]
        );
    }

    #[test]
    fn every_sequence_is_found_where_it_was_first() {
        let mut seen = Seen::default();
        let hashes = || (0..100_000_u64).map(|number| Seen::hash(&number.to_le_bytes()));
        for (position, hash) in hashes().enumerate() {
            assert!(seen.add(hash, position as u64));
        }
        for (position, hash) in hashes().enumerate() {
            assert_eq!(seen.first(hash), Some(position as u64));
        }
        let sizes = seen.tables.iter().map(HashTable::len);
        assert!(sizes.max() < Some(2 * 100_000 / TABLES), "they are alike");
    }

    #[test]
    fn positions_beyond_32_bits_are_not_remembered() {
        assert!(!Seen::default().add(1, 1 << 32));
    }

    #[test]
    fn an_entry_takes_twelve_bytes() {
        assert_eq!(size_of::<Entry>(), 12);
    }
}
