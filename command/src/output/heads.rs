//! Whose the rows of a shard are.

use xxhash_rust::xxh3::xxh3_128;

use crate::window::{Strings, Window};

/// All about the rows of a shard but their values, a column each, in ascending order of `index`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// The position of the record in the whole input.
    pub index: Vec<u64>,
    pub ids: Strings,
    /// Residues of the sequence, as the tool got it.
    pub length: Vec<u32>,
    /// XXH3 of the sequence, as the tool got it, 128 bits.
    pub hash: Vec<u128>,
}

/// One row of [`Heads`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    pub index: u64,
    pub id: &'a [u8],
    pub length: u32,
    pub hash: u128,
}

impl<'a> Head<'a> {
    /// Of a record of a window.
    pub fn of(window: &'a Window, record: usize) -> Self {
        let sequence = window.sequences.get(record);
        Self {
            index: window.first + record as u64,
            id: window.ids.get(record),
            length: u32::try_from(sequence.len()).unwrap_or(u32::MAX),
            hash: xxh3_128(sequence),
        }
    }
}

impl Heads {
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn get(&self, row: usize) -> Head<'_> {
        Head {
            index: self.index[row],
            id: self.ids.get(row),
            length: self.length[row],
            hash: self.hash[row],
        }
    }

    pub fn push(&mut self, head: Head) {
        self.index.push(head.index);
        self.ids.push(head.id);
        self.length.push(head.length);
        self.hash.push(head.hash);
    }

    /// The row of the record at this position of the input.
    pub fn find(&self, index: u64) -> Option<usize> {
        self.index.binary_search(&index).ok()
    }
}

impl<'a> FromIterator<Head<'a>> for Heads {
    fn from_iter<T: IntoIterator<Item = Head<'a>>>(heads: T) -> Self {
        let mut all = Self::default();
        heads.into_iter().for_each(|head| all.push(head));
        all
    }
}

/// Bytes as one line of UTF-8 without tabs, so that [`unescape`] gives them back: `\` becomes `\\`; tab, line feed
/// and carriage return become `\t`, `\n`, `\r`; each byte that is not part of UTF-8 becomes `\x` and two hexadecimal
/// digits.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '\t' => text.push_str("\\t"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                other => text.push(other),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The bytes that [`escape`] made a text of; `None` for a text that it did not make.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&letter, after) = rest.split_first()?;
        rest = after;
        bytes.push(match letter {
            b'\\' => b'\\',
            b't' => b'\t',
            b'n' => b'\n',
            b'r' => b'\r',
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{escape, unescape};

    proptest! {
        #[test]
        fn every_id_comes_back_from_its_escape(id in prop::collection::vec(any::<u8>(), 0..40)) {
            let text = escape(&id);
            prop_assert!(!text.contains(['\t', '\n', '\r']));
            prop_assert_eq!(unescape(&text), Some(id));
        }
    }

    #[test]
    fn plain_ids_stay_as_they_are() {
        assert_eq!(
            escape("sp|P69905|HBA_HUMAN ü".as_bytes()),
            "sp|P69905|HBA_HUMAN ü"
        );
        assert_eq!(escape(b"a\\b\xff"), "a\\\\b\\xff");
    }

    #[test]
    fn what_escape_does_not_write_is_no_id() {
        for text in ["\\", "\\q", "\\x0", "\\xgg"] {
            assert_eq!(unescape(text), None);
        }
    }
}
