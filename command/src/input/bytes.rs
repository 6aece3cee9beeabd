//! Bytes of a file, and what they hold when they are compressed, which is known by how they begin.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use super::source::Source;
use crate::error::{Error, Result};

/// What is read at once.
const BUFFER: usize = 256 << 10;

/// Bytes from somewhere.
pub type Bytes = Box<dyn Read + Send>;

/// What the bytes of `source` hold, decompressed; it is told what unpacks them.
pub fn decompress(bytes: Bytes, source: &mut Source) -> Result<Bytes> {
    let (magic, bytes) = peek(bytes, 14, &source.name)?;
    let refuse = |kind: &str, unpack: &str| {
        Err(Error::usage(format!(
            "{} is {kind}, which is not read; unpack it: {}",
            source.name,
            source.through(unpack)
        )))
    };
    match magic[..] {
        [0x1f, 0x8b, _, flags, .., b'B', b'C'] if flags & 4 != 0 => {
            source.unpacked_by = Some("gzip -dc");
            let bytes = Box::new(Bgzip::new(bytes));
            Ok(Box::new(MultiGzDecoder::new(buffered(bytes))))
        }
        [0x1f, 0x8b, ..] => {
            source.unpacked_by = Some("gzip -dc");
            Ok(Box::new(MultiGzDecoder::new(buffered(bytes))))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            source.unpacked_by = Some("zstd -dc");
            let decoder = zstd::Decoder::with_buffer(buffered(bytes));
            let decoder = decoder.map_err(|error| unreadable(&source.name, &error))?;
            Ok(Box::new(decoder))
        }
        [b'B', b'Z', b'h', ..] => refuse("compressed by bzip2", "bzip2 -dc"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => refuse("compressed by xz", "xz -dc"),
        [b'P', b'K', 3, 4, ..] => refuse("a zip archive", "funzip"),
        _ => Ok(bytes),
    }
}

/// The empty block that ends bgzip's files (SAM specification, 4.1.2): gzip alone does not miss blocks that were cut
/// off.
const BGZIP_END: [u8; 28] =
    *b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0";

/// A file of bgzip, which must end as such.
struct Bgzip {
    bytes: Bytes,
    /// The last bytes that were read, as many as [`BGZIP_END`] has.
    last: Vec<u8>,
}

impl Bgzip {
    fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            last: Vec::new(),
        }
    }
}

impl Read for Bgzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.last != BGZIP_END {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "bgzip's last block is missing",
            ));
        }
        self.last
            .extend(&buffer[count.saturating_sub(BGZIP_END.len())..count]);
        let surplus = self.last.len().saturating_sub(BGZIP_END.len());
        self.last.drain(..surplus);
        Ok(count)
    }
}

pub fn buffered(bytes: Bytes) -> BufReader<Bytes> {
    BufReader::with_capacity(BUFFER, bytes)
}

/// The first `count` bytes, fewer where there are no more; and all bytes, these among them.
pub fn peek(mut bytes: Bytes, count: u64, name: &str) -> Result<(Vec<u8>, Bytes)> {
    let mut head = Vec::new();
    let read = bytes.by_ref().take(count).read_to_end(&mut head);
    read.map_err(|error| unreadable(name, &error))?;
    let all = Cursor::new(head.clone()).chain(bytes);
    Ok((head, Box::new(all)))
}

/// Text without the mark by which some editors begin UTF-8.
pub fn without_mark(bytes: Bytes, name: &str) -> Result<Bytes> {
    let (head, mut bytes) = peek(bytes, 3, name)?;
    if head == "\u{feff}".as_bytes() {
        let passed = bytes.read_exact(&mut [0; 3]);
        passed.map_err(|error| unreadable(name, &error))?;
    }
    Ok(bytes)
}

fn damaged(name: &str, error: &io::Error) -> Error {
    Error::usage(format!(
        "the compressed data of {name} are damaged ({error}); get it again"
    ))
}

/// That `name` could not be read.
pub fn unreadable(name: &str, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::usage(format!(
            "{name} ends inside its compressed data ({error}): it is cut off; get it again"
        )),
        ErrorKind::InvalidData | ErrorKind::InvalidInput => damaged(name, error),
        // That of zstd has no kind.
        ErrorKind::Other if error.raw_os_error().is_none() => damaged(name, error),
        _ => Error::new(format!("{name} cannot be read: {error}")),
    }
}
