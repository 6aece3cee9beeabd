//! The letters of a sequence, as the tool gets them.

use crate::window::Strings;

/// Adds a piece of a sequence: in upper case, without white space.
pub fn append(sequences: &mut Strings, piece: &[u8]) {
    let begin = sequences.open().len();
    if piece
        .iter()
        .fold(false, |found, &byte| found | is_space(byte))
    {
        for part in piece.split(|&byte| is_space(byte)) {
            sequences.append(part);
        }
    } else {
        sequences.append(piece);
    }
    sequences.open_mut()[begin..].make_ascii_uppercase();
}

/// Ends a sequence: without the `*` of a stop codon.
pub fn end(sequences: &mut Strings) {
    if let [residues @ .., b'*'] = sequences.open() {
        sequences.truncate_open(residues.len());
    }
    sequences.end();
}

/// Those of ASCII: tab, vertical tab, form feed, carriage return, line feed and space.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}
