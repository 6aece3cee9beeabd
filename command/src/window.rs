//! A part of the input that is held in memory.

/// Byte strings, one behind the other: data and offsets, as in Arrow and as toolpool's items have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strings {
    data: Vec<u8>,
    /// Where each begins, and the end of the last.
    offsets: Vec<i64>,
}

impl Default for Strings {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            offsets: vec![0],
        }
    }
}

impl Strings {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// String `index`; there must be one.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    /// Adds to the string that the next `end` ends.
    pub fn append(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    /// Ends a string.
    pub fn end(&mut self) {
        self.offsets.push(self.data.len() as i64);
    }
}

/// Records of the input, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Its number in the run, from 0.
    pub number: u64,
    /// The position in the whole input of its first record, from 0.
    pub first: u64,
    /// The ids, one each record: need not be unique, nor UTF-8.
    pub ids: Strings,
    /// The sequences, one each record, in the letters that the tool gets.
    pub sequences: Strings,
}

impl Window {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }
}
