//! Rows of one shape in a Parquet file: index, id, length, hash, value.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, UInt32Type, UInt64Type};
use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};

use super::{Frame, Shapes, pages};
use crate::error::{Error, Result};
use crate::output::file::Draft;
use crate::output::heads::{Head, Heads, escape, unescape};
use crate::output::run::ValueType;
use crate::output::values::Source;

/// Bytes of values in a row group: what is in memory at a time, in writing and in reading.
const GROUP: usize = 8 << 20;

/// Bytes that are written at a time; the library itself comes with 8 KiB.
const WRITE: usize = 1 << 20;

/// Rows of a row group of an index, which has no values.
const INDEX_GROUP: usize = 1 << 16;

pub fn write(
    draft: &mut Draft,
    frame: &Frame,
    stored: ValueType,
    source: &mut dyn Source,
) -> Result<()> {
    let width = frame.shapes.width();
    let rows = frame.heads.len();
    let step = (GROUP / (width * stored.size()).max(1)).clamp(1, rows.max(1));
    let element = match stored {
        ValueType::Float32 => DataType::Float32,
        ValueType::Float16 => DataType::Float16,
    };
    let element = Arc::new(Field::new_list_field(element, false));
    let list = i32::try_from(width).map_err(|_| {
        failed(
            draft.path(),
            &format!("{width} values are too many for a row"),
        )
    })?;
    let mut fields = head_fields();
    fields.push(Field::new(
        "value",
        DataType::FixedSizeList(element, list),
        false,
    ));

    let path = draft.path().to_owned();
    let mut table = Table::new(draft, fields)?;
    for begin in (0..rows).step_by(step) {
        let group = begin..rows.min(begin + step);
        let columns = head_columns(&frame.heads, group.clone());
        let column = table.column(columns.len());
        let values = pages::chunk(&path, column, group, (width, stored.size()), source)?;
        table.put(columns, Some(values))?;
    }
    table.finish()
}

/// Finds a record in the shards of an output: index, id, length, shard (a path below the directory), row.
pub struct Index<'a> {
    table: Table<'a>,
}

impl<'a> Index<'a> {
    pub fn new(draft: &'a mut Draft) -> Result<Self> {
        let mut fields = head_fields();
        fields.push(Field::new("shard", DataType::Utf8, false));
        fields.push(Field::new("row", DataType::UInt64, false));
        let table = Table::new(draft, fields)?;
        Ok(Self { table })
    }

