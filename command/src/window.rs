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

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// String `index`; there must be one.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.offsets
            .windows(2)
            .map(|ends| &self.data[ends[0] as usize..ends[1] as usize])
    }

    /// Their bytes, one string behind the other.
    pub fn data(&self) -> &[u8] {
        &self.data[..self.end_of_last()]
    }

    /// Where each begins in [`Self::data`], and the end of the last.
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// Adds to the string that the next `end` ends.
    pub fn append(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    /// The string that the next `end` ends.
    pub fn open(&self) -> &[u8] {
        &self.data[self.end_of_last()..]
    }

    /// As [`Self::open`], to be changed in place.
    pub fn open_mut(&mut self) -> &mut [u8] {
        let begin = self.end_of_last();
        &mut self.data[begin..]
    }

    /// Shortens the string that the next `end` ends to its first `len` bytes; it must have them.
    pub fn truncate_open(&mut self, len: usize) {
        self.data.truncate(self.end_of_last() + len);
    }

    /// Drops bytes of the string that the next `end` ends.
    pub fn retain_open(&mut self, keep: impl Fn(u8) -> bool) {
        let begin = self.end_of_last();
        let mut end = begin;
        for index in begin..self.data.len() {
            self.data[end] = self.data[index];
            end += usize::from(keep(self.data[end]));
        }
        self.data.truncate(end);
    }

    /// Ends a string.
    pub fn end(&mut self) {
        self.offsets.push(self.data.len() as i64);
    }

    /// Adds a whole string.
    pub fn push(&mut self, bytes: &[u8]) {
        self.append(bytes);
        self.end();
    }

    /// Removes the last string, which there must be.
    pub fn pop(&mut self) {
        self.offsets.pop();
        self.data.truncate(self.end_of_last());
    }

    /// Forgets all of them; their memory stays for the next.
    pub fn clear(&mut self) {
        self.data.clear();
        self.offsets.truncate(1);
    }

    fn end_of_last(&self) -> usize {
        self.offsets[self.len()] as usize
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

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Adds a record.
    pub fn push(&mut self, id: &[u8], sequence: &[u8]) {
        self.ids.push(id);
        self.sequences.push(sequence);
    }

    /// Removes the last record, which there must be.
    pub fn pop(&mut self) {
        self.ids.pop();
        self.sequences.pop();
    }

    /// Forgets all records; their memory stays for the next.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.sequences.clear();
    }

    /// Residues of all records.
    pub fn residues(&self) -> usize {
        self.sequences.data().len()
    }
}
