//! Items of equal content, so that each is computed once.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128;

/// Items as dedup sees them: each is the same number of byte strings, its fields.
pub trait Fields {
    /// The number of items.
    fn len(&self) -> usize;

    /// Whether there are no items.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of fields of every item.
    fn fields(&self) -> usize;

    /// The bytes of one field of one item.
    fn field(&self, item: usize, field: usize) -> &[u8];
}

/// Which items are equal: positions in the caller's input, and the unique items that stand for them.
///
/// Unique items are numbered from 0 in the order of their first positions. Positions are below `u32::MAX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    len: usize,
    /// `None` where every item is unique, which then costs no memory.
    map: Option<Map>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Map {
    unique_of: Vec<u32>,
    first: Vec<u32>,
}

impl Dedup {
    /// Every one of `len` items stands for itself: dedup is off.
    #[must_use]
    pub fn off(len: usize) -> Self {
        Self { len, map: None }
    }

    /// Finds the items whose fields are all equal, byte for byte.
    ///
    /// Items are looked up by a 128-bit hash over their fields and the fields' lengths, and compared in full before
    /// they count as equal, so no two different items are ever taken for one. Takes about 35 bytes of memory an item
    /// while it runs; what it keeps is 8, or none if all are distinct. The caller makes sure that there are fewer
    /// than `u32::MAX` items.
    #[must_use]
    pub fn find(items: &(impl Fields + ?Sized)) -> Self {
        let len = items.len();
        let mut seen = Seen::with_capacity(len);
        let mut unique_of = Vec::with_capacity(len);
        let mut hashes = [0; BLOCK];
        for start in (0..len).step_by(BLOCK) {
            let block = start..len.min(start + BLOCK);
            for (hash, item) in hashes.iter_mut().zip(block.clone()) {
                *hash = hash_of(items, item);
            }
            for (&hash, item) in hashes.iter().zip(block) {
                unique_of.push(seen.unique_of(items, item, hash));
            }
        }
        let map = (seen.first.len() < len).then(|| {
            seen.first.shrink_to_fit();
            Map {
                unique_of,
                first: seen.first,
            }
        });
        Self { len, map }
    }

    /// The number of positions: the caller's items.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.len
    }

    /// The number of unique items.
    #[must_use]
    pub fn uniques(&self) -> usize {
        self.map.as_ref().map_or(self.len, |map| map.first.len())
    }

    /// The unique item that stands for the item at `position`.
    #[must_use]
    pub fn unique_of(&self, position: usize) -> usize {
        match &self.map {
            Some(map) => map.unique_of[position] as usize,
            None => position,
        }
    }

    /// The first position of a unique item: the one that is computed, and that errors name.
    #[must_use]
    pub fn first(&self, unique: usize) -> usize {
        match &self.map {
            Some(map) => map.first[unique] as usize,
            None => unique,
        }
    }
}

/// The positions of every unique item in the caller's input, where some have more than one.
pub struct Positions {
    /// Where the positions of an item start, and after the last where they end.
    starts: Vec<u32>,
    positions: Vec<u32>,
}

impl Positions {
    /// The positions that `dedup` maps to each unique item; `None` where every item is unique.
    #[must_use]
    pub fn of(dedup: &Dedup) -> Option<Self> {
        let map = dedup.map.as_ref()?;
        let mut starts = vec![0; map.first.len() + 1];
        for &unique in &map.unique_of {
            starts[unique as usize + 1] += 1;
        }
        for unique in 0..map.first.len() {
            starts[unique + 1] += starts[unique];
        }
        let mut next = starts.clone();
        let mut positions = vec![0; map.unique_of.len()];
        for (position, &unique) in (0..).zip(&map.unique_of) {
            let place = &mut next[unique as usize];
            positions[*place as usize] = position;
            *place += 1;
        }
        Some(Self { starts, positions })
    }

    /// The positions of a unique item, rising.
    #[must_use]
    pub fn of_unique(&self, unique: u32) -> &[u32] {
        let unique = unique as usize;
        &self.positions[self.starts[unique] as usize..self.starts[unique + 1] as usize]
    }
}

/// Items hashed before they are looked up: the lookups of a block miss the cache, and without the hashing between
/// them the processor has many of those misses under way at once.
const BLOCK: usize = 32;