    /// Adds the rows of a shard.
    pub fn add(&mut self, shard: &str, heads: &Heads) -> Result<()> {
        for begin in (0..heads.len()).step_by(INDEX_GROUP) {
            let group = begin..heads.len().min(begin + INDEX_GROUP);
            let mut columns = head_columns(heads, group.clone());
            columns.push(Arc::new(StringArray::from_iter_values(
                group.clone().map(|_| shard),
            )));
            columns.push(Arc::new(UInt64Array::from_iter_values(
                group.map(|row| row as u64),
            )));
            self.table.put(columns, None)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<()> {
        self.table.finish()
    }
}

/// A Parquet file that is being written, a row group at a time. Its bytes depend on its rows alone.
struct Table<'a> {
    writer: SerializedFileWriter<BufWriter<&'a mut Draft>>,
    columns: ArrowRowGroupWriterFactory,
    groups: usize,
    schema: Arc<Schema>,
    path: PathBuf,
}

impl<'a> Table<'a> {
    fn new(draft: &'a mut Draft, fields: Vec<Field>) -> Result<Self> {
        let path = draft.path().to_owned();
        let schema = Arc::new(Schema::new(fields));
        let index = ColumnPath::from("index");
        let properties = WriterProperties::builder()
            .set_created_by(concat!("toolpool ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(Compression::UNCOMPRESSED) // floats do not compress
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_column_statistics_enabled(index, EnabledStatistics::Chunk)
            .build();
        let draft = BufWriter::with_capacity(WRITE, draft);
        let (writer, columns) = ArrowWriter::try_new(draft, schema.clone(), Some(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|error| because("write", &path, error))?;
        Ok(Self {
            writer,
            columns,
            groups: 0,
            schema,
            path,
        })
    }

    /// What a column is, of which there is one each field.
    fn column(&self, place: usize) -> ColumnDescPtr {
        self.writer.schema_descr().column(place)
    }

    /// Writes a row group: columns, and where the table has one more, that.
    fn put(&mut self, columns: Vec<ArrayRef>, last: Option<pages::Chunk>) -> Result<()> {
        let written = self.write_group(&columns, last);
        written.map_err(|error| because("write", &self.path, error))
    }

    fn write_group(
        &mut self,
        columns: &[ArrayRef],
        last: Option<pages::Chunk>,
    ) -> Result<(), ParquetError> {
        let writers = self.columns.create_column_writers(self.groups)?;
        self.groups += 1;
        let mut group = self.writer.next_row_group()?;
        for ((mut writer, field), column) in
            writers.into_iter().zip(self.schema.fields()).zip(columns)
        {
            for leaf in compute_leaves(field, column)? {
                writer.write(&leaf)?;
            }
            writer.close()?.append_to_row_group(&mut group)?;
        }
        if let Some((bytes, about)) = last {
            group.append_column(&bytes, about)?;
        }
        group.close().map(drop)
    }

    fn finish(mut self) -> Result<()> {
        self.writer
            .finish()
            .map(drop)
            .map_err(|error| because("write", &self.path, error))
    }
}

fn head_fields() -> Vec<Field> {
    vec![
        Field::new("index", DataType::UInt64, false),
        Field::new("id", DataType::Utf8, false),
        Field::new("length", DataType::UInt32, false),
        Field::new("hash", DataType::FixedSizeBinary(HASH), false),
    ]
}

const HASH: i32 = size_of::<u128>() as i32;

fn head_columns(heads: &Heads, rows: Range<usize>) -> Vec<ArrayRef> {
    let hashes: Vec<u8> = heads.hash[rows.clone()]
        .iter()
        .flat_map(|hash| hash.to_be_bytes())
        .collect();
    vec![
        Arc::new(UInt64Array::from(heads.index[rows.clone()].to_vec())),
        Arc::new(StringArray::from_iter_values(
            rows.clone().map(|row| escape(heads.ids.get(row))),
        )),
        Arc::new(UInt32Array::from(heads.length[rows].to_vec())),
        Arc::new(FixedSizeBinaryArray::new(HASH, hashes.into(), None)),
    ]
}

/// Reads rows back; row groups stay in memory one at a time.
pub struct Reader {
    pub frame: Frame,
    file: File,
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// The first row of each row group, and the end of the last.
    groups: Vec<usize>,
    /// The values of the row group that was read last, and which it is.
    values: Option<(usize, ArrayRef)>,
}

impl Reader {
    pub fn open(path: &Path, inner: &[usize]) -> Result<Self> {
        let file = File::open(path).map_err(Error::file("read", path))?;
        let metadata = ArrowReaderMetadata::load(&file, Default::default())
            .map_err(|error| because("read", path, error))?;
        let mut groups = vec![0];
        for group in metadata.metadata().row_groups() {
            groups.push(groups[groups.len() - 1] + group.num_rows() as usize);
        }
        let mut reader = Self {
            frame: Frame::default(),
            file,
            path: path.to_owned(),
            metadata,
            groups,
            values: None,
        };
        reader.frame.heads = reader.read_heads()?;
        reader.frame.shapes = Shapes::new(0, inner);
        Ok(reader)
    }

    fn read_heads(&self) -> Result<Heads> {
        let mut heads = Heads::default();
        for batch in self.read(&["index", "id", "length", "hash"], None)? {
            let batch = batch.map_err(|reason| failed(&self.path, &reason))?;
            let columns = (
                batch.column(0).as_primitive_opt::<UInt64Type>(),
                batch.column(1).as_string_opt::<i32>(),
                batch.column(2).as_primitive_opt::<UInt32Type>(),
                batch.column(3).as_fixed_size_binary_opt(),
            );
            let (Some(index), Some(ids), Some(lengths), Some(hashes)) = columns else {
                return Err(failed(&self.path, &"its columns are of other types"));
            };
            for row in 0..batch.num_rows() {
                let id = unescape(ids.value(row))
                    .ok_or_else(|| failed(&self.path, &"an id is not escaped as it must be"))?;
                let hash = hashes
                    .value(row)
                    .try_into()
                    .map_err(|reason| failed(&self.path, &reason))?;
                heads.push(Head {
                    index: index.value(row),
                    id: &id,
                    length: lengths.value(row),
                    hash: u128::from_be_bytes(hash),
                });
            }
        }
        Ok(heads)
    }

    /// The columns of these names, of one row group or of all.
    fn read(
        &self,
        columns: &[&str],
        group: Option<usize>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, ArrowError>>> {
        let file = self
            .file
            .try_clone()
            .map_err(Error::file("read", &self.path))?;
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        if let Some(group) = group {
            builder = builder
                .with_row_groups(vec![group])
                .with_batch_size(self.groups[group + 1] - self.groups[group]);
        }
        builder
            .with_projection(mask)
            .build()
            .map_err(|error| because("read", &self.path, error))
    }

    /// The values of a row group, all rows in one array.
    fn group(&mut self, group: usize) -> Result<&ArrayRef> {
        if self.values.as_ref().is_none_or(|(read, _)| *read != group) {
            self.values = None;
            let batch = self.read(&["value"], Some(group))?.next();
            let batch = batch.ok_or_else(|| failed(&self.path, &"a row group is empty"))?;
            let batch = batch.map_err(|reason| failed(&self.path, &reason))?;
            let lists = batch.column(0).as_fixed_size_list_opt();
            let lists = lists
                .ok_or_else(|| failed(&self.path, &"its values are no lists of a fixed size"))?;
            self.values = Some((group, lists.values().clone()));
        }
        Ok(&self.values.as_ref().expect("read above").1)
    }
}

impl Source for Reader {
    fn append(&mut self, row: usize, values: Range<usize>, to: &mut Vec<u8>) -> Result<()> {
        let group = self.groups.partition_point(|&first| first <= row) - 1;
        let begin = (row - self.groups[group]) * self.frame.shapes.width();
        let values = begin + values.start..begin + values.end;
        let path = self.path.clone();
        let array = self.group(group)?;
        let bytes = if let Some(array) = array.as_primitive_opt::<Float32Type>() {
            array.values().get(values).map(bytemuck::cast_slice)
        } else if let Some(array) = array.as_primitive_opt::<Float16Type>() {
            array.values().get(values).map(bytemuck::cast_slice)
        } else {
            None
        };
        to.extend_from_slice(
            bytes.ok_or_else(|| failed(&path, &"its values are of another type or fewer"))?,
        );
        Ok(())
    }
}

/// What the Parquet library says, as an error of the file where it is one.
pub fn because(doing: &'static str, path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => Error::file(doing, path)(*error),
            Err(other) => failed(path, &other),
        },
        other => failed(path, &other),
    }
}

fn failed(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(format!("{}: {reason}", path.display()))
}
