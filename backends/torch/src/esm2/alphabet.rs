//! The ESM-2 alphabet: 33 tokens, one per residue.
//!
//! Token numbers are those of fair-esm's `Alphabet.from_architecture("ESM-1b")` and of transformers' `EsmTokenizer`.

/// Beginning of a sequence (`<cls>`).
pub const BOS: u8 = 0;
/// End of a sequence.
pub const EOS: u8 = 2;
/// A letter that the alphabet does not have.
pub const UNK: u8 = 3;
/// A hidden residue, written `<mask>` in a sequence.
pub const MASK: u8 = 32;
/// Number of tokens.
pub const SIZE: usize = 33;

/// Tokens 4 to 30, in order.
const LETTERS: &[u8] = b"LAGVSERTIDPKQNFYMHWCXBUZO.-";
const MASK_TEXT: &[u8] = b"<mask>";

/// Token of every byte; UNK where the alphabet has no such letter.
const TOKEN_OF: [u8; 256] = {
    let mut table = [UNK; 256];
    let mut i = 0;
    while i < LETTERS.len() {
        table[LETTERS[i] as usize] = 4 + i as u8;
        i += 1;
    }
    table
};

/// A letter outside the alphabet, where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Residue number, from 1.
    pub position: usize,
    /// The letter as written; U+FFFD for bytes that are not UTF-8.
    pub letter: char,
}

/// Residue tokens of `sequence`, without BOS and EOS, and the letters that were unknown.
///
/// Every letter gives exactly one token: a letter of the alphabet its own, `<mask>` the mask token, anything else
/// (lowercase, `J`, `*`, white space, a character beyond ASCII, an invalid UTF-8 sequence) one `<unk>`.
pub fn encode(sequence: &[u8]) -> (Vec<u8>, Vec<Unknown>) {
    let mut tokens = Vec::with_capacity(sequence.len());
    let mut unknown = Vec::new();
    for_each_letter(sequence, |token, letter| {
        tokens.push(token);
        if token == UNK {
            unknown.push(Unknown {
                position: tokens.len(),
                letter,
            });
        }
    });
    (tokens, unknown)
}

/// Number of residues that [`encode`] gives for `sequence`.
pub fn count(sequence: &[u8]) -> usize {
    if sequence.is_ascii() && !sequence.contains(&b'<') {
        return sequence.len();
    }
    let mut n = 0;
    for_each_letter(sequence, |_, _| n += 1);
    n
}

fn for_each_letter(sequence: &[u8], mut visit: impl FnMut(u8, char)) {
    for chunk in sequence.utf8_chunks() {
        let mut text = chunk.valid();
        while let Some(letter) = text.chars().next() {
            if text.as_bytes().starts_with(MASK_TEXT) {
                visit(MASK, '<');
                text = &text[MASK_TEXT.len()..];
                continue;
            }
            let token = u8::try_from(letter).map_or(UNK, |byte| TOKEN_OF[byte as usize]);
            visit(token, letter);
            text = &text[letter.len_utf8()..];
        }
        if !chunk.invalid().is_empty() {
            visit(UNK, char::REPLACEMENT_CHARACTER);
        }
    }
}

/// How many unknown letters a warning spells out.
const SPELLED_OUT: usize = 10;

/// One sentence that names the unknown letters and their positions; bounded in length.
pub fn describe_unknown(unknown: &[Unknown]) -> String {
    let spelled = unknown
        .iter()
        .take(SPELLED_OUT)
        .map(|u| format!("{:?} at {}", u.letter, u.position))
        .collect::<Vec<_>>()
        .join(", ");
    let rest = match unknown.len().saturating_sub(SPELLED_OUT) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!(
        "letters outside the alphabet of ESM-2 were taken as <unk>, one each: {spelled}{rest} (positions from 1)"
    )
}
