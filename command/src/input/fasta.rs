//! FASTA: a line `>id description` begins a record, the lines up to the next are its sequence. Lines end in LF or
//! CRLF, the last one in nothing if it likes. Lines that begin with `;` are comments. The id ends at the first white
//! space.
//!
//! Lines are found in the buffer of the file and copied once, into the window.

use std::io::{BufRead, BufReader};

use memchr::memchr;

use super::bytes::{Bytes, buffered, unreadable, without_mark};
use super::source::Source;
use super::{MOST_BYTES, Records, residues, too_long};
use crate::error::{Error, Result};
use crate::window::Strings;

/// The records of a FASTA file.
pub struct Fasta {
    source: Source,
    bytes: BufReader<Bytes>,
    /// The number of the line that is being read, from 1.
    line: u64,
}

impl Fasta {
    /// Looks for the first record: what holds none is empty, or no FASTA and refused.
    pub fn new(bytes: Bytes, source: Source) -> Result<Self> {
        let bytes = without_mark(bytes, &source.name)?;
        let mut fasta = Self {
            source,
            bytes: buffered(bytes),
            line: 1,
        };
        fasta.find_record()?;
        Ok(fasta)
    }

    /// Passes blank lines and comments up to the `>` of a record. Whether there is one.
    fn find_record(&mut self) -> Result<bool> {
        while let Some(first) = self.first()? {
            match first {
                b'>' => return Ok(true),
                b';' => self.read_line(|_| 0)?,
                _ => self.read_blank_line()?,
            }
        }
        Ok(false)
    }

    fn read_blank_line(&mut self) -> Result<()> {
        let line = self.line;
        let mut letter = None;
        self.read_line(|piece| {
            letter = letter.or(piece.trim_ascii_start().first().copied());
            0
        })?;
        letter.map_or(Ok(()), |letter| Err(no_fasta(&self.source, line, letter)))
    }

    fn read_id(&mut self, ids: &mut Strings) -> Result<()> {
        self.bytes.consume(1);
        let line = self.line;
        let mut ended = false;
        let mut returns = Returns::default();
        self.read_line(|mut piece| {
            returns.watch(piece);
            if ids.open().is_empty() {
                piece = piece.trim_ascii_start();
            }
            if !ended {
                let end = piece.iter().position(u8::is_ascii_whitespace);
                ids.append(&piece[..end.unwrap_or(piece.len())]);
                ended = end.is_some();
            }
            ids.open().len()
        })?;
        ids.end();
        if returns.inside {
            return Err(Error::usage(format!(
                "{}, line {line}: a carriage return stands inside of it; lines that end in that alone, as on old Macs, \
                 are not read; convert them: {}",
                self.source.name,
                self.source.through("tr '\\r' '\\n'")
            )));
        }
        Ok(())
    }

    fn read_sequence(&mut self, sequences: &mut Strings) -> Result<()> {
        while let Some(first) = self.first()? {
            match first {
                b'>' => break,
                b';' => self.read_line(|_| 0)?,
                _ => self.read_line(|piece| {
                    sequences.append(piece.strip_suffix(b"\r").unwrap_or(piece));
                    sequences.open().len()
                })?,
            }
        }
        residues::end(sequences);
        Ok(())
    }

    /// Hands the rest of a line to `take`, in pieces; `take` says how long is what it makes of them.
    fn read_line(&mut self, mut take: impl FnMut(&[u8]) -> usize) -> Result<()> {
        loop {
            let chunk = self
                .bytes
                .fill_buf()
                .map_err(|error| unreadable(&self.source.name, &error))?;
            let end = memchr(b'\n', chunk);
            let piece = &chunk[..end.unwrap_or(chunk.len())];
            let at_end = end.is_some() || chunk.is_empty();
            if take(piece) > MOST_BYTES {
                return Err(too_long(&self.source.name, "line", self.line));
            }
            let count = piece.len() + usize::from(end.is_some());
            self.bytes.consume(count);
            if at_end {
                self.line += 1;
                return Ok(());
            }
        }
    }

    /// The byte that comes next, if any.
    fn first(&mut self) -> Result<Option<u8>> {
        match self.bytes.fill_buf() {
            Ok(chunk) => Ok(chunk.first().copied()),
            Err(error) => Err(unreadable(&self.source.name, &error)),
        }
    }
}

/// Whether a line has carriage returns elsewhere than at its end.
#[derive(Default)]
struct Returns {
    any: bool,
    inside: bool,
}

impl Returns {
    /// Looks at the next piece of the line.
    fn watch(&mut self, piece: &[u8]) {
        let begin = if self.any {
            Some(0)
        } else {
            memchr(b'\r', piece)
        };
        if let Some(begin) = begin {
            self.any = true;
            self.inside |= piece[begin..].iter().any(|&byte| byte != b'\r');
        }
    }
}

/// That `letter` comes first in a line that should be the first of a record.
fn no_fasta(source: &Source, line: u64, letter: u8) -> Error {
    let name = &source.name;
    Error::usage(if letter == b'@' {
        format!(
            "{name} is FASTQ (line {line} begins with `@`), and FASTA is read; convert it: {}",
            source.through("sed -n '1~4s/^@/>/p;2~4p'")
        )
    } else if letter.is_ascii_graphic() {
        format!(
            "{name} is no FASTA: line {line} begins with `{}`, where the `>` of a first record belongs; \
             say what it is by --input-format fasta|csv|tsv|parquet, or put a line `>id` there",
            char::from(letter)
        )
    } else {
        format!(
            "{name} is no FASTA: line {line} begins with the byte 0x{letter:02x}, and text is read; \
             say what it is by --input-format fasta|csv|tsv|parquet, or convert it to FASTA"
        )
    })
}

impl Records for Fasta {
    fn read(&mut self, ids: &mut Strings, sequences: &mut Strings) -> Result<bool> {
        let found = self.find_record()?;
        if found {
            self.read_id(ids)?;
            self.read_sequence(sequences)?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use std::io::Read;

    /// Gives bytes away in pieces of these lengths, over and over.
    struct Pieces(Vec<u8>, Vec<usize>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1.rotate_left(1);
            let count = self.1[0].min(buffer.len()).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn read(bytes: Bytes) -> Result<(Strings, Strings)> {
        let source = Source {
            name: "it".to_owned(),
            is_stdin: false,
            unpacked_by: None,
        };
        let mut fasta = Fasta::new(bytes, source)?;
        let mut records = (Strings::default(), Strings::default());
        while fasta.read(&mut records.0, &mut records.1)? {}
        Ok(records)
    }

    proptest! {
        #[test]
        fn pieces_in_which_a_file_arrives_do_not_matter(
            text in vec(prop::sample::select(b">>;;\n\n\r \taA*\xef\xbb\xbf".to_vec()), 0..60),
            pieces in vec(1..9_usize, 1..9),
        ) {
            let text = [b">".to_vec(), text].concat();
            let whole = read(Box::new(Pieces(text.clone(), vec![usize::MAX]))).map_err(|error| error.to_string());
            let pieces = read(Box::new(Pieces(text, pieces))).map_err(|error| error.to_string());
            prop_assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn a_record_without_end_is_refused_before_memory_is_full() {
        for begin in [">", ">id\n"] {
            let endless = begin.as_bytes().chain(std::io::repeat(b'A'));
            let error = read(Box::new(endless)).unwrap_err().to_string();
            assert!(error.contains("longer than the 256 MiB"), "{error}");
        }
    }
}
