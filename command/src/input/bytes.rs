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
    let (magic, bytes) = peek(bytes, 6, name)?;
    let refuse = |kind: &str, tool: &str| {
        Err(Error::new(format!(
            "{name} is {kind}, which is not read; decompress it: {tool} {name} | toolpool embed -"
        )))
    };
    match magic[..] {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(buffered(bytes)))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let decoder = zstd::Decoder::with_buffer(buffered(bytes));
            Ok(Box::new(decoder.map_err(|error| unreadable(name, &error))?))
        }
        [b'B', b'Z', b'h', ..] => refuse("compressed by bzip2", "bzip2 -dc"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => refuse("compressed by xz", "xz -dc"),
        [b'P', b'K', 3, 4, ..] => refuse("a zip archive", "unzip -p"),
        _ => Ok(bytes),
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
