//! A matrix of many records in a safetensors file, and whose its rows are.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::{Frame, Shapes, flat};
use crate::error::{Error, Result};
use crate::output::file::Draft;
use crate::output::heads::Head;
use crate::output::run::ValueType;
use crate::output::values::Source;

/// The tensors of a shard of n rows, in the order in which they lie: those of 8 bytes first, so that all are aligned.
const OFFSETS: &str = "offsets"; // [n + 1], rows of `values`
const INDEX: &str = "index"; // [n]
const LENGTHS: &str = "lengths"; // [n]
const ID_OFFSETS: &str = "id_offsets"; // [n + 1], bytes of `ids`
const SHAPES: &str = "shapes"; // [n, dimensions of its own that a row has]
const VALUES: &str = "values"; // [offsets[n], dimensions that all rows have alike]
const HASHES: &str = "hashes"; // [n, 16], big-endian
const IDS: &str = "ids"; // bytes

/// The header is padded so that the tensors begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// As the library's own limit for headers, which none of ours comes near.
const LONGEST_HEADER: u64 = 100_000_000;

pub fn write(
    draft: &mut Draft,
    frame: &Frame,
    stored: ValueType,
    source: &mut dyn Source,
) -> Result<()> {
    let Frame { heads, shapes } = frame;
    let rows = heads.len();
    let offsets = flat::offsets(shapes, rows);
    let matrix: Vec<usize> = offsets
        .last()
        .copied()
        .into_iter()
        .chain(shapes.inner.iter().copied())
        .collect();

    draft.put(
        &header(frame, matrix, stored)
            .map_err(|reason| unusable(draft.path(), &reason.to_string()))?,
    )?;
    draft.put(&integers(offsets.iter().map(|&offset| offset as u64)))?;
    draft.put(&integers(heads.index.iter().copied()))?;
    draft.put(&integers(heads.length.iter().map(|&length| length.into())))?;
    draft.put(&integers(
        heads.ids.offsets().iter().map(|&offset| offset as u64),
    ))?;
    draft.put(&integers(
        (0..rows)
            .flat_map(|row| shapes.outer(row))
            .map(|&dimension| dimension as u64),
    ))?;
    flat::write(draft, frame, source)?;
    let hashes: Vec<u8> = heads
        .hash
        .iter()
        .flat_map(|hash| hash.to_be_bytes())
        .collect();
    draft.put(&hashes)?;
    draft.put(heads.ids.data())
}

fn header(
    frame: &Frame,
    matrix: Vec<usize>,
    stored: ValueType,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let rows = frame.heads.len();
    let float = match stored {
        ValueType::Float32 => Dtype::F32,
        ValueType::Float16 => Dtype::F16,
    };
    let tensors = [
        (OFFSETS, Dtype::I64, vec![rows + 1]),
        (INDEX, Dtype::I64, vec![rows]),
        (LENGTHS, Dtype::I64, vec![rows]),
        (ID_OFFSETS, Dtype::I64, vec![rows + 1]),
        (SHAPES, Dtype::I64, vec![rows, frame.shapes.rank()]),
        (VALUES, float, matrix),
        (HASHES, Dtype::U8, vec![rows, 16]),
        (IDS, Dtype::U8, vec![frame.heads.ids.data().len()]),
    ];
    let mut end = 0;
    let tensors = tensors.map(|(name, dtype, shape)| {
        let begin = end;
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let data_offsets = (begin, end);
        (
            name.to_owned(),
            TensorInfo {
                dtype,
                shape,
                data_offsets,
            },
        )
    });
    let mut text = serde_json::to_vec(&Metadata::new(None, tensors.into())?)?;
    let prefix = size_of::<u64>();
    text.resize(
        (prefix + text.len()).next_multiple_of(ALIGNMENT) - prefix,
        b' ',
    );
    Ok([&(text.len() as u64).to_le_bytes(), text.as_slice()].concat())
}

fn integers(values: impl Iterator<Item = u64>) -> Vec<u8> {
    values.flat_map(u64::to_le_bytes).collect()
}

pub fn open(path: &Path, stored: ValueType, inner: &[usize]) -> Result<flat::Reader> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    let tensors = Tensors::read(&file, path)?;
    let index = tensors.integers(INDEX)?;
    let lengths = tensors.integers(LENGTHS)?;
    let hashes = tensors.bytes(HASHES)?;
    let ids = tensors.bytes(IDS)?;
    let id_offsets = tensors.integers(ID_OFFSETS)?;
    let outer: Vec<usize> = tensors
        .integers(SHAPES)?
        .into_iter()
        .map(|dimension| dimension as usize)
        .collect();
    let rank = tensors.info(SHAPES)?.shape.get(1).copied().unwrap_or(0);

    let rows = index.len();
    let fits = lengths.len() == rows
        && hashes.len() == rows * 16
        && id_offsets.len() == rows + 1
        && outer.len() == rows * rank;
    if !fits {
        return Err(unusable(path, "its tensors are of different lengths"));
    }
    let mut frame = Frame {
        shapes: Shapes::new(rank, inner),
        ..Frame::default()
    };
    for row in 0..rows {
        let id = ids
            .get(id_offsets[row] as usize..id_offsets[row + 1] as usize)
            .ok_or_else(|| unusable(path, "its ids lie outside"))?;
        let mut hash = [0; 16];
        hash.copy_from_slice(&hashes[row * 16..][..16]);
        frame.heads.push(Head {
            index: index[row],
            id,
            length: lengths[row] as u32,
            hash: u128::from_be_bytes(hash),
        });
        frame.shapes.push(&outer[row * rank..(row + 1) * rank]);
    }
    let base = tensors.base + tensors.info(VALUES)?.data_offsets.0 as u64;
    Ok(flat::Reader::new(file, path, base, frame, stored))
}

/// The header of a file, and what is read by it.
struct Tensors<'a> {
    file: &'a File,
    path: &'a Path,
    metadata: Metadata,
    /// Where the tensors begin.
    base: u64,
}

impl<'a> Tensors<'a> {
    fn read(file: &'a File, path: &'a Path) -> Result<Self> {
        let mut length = [0; 8];
        file.read_exact_at(&mut length, 0)
            .map_err(Error::file("read", path))?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER {
            return Err(unusable(path, "its header is too long"));
        }
        let mut text = vec![0; length as usize];
        file.read_exact_at(&mut text, 8)
            .map_err(Error::file("read", path))?;
        let metadata =
            serde_json::from_slice(&text).map_err(|reason| unusable(path, &reason.to_string()))?;
        let base = 8 + length;
        Ok(Self {
            file,
            path,
            metadata,
            base,
        })
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        let info = self.metadata.info(name);
        info.ok_or_else(|| unusable(self.path, &format!("it has no tensor {name:?}")))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let (begin, end) = self.info(name)?.data_offsets;
        let mut bytes = vec![0; end - begin];
        let at = self.base + begin as u64;
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(Error::file("read", self.path))?;
        Ok(bytes)
    }

    fn integers(&self, name: &str) -> Result<Vec<u64>> {
        let bytes = self.bytes(name)?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().map(|&word| u64::from_le_bytes(word)).collect())
    }
}

fn unusable(path: &Path, reason: &str) -> Error {
    Error::new(format!(
        "{} cannot be used: {reason}; \
         `toolpool verify` lists what is damaged, and giving the run's command again repairs it",
        path.display()
    ))
}
