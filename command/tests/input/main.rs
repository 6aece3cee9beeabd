//! Files of every kind become the records that are in them, however windows are cut; what is no such file is refused,
//! by name.

mod files;
mod tables;

use std::fs;
use std::io::Write;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use parquet::arrow::ArrowWriter;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;
use toolpool_command::error::Result;
use toolpool_command::input::{Format, Input, Limit, Options, digest};
use toolpool_command::window::Window;

const ALL: Limit = Limit {
    records: usize::MAX,
    residues: usize::MAX,
};

type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Files in a folder that is gone after the test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a place for files"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Writes a file, and says its path.
    fn with(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("a place for files");
        path
    }
}

fn open(path: &str) -> Result<Input> {
    Input::open(&[path.to_owned()], &Options::default())
}

fn read(path: &str) -> Result<Records> {
    records(open(path)?, ALL)
}

/// All records, in windows that must keep to the limit and count on.
fn records(mut input: Input, limit: Limit) -> Result<Records> {
    let mut records = Records::new();
    let mut window = Window::default();
    let mut number = 0;
    while input.fill(&mut window, limit)? {
        assert_eq!(
            (window.number, window.first),
            (number, records.len() as u64)
        );
        assert_eq!(window.ids.len(), window.len());
        assert!((1..=limit.records).contains(&window.len()));
        assert!(window.residues() <= limit.residues || window.len() == 1);
        number += 1;
        let pairs = window.ids.iter().zip(window.sequences.iter());
        records.extend(pairs.map(|(id, sequence)| (id.to_vec(), sequence.to_vec())));
    }
    assert!(
        !input.fill(&mut window, limit)?,
        "an input that has ended goes on"
    );
    Ok(records)
}

/// That the file is refused, at once or when it is read, in words that hold each of `words` and the file's name.
#[track_caller]
fn refused(path: &str, options: &Options, words: &[&str]) {
    let outcome = Input::open(&[path.to_owned()], options).and_then(|input| records(input, ALL));
    let error = outcome.expect_err(path).to_string();
    for word in words.iter().chain([&path]) {
        assert!(error.contains(word), "no `{word}` in: {error}");
    }
}

fn pairs<const N: usize>(records: [(&str, &str); N]) -> Records {
    records
        .map(|(id, sequence)| (id.into(), sequence.into()))
        .into()
}

fn text(strings: impl IntoIterator<Item = &'static str>) -> ArrayRef {
    Arc::new(strings.into_iter().map(Some).collect::<StringArray>())
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let columns = columns
        .into_iter()
        .map(|(name, column)| (name, column, true));
    let table = RecordBatch::try_from_iter_with_nullable(columns).expect("a table");
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, table.schema(), None).expect("a file");
    writer.write(&table).expect("a file");
    writer.close().expect("a file");
    file
}

/// FASTA in a few lines: what the reader is judged by. None for what is no FASTA.
fn naive(text: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    for line in text
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(text)
        .split(|&byte| byte == b'\n')
    {
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        match (line.first(), records.last_mut()) {
            (Some(b';'), _) => {}
            (Some(b'>'), _) => {
                let header = &line[1..];
                let mut words = header
                    .split(u8::is_ascii_whitespace)
                    .filter(|word| !word.is_empty());
                records.push((words.next().unwrap_or_default().to_vec(), Vec::new()));
                if String::from_utf8_lossy(header)
                    .trim_end_matches('\r')
                    .contains('\r')
                {
                    return None;
                }
            }
            (_, Some((_, sequence))) => {
                sequence.extend(words.flatten().map(u8::to_ascii_uppercase))
            }
            (_, None) if words.next().is_none() => {}
            (_, None) => return None,
        }
    }
    for (_, sequence) in &mut records {
        sequence.pop_if(|last| *last == b'*');
    }
    Some(records)
}

/// How a list of records is written as FASTA.
#[derive(Debug, Clone)]
struct Style {
    width: usize,
    line_end: &'static str,
    lower: bool,
    stop: &'static str,
    description: &'static str,
    between: &'static str,
    last_line_ends: bool,
    mark: &'static str,
}

prop_compose! {
    fn style()(
        width in 1..70_usize,
        line_end in select(vec!["\n", "\r\n"]),
        lower: bool,
        stop in select(vec!["", "*"]),
        description in select(vec!["", " ", " a protein > of ; note", "\ttab", " \u{fc}ber"]),
        between in select(vec!["", ";a comment > here\n", "\n", " \t\n", "\r\n\r\n"]),
        last_line_ends: bool,
        mark in select(vec!["", "\u{feff}"]),
    ) -> Style {
        Style { width, line_end, lower, stop, description, between, last_line_ends, mark }
    }
}

impl Style {
    fn write(&self, records: &Records) -> Vec<u8> {
        let mut text = [self.mark, self.between].concat().into_bytes();
        for (id, sequence) in records {
            let mut sequence = [sequence, self.stop.as_bytes()].concat();
            if self.lower {
                sequence.make_ascii_lowercase();
            }
            // Behind an empty id, the first word of a description would be the id.
            let description = if id.is_empty() { "" } else { self.description };
            text.extend(
                [
                    b">",
                    &id[..],
                    description.as_bytes(),
                    self.line_end.as_bytes(),
                ]
                .concat(),
            );
            for line in sequence.chunks(self.width) {
                text.extend([line, self.line_end.as_bytes(), self.between.as_bytes()].concat());
            }
        }
        if !self.last_line_ends && text.ends_with(self.line_end.as_bytes()) {
            text.truncate(text.len() - self.line_end.len());
        }
        text
    }
}

