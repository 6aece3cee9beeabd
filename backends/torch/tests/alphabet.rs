//! The alphabet: one token a residue, always.

use toolpool_torch::esm2::alphabet::{MASK, UNK, Unknown, count, describe_unknown, encode};

#[test]
fn letters_have_the_tokens_of_the_published_models() {
    let (tokens, unknown) = encode(b"LAGVSERTIDPKQNFYMHWCXBUZO.-");
    assert_eq!(tokens, (4..=30).collect::<Vec<u8>>());
    assert!(unknown.is_empty());
}

#[test]
fn every_unknown_letter_is_one_token_with_its_position() {
    let (tokens, unknown) = encode("MJ*k é\u{1F600}A".as_bytes());
    assert_eq!(tokens, [20, UNK, UNK, UNK, UNK, UNK, UNK, 5]);
    let letters: Vec<(usize, char)> = unknown.iter().map(|u| (u.position, u.letter)).collect();
    assert_eq!(
        letters,
        [
            (2, 'J'),
            (3, '*'),
            (4, 'k'),
            (5, ' '),
            (6, 'é'),
            (7, '\u{1F600}')
        ]
    );
}

#[test]
fn bytes_that_are_not_utf8_are_unknown_letters() {
    let (tokens, unknown) = encode(b"M\xffA\0");
    assert_eq!(tokens, [20, UNK, 5, UNK]);
    assert_eq!(
        unknown[0],
        Unknown {
            position: 2,
            letter: char::REPLACEMENT_CHARACTER
        }
    );
    assert_eq!(unknown[1].letter, '\0');
}

#[test]
fn only_the_mask_may_be_written_as_a_word() {
    assert_eq!(encode(b"M<mask>A").0, [20, MASK, 5]);
    assert_eq!(encode(b"<cls>").0, [UNK; 5]);
    assert_eq!(encode(b"<mask").0.len(), 5);
}

#[test]
fn count_is_the_number_of_tokens() {
    for sequence in ["", "MKT", "M<mask>K", "<<mask>>", "Mé*", "\u{1F600}<mask>"] {
        assert_eq!(
            count(sequence.as_bytes()),
            encode(sequence.as_bytes()).0.len(),
            "{sequence}"
        );
    }
}

#[test]
fn the_warning_stays_short() {
    let unknown: Vec<Unknown> = (1..=5000)
        .map(|position| Unknown {
            position,
            letter: 'J',
        })
        .collect();
    let text = describe_unknown(&unknown);
    assert!(
        text.contains("'J' at 1,") && text.contains("4990 more") && text.len() < 400,
        "{text}"
    );
}