/// The unique items found so far.
struct Seen {
    /// Numbers of unique items, by hash.
    table: HashTable<u32>,
    /// Their hashes, which a lookup compares before it compares content.
    hashes: Vec<u128>,
    /// Their first positions.
    first: Vec<u32>,
}

impl Seen {
    fn with_capacity(len: usize) -> Self {
        Self {
            table: HashTable::with_capacity(len),
            hashes: Vec::with_capacity(len),
            first: Vec::with_capacity(len),
        }
    }

    /// The unique item that `item` is equal to, which is a new one if it is equal to none.
    fn unique_of(&mut self, items: &(impl Fields + ?Sized), item: usize, hash: u128) -> u32 {
        let Self {
            table,
            hashes,
            first,
        } = self;
        let equal = |&unique: &u32| {
            let unique = unique as usize;
            hashes[unique] == hash && equal(items, first[unique] as usize, item)
        };
        let rehash = |&unique: &u32| hashes[unique as usize] as u64;
        *table
            .entry(hash as u64, equal, rehash)
            .or_insert_with(|| {
                hashes.push(hash);
                first.push(item as u32);
                (first.len() - 1) as u32
            })
            .get()
    }
}

fn equal(items: &(impl Fields + ?Sized), a: usize, b: usize) -> bool {
    (0..items.fields()).all(|field| items.field(a, field) == items.field(b, field))
}

/// The XXH3 hashes of the fields, each with its length, as the coefficients of a polynomial at an odd point: the
/// order of the fields and where one ends and the next begins are part of the hash.
fn hash_of(items: &(impl Fields + ?Sized), item: usize) -> u128 {
    /// The first digits of π; any large odd number without structure would do.
    const POINT: u128 = 0x243F_6A88_85A3_08D3_1319_8A2E_0370_7345;
    (0..items.fields()).fold(0, |hash, field| {
        let bytes = items.field(item, field);
        (hash ^ bytes.len() as u128)
            .wrapping_mul(POINT)
            .wrapping_add(xxh3_128(bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows(Vec<Vec<&'static [u8]>>);

    impl Fields for Rows {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn fields(&self) -> usize {
            self.0.first().map_or(0, Vec::len)
        }

        fn field(&self, item: usize, field: usize) -> &[u8] {
            self.0[item][field]
        }
    }

    #[test]
    fn fields_are_told_apart_by_where_they_end() {
        let rows = Rows(vec![
            vec![b"a", b"bc"],
            vec![b"ab", b"c"],
            vec![b"abc", b""],
            vec![b"", b"abc"],
            vec![b"bc", b"a"],
        ]);
        let hashes: Vec<u128> = (0..rows.len()).map(|row| hash_of(&rows, row)).collect();
        for (row, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..row].contains(hash), "row {row}");
        }
        assert_eq!(Dedup::find(&rows), Dedup::off(5));
    }

    #[test]
    fn items_of_one_hash_but_different_content_stay_apart() {
        let rows = Rows(vec![vec![b"a"], vec![b"b"], vec![b"a"]]);
        let mut seen = Seen::with_capacity(3);
        let unique_of: Vec<u32> = (0..3).map(|row| seen.unique_of(&rows, row, 7)).collect();
        assert_eq!(unique_of, [0, 1, 0]);
    }

    #[test]
    fn items_without_content_are_all_equal() {
        let dedup = Dedup::find(&Rows(vec![vec![]; 3]));
        assert_eq!((dedup.positions(), dedup.uniques()), (3, 1));
        let dedup = Dedup::find(&Rows(vec![vec![b""]; 3]));
        assert_eq!((dedup.unique_of(2), dedup.first(0)), (0, 0));
    }

    #[test]
    fn positions_are_those_that_the_unique_item_stands_for() {
        let rows = Rows(vec![
            vec![b"b"],
            vec![b"a"],
            vec![b"b"],
            vec![b"c"],
            vec![b"b"],
        ]);
        let positions = Positions::of(&Dedup::find(&rows)).unwrap();
        let each = [0, 1, 2].map(|unique| positions.of_unique(unique).to_vec());
        assert_eq!(each, [vec![0, 2, 4], vec![1], vec![3]]);
        assert!(Positions::of(&Dedup::off(3)).is_none());
    }

    #[test]
    fn no_items_are_no_unique_items() {
        assert_eq!(Dedup::find(&Rows(vec![])).uniques(), 0);
    }
}
