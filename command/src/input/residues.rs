//! The letters of a sequence, as the tool gets them.

use crate::window::Strings;

/// Ends a sequence: puts its letters into upper case, drops white space, and the `*` of a stop codon at its end.
pub fn end(sequences: &mut Strings) {
    let mut least = u8::MAX;
    for byte in sequences.open_mut() {
        byte.make_ascii_uppercase();
        least = least.min(*byte);
    }
    if least <= b' ' {
        sequences.retain_open(|byte| !byte.is_ascii_whitespace());
    }
    if let [residues @ .., b'*'] = sequences.open() {
        sequences.truncate_open(residues.len());
    }
    sequences.end();
}
