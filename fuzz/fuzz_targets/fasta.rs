//! Files of sequences.
//!
//! An input is a digit and a file. The digit says what the file is taken for (0 to 4: what it is, 5 to 7: CSV, 8 and
//! 9: TSV) and how few records a window holds. A FASTA that is not compressed is read as a naive reader does.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use toolpool_command::error::Result;
use toolpool_command::input::{Format, Input, Limit, Options};
use toolpool_command::window::Window;

type Records = Vec<(Vec<u8>, Vec<u8>)>;

fuzz_target!(|input: &[u8]| {
    let Some((digit, file)) = input.split_first() else {
        return;
    };
    // The crate that reads it panics in damaged files, which is caught, but not under the fuzzer.
    if file.starts_with(b"PAR1") {
        return;
    }
    let digit = digit.wrapping_sub(b'0') % 10;
    let options = Options {
        format: [
            (0..5, None),
            (5..8, Some(Format::Csv)),
            (8..10, Some(Format::Tsv)),
        ]
        .into_iter()
        .find_map(|(digits, format)| digits.contains(&digit).then_some(format))
        .flatten(),
        ..Options::default()
    };
    let folder = folder();
    let path = folder.path().join("it");
    std::fs::write(&path, file).expect("a place for files");

    let all = read(&path, &options, usize::MAX, usize::MAX);
    let few = read(&path, &options, usize::from(digit) + 1, 16);
    let (all, few) = (
        all.map_err(|error| error.to_string()),
        few.map_err(|error| error.to_string()),
    );
    assert_eq!(all, few, "windows change what is read");
    if let Err(error) = &all {
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
    if options.format.is_none() && !is_packed(file) {
        assert_eq!(all.ok(), naive(file));
    }
});

/// In memory where the system has a place for that.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a place for files")
}

fn read(path: &Path, options: &Options, most: usize, residues: usize) -> Result<Records> {
    let limit = Limit {
        records: most,
        residues,
    };
    let mut input = Input::open(&[path.display().to_string()], options)?;
    let mut window = Window::default();
    let mut records = Records::new();
    while input.fill(&mut window, limit)? {
        assert_eq!(window.first, records.len() as u64);
        assert!((1..=most).contains(&window.len()));
        assert!(window.residues() <= residues || window.len() == 1);
        let pairs = window.ids.iter().zip(window.sequences.iter());
        records.extend(pairs.map(|(id, sequence)| (id.to_vec(), sequence.to_vec())));
    }
    Ok(records)
}

/// Whether it begins as files of gzip, zstd, bzip2, xz and zip do.
fn is_packed(file: &[u8]) -> bool {
    let magics: [&[u8]; 5] = [
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        b"BZh",
        b"\xfd7zXZ\0",
        b"PK\x03\x04",
    ];
    let skippable = matches!(file, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    skippable || magics.iter().any(|magic| file.starts_with(magic))
}

/// None for what is no FASTA.
fn naive(file: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    for line in file
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(file)
        .split(|&byte| byte == b'\n')
    {
        let words = |line: &[u8]| -> Vec<Vec<u8>> {
            let words = line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            words.map(<[u8]>::to_vec).collect()
        };
        match (line.first(), records.last_mut()) {
            (Some(b';'), _) => {}
            (Some(b'>'), _) => {
                let id = words(&line[1..]).into_iter().next().unwrap_or_default();
                records.push((id, Vec::new()));
                if String::from_utf8_lossy(line)
                    .trim_end_matches('\r')
                    .contains('\r')
                {
                    return None;
                }
            }
            (_, Some((_, sequence))) => sequence.extend(words(line).concat().to_ascii_uppercase()),
            (_, None) if words(line).is_empty() => {}
            (_, None) => return None,
        }
    }
    for (_, sequence) in &mut records {
        sequence.pop_if(|last| *last == b'*');
    }
    Some(records)
}
