//! What the weights of a model in a file will take of memory, before it is loaded.

use crate::shim;
use std::collections::HashMap;
use std::path::Path;
use tch::Kind;

/// Bytes of the weights in the file at `path`, those of floating point cast to `kind`: what the file has, less what the
/// cast saves. The whole file without a `kind`, or where its list of tensors cannot be read.
pub fn bytes(path: &Path, kind: Option<Kind>) -> u64 {
    let file = path.metadata().map_or(0, |file| file.len());
    let Some(kind) = kind else {
        return file;
    };
    let list = shim::model::archive_file(path, c"data.pkl").ok();
    let Some(storages) = list.as_deref().and_then(storages) else {
        return file;
    };
    let floating = storages
        .values()
        .filter_map(|&(class, elements)| Some((elements, floating_size(class)?)));
    floating.fold(file, |bytes, (elements, size)| {
        let cast = elements.saturating_mul(kind.elt_size_in_bytes() as u64);
        bytes
            .saturating_sub(elements.saturating_mul(size))
            .saturating_add(cast)
    })
}

/// Bytes of an element in a storage of this class; none if it is not of floating point.
fn floating_size(class: &str) -> Option<u64> {
    match class {
        "DoubleStorage" => Some(8),
        "FloatStorage" => Some(4),
        "HalfStorage" | "BFloat16Storage" => Some(2),
        _ => class.starts_with("Float8_").then_some(1),
    }
}

/// What an instruction of a pickle makes, as far as storages are told by it.
#[derive(Clone, Copy)]
enum Value<'a> {
    Class(&'a str),
    Text(&'a [u8]),
    Number(u64),
    Other,
}

/// The storages of tensors in a pickle, by their keys: class and number of elements. Nothing is made of what the pickle
/// says: its instructions are passed over (those that TorchScript writes, of PyTorch's pickler.h; None for any other), and
/// a storage is the four values before a BINPERSID: class, key, device, number of elements.
fn storages(pickle: &[u8]) -> Option<HashMap<&[u8], (&str, u64)>> {
    let mut rest = Rest(pickle);
    let mut values = vec![Value::Other];
    let mut memo = HashMap::new();
    let mut found = HashMap::new();
    loop {
        let value = match rest.take(1)?[0] {
            b'.' => return Some(found),
            b'Q' => match values[..] {
                [
                    ..,
                    Value::Class(class),
                    Value::Text(key),
                    _,
                    Value::Number(elements),
                ] => {
                    found.insert(key, (class, elements));
                    Value::Other
                }
                _ => return None,
            },
            b'c' => {
                rest.line()?; // Its module.
                Value::Class(rest.line()?)
            }
            b'X' => {
                let length = rest.number(4)?;
                Value::Text(rest.take(length)?)
            }
            b'K' => Value::Number(rest.number(1)? as u64),
            b'M' => Value::Number(rest.number(2)? as u64),
            b'J' => Value::Number(rest.number(4)? as u64),
            0x8a => {
                let width = rest.number(1)?;
                Value::Number(rest.number(width)? as u64)
            }
            b'h' => *memo.get(&rest.number(1)?)?,
            b'j' => *memo.get(&rest.number(4)?)?,
            put @ (b'q' | b'r') => {
                let place = rest.number(if put == b'q' { 1 } else { 4 })?;
                memo.insert(place, *values.last()?);
                continue;
            }
            0x80 => {
                rest.take(1)?; // The protocol.
                continue;
            }
            b'G' => {
                rest.take(8)?;
                Value::Other
            }
            // Marks, tuples, lists, dicts, None, truth, objects: they have no more bytes.
            b'('
            | b')'
            | b't'
            | 0x85..=0x87
            | b']'
            | b'a'
            | b'e'
            | b'}'
            | b's'
            | b'u'
            | b'N'
            | 0x81
            | 0x88
            | 0x89
            | b'R'
            | b'b' => continue,
            _ => return None,
        };
        values.push(value);
    }
}

/// What is left to read of a pickle.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `width` bytes, the lowest first.
    fn number(&mut self, width: usize) -> Option<usize> {
        let mut bytes = [0; size_of::<usize>()];
        bytes.get_mut(..width)?.copy_from_slice(self.take(width)?);
        Some(usize::from_le_bytes(bytes))
    }

    fn line(&mut self) -> Option<&'a str> {
        let length = self.0.iter().position(|&byte| byte == b'\n')?;
        let line = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As torch.jit.save writes it: three tensors, of which two share a storage, and an attribute.
    const PICKLE: &[&[u8]] = &[
        b"\x80\x02c__torch__\nModel\nq\x00)\x81}(",
        b"X\x06\0\0\0weightq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\0\0\0storageq\x03",
        b"ctorch\nHalfStorage\nq\x04X\x01\0\0\x000q\x05X\x03\0\0\0cpuq\x06J\0\0\x01\0tQq\x07",
        b"K\0(M\0\x01M\0\x01t(M\0\x01K\x01t\x89ccollections\nOrderedDict\nq\x08)RtRq\x09",
        b"X\x04\0\0\0viewq\x0ah\x02((h\x03h\x04h\x05h\x06J\0\0\x01\0tQq\x0bK\0(K\x05t(K\x01t\x89h\x08)RtRq\x0c",
        b"X\x03\0\0\0idsq\x0dh\x02((h\x03ctorch\nLongStorage\nr\0\x01\0\0X\x01\0\0\x001q\x0eh\x06K\x05tQq\x0f",
        b"K\0(K\x05t(K\x01t\x89h\x08)RtRq\x10X\x05\0\0\0scaleq\x11G\x3f\xf0\0\0\0\0\0\0ub.",
    ];

    #[test]
    fn storages_are_found_once_each() {
        let pickle = PICKLE.concat();
        let found = storages(&pickle).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[&b"0"[..]], ("HalfStorage", 65_536));
        assert_eq!(found[&b"1"[..]], ("LongStorage", 5));
    }

    #[test]
    fn a_pickle_that_is_cut_or_not_known_has_no_list() {
        let pickle = PICKLE.concat();
        for length in 0..pickle.len() {
            assert!(storages(&pickle[..length]).is_none(), "{length} bytes");
        }
        for strange in [
            &b"\x80\x04\x95."[..],
            b"Q.",
            b"h\x05.",
            b"\x8a\x09123456789.",
        ] {
            assert!(storages(strange).is_none(), "{strange:?}");
        }
    }

    #[test]
    fn only_floating_point_is_cast() {
        let sizes = ["DoubleStorage", "FloatStorage", "HalfStorage"].map(floating_size);
        assert_eq!(sizes, [Some(8), Some(4), Some(2)]);
        assert_eq!(floating_size("BFloat16Storage"), Some(2));
        assert_eq!(floating_size("Float8_e4m3fnStorage"), Some(1));
        for class in ["LongStorage", "BoolStorage", "ComplexFloatStorage"] {
            assert_eq!(floating_size(class), None, "{class}");
        }
    }
}
