//! Bytes of a file, and what they hold when they are compressed, which is known by how they begin.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

/// What is read at once.
const BUFFER: usize = 256 << 10;

/// Bytes from somewhere.
pub type Bytes = Box<dyn Read + Send>;

/// What `bytes` hold, decompressed. `name` is for messages.
pub fn decompress(bytes: Bytes, name: &str) -> Result<Bytes> {
    let (magic, bytes) = peek(bytes, 14, name)?;
    let refuse = |kind: &str, tool: &str| {
        Err(Error::new(format!(
            "{name} is {kind}, which is not read; decompress it: {tool} {name} | toolpool embed -"
        )))
    };
    match magic[..] {
        [0x1f, 0x8b, _, flags, .., b'B', b'C'] if flags & 4 != 0 => Ok(Box::new(
            MultiGzDecoder::new(buffered(Box::new(Bgzip::new(bytes)))),
        )),
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(buffered(bytes)))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let decoder = zstd::Decoder::with_buffer(buffered(bytes));
            Ok(Box::new(decoder.map_err(|error| unreadable(name, &error))?))
        }
        [b'B', b'Z', b'h', ..] => refuse("compressed by bzip2", "bzip2 -dc"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => refuse("compressed by xz", "xz -dc"),
        [b'P', b'K', 3, 4, ..] => refuse("a zip archive", "unzip -p"),
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

/// That `name` could not be read.
pub fn unreadable(name: &str, error: &io::Error) -> Error {
    Error::new(match error.kind() {
        ErrorKind::UnexpectedEof => {
            format!("{name} ends inside its compressed data ({error}): it is cut off; get it again")
        }
        ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            format!("the compressed data of {name} are damaged ({error}); get it again")
        }
        _ => format!("{name} cannot be read: {error}"),
    })
}