/// Ids that need not be unique nor text, and sequences, some of them empty, with `*` inside but not at the end.
fn some_records() -> impl Strategy<Value = Records> {
    let id = vec(select(b"abc|>;*@\xff\0".to_vec()), 0..6);
    let sequence =
        vec(select(b"ACDEFGHIKLMNPQRSTVWY*-X".to_vec()), 0..200).prop_map(|mut sequence| {
            while sequence.last() == Some(&b'*') {
                sequence.pop();
            }
            sequence
        });
    vec((id, sequence), 0..30)
}

/// How a text is compressed: in so many parts, each of them alone.
#[derive(Debug, Clone, Copy)]
enum Packing {
    Plain,
    Gzip(usize),
    Bgzip(usize),
    Zstd(usize),
}

fn packing() -> impl Strategy<Value = Packing> {
    prop_oneof![
        Just(Packing::Plain),
        (1..9_usize).prop_map(Packing::Gzip),
        (1..9_usize).prop_map(Packing::Bgzip),
        (1..9_usize).prop_map(Packing::Zstd),
    ]
}

impl Packing {
    fn pack(self, text: &[u8]) -> Vec<u8> {
        let parts = |count| text.chunks(text.len().div_ceil(count).max(1));
        match self {
            Self::Plain => text.to_vec(),
            Self::Gzip(count) => parts(count).flat_map(gzip).collect(),
            Self::Bgzip(count) => parts(count)
                .chain([&[][..]])
                .flat_map(bgzip_block)
                .collect(),
            Self::Zstd(count) => parts(count).flat_map(zstd).collect(),
        }
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

/// A member of gzip with its own length in a field of the header, as the SAM specification says (4.1).
fn bgzip_block(text: &[u8]) -> Vec<u8> {
    let header = GzBuilder::new()
        .extra(*b"BC\x02\0\0\0")
        .operating_system(255);
    let mut encoder = header.write(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory");
    let mut block = encoder.finish().expect("memory");
    let length = u16::try_from(block.len() - 1).expect("a short block");
    block[16..18].copy_from_slice(&length.to_le_bytes());
    block
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).expect("memory")
}

proptest! {
    #[test]
    fn records_read_back_however_they_are_written_packed_and_cut(
        wanted in some_records(), style in style(), packing in packing(), limit in (1..9_usize, 0..999_usize)
    ) {
        let files = Files::new();
        let path = files.with("it", packing.pack(&style.write(&wanted)));
        let limit = Limit { records: limit.0, residues: limit.1 };
        prop_assert_eq!(records(open(&path).unwrap(), limit).unwrap(), wanted);
    }

    #[test]
    fn any_text_is_read_as_the_naive_reader_does(
        text in vec(select(b">>;;@\n\n\n\r \t\x0baA*\0\xff".to_vec()), 0..80)
    ) {
        let files = Files::new();
        let read = read(&files.with("it", &text));
        match naive(&text) {
            Some(records) => prop_assert_eq!(read.unwrap(), records),
            None => prop_assert!(read.is_err()),
        }
    }

    #[test]
    fn needletail_reads_the_same_where_it_knows_the_dialect(wanted in some_records(), style in style()) {
        // needletail refuses a file that ends in an empty sequence
        let wanted = [wanted, pairs([("", "AC")])].concat();
        let style = Style { between: "", last_line_ends: true, mark: "", lower: false, stop: "", ..style };
        let files = Files::new();
        let path = files.with("it", style.write(&wanted));
        let mut reader = needletail::parse_fastx_file(&path).unwrap();
        let mut theirs = Records::new();
        while let Some(record) = reader.next() {
            let record = record.unwrap();
            let id = record.id().split(u8::is_ascii_whitespace).next().unwrap();
            theirs.push((id.to_vec(), record.seq().into_owned()));
        }
        prop_assert_eq!(read(&path).unwrap(), theirs);
    }

    #[test]
    fn a_table_as_text_holds_what_a_fasta_holds(wanted in some_records(), tabs: bool) {
        let delimiter = if tabs { b'\t' } else { b',' };
        let style = if tabs { csv::QuoteStyle::Never } else { csv::QuoteStyle::Necessary };
        let mut table = csv::WriterBuilder::new().delimiter(delimiter).quote_style(style).from_writer(Vec::new());
        table.write_record(["length", "Seq", "ID"]).unwrap();
        for (id, sequence) in &wanted {
            table.write_record([b"1", &sequence.to_ascii_lowercase()[..], id]).unwrap();
        }
        let table = table.into_inner().unwrap();
        let files = Files::new();
        let path = if tabs { files.with("it.TSV", table) } else { files.with("it.csv.gz", gzip(&table)) };
        prop_assert_eq!(read(&path).unwrap(), wanted);
    }

    #[test]
    fn a_digest_tells_windows_apart_by_their_records(a in some_records(), b in some_records()) {
        let window = |records: &Records| {
            let mut window = Window::default();
            records.iter().for_each(|(id, sequence)| window.push(id, sequence));
            window
        };
        prop_assert_eq!(digest(&window(&a)) == digest(&window(&b)), a == b);
        let moved = Window { number: 7, first: 9, ..window(&a) };
        prop_assert_eq!(digest(&moved), digest(&window(&a)));
    }
}

#[test]
fn a_digest_sees_where_strings_end() {
    let digest = |id: &str, sequence: &str| {
        let mut window = Window::default();
        window.push(id.as_bytes(), sequence.as_bytes());
        digest(&window)
    };
    assert_ne!(digest("a", "AC"), digest("aA", "C"));
}
