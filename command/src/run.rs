//! `toolpool run`: a model in a file over tensors in a file.
//!
//! The first dimension of every tensor counts the items. Outputs of one shape are stacked; of outputs whose shapes differ, the
//! values lie one behind the other, and `NAME.offsets` says where each begins.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use safetensors::tensor::{Metadata, View};
use safetensors::{Dtype as Stored, SafeTensors};
use toolpool::mem::{Field, Items, Results};
use toolpool::pool::{Job, JobOptions};
use toolpool::report::words::{count, time};
use toolpool::value::{Dtype, Shape};

use crate::args::Run;
use crate::error::{Error, Result};
use crate::terminal::{self, Ending};
use crate::tool::{self, refused};

/// So many failures are said one by one.
const SAID: usize = 10;

/// Runs every item and writes its outputs.
pub fn run(arguments: &Run) -> Result<Ending> {
    let items = read(&arguments.inputs)?;
    let tool = tool::open("auto", &arguments.model, &arguments.computing, &[])?;
    let pool = tool::pool(&arguments.computing.devices)?;
    let options = JobOptions::default();
    let job = pool
        .submit(tool.tool(), Arc::new(items), &options)
        .map_err(refused)?;
    wait(&job);
    let results = job
        .results()
        .map_err(|error| Error::new(error.to_string()))?;
    let results = results.ok_or_else(|| Error::new("the job has no results"))?;
    let failures = failures(&results);
    write(&arguments.output, &results, &failures)?;
    let report = job.report();
    terminal::note(&format!(
        "{} in {}; {}",
        count(report.total, "item"),
        time(report.elapsed),
        arguments.output.display()
    ));
    tell(&failures);
    Ok(match failures.len() {
        0 => Ending::Whole,
        all if all == results.len() => Ending::Failed,
        _ => Ending::Partial,
    })
}

fn wait(job: &Job) {
    while !job.wait(Some(Duration::from_secs(10))) {
        let progress = job.progress();
        terminal::note(&format!(
            "{} of {}",
            progress.done,
            count(progress.total, "item")
        ));
    }
}

/// The rows of a safetensors file as items, a field each tensor.
fn read(path: &Path) -> Result<Items> {
    let refused_file = |reason: String| {
        Error::usage(format!(
            "{} cannot be the inputs: {reason}; give tensors of one first dimension, which counts the items",
            path.display()
        ))
    };
    let memory = Arc::new(fs::read(path).map_err(Error::file("read", path))?);
    let (header, metadata) = SafeTensors::read_metadata(&memory)
        .map_err(|reason| refused_file(format!("it is no safetensors file ({reason})")))?;
    let data = header + size_of::<u64>();
    let mut items: Option<Items> = None;
    for name in names(&metadata) {
        let field = field(&name, &metadata, &memory, data).map_err(refused_file)?;
        match &mut items {
            None => items = Some(Items::new(field)),
            Some(items) => items
                .add(field)
                .map_err(|error| refused_file(error.to_string()))?,
        }
    }
    items.ok_or_else(|| refused_file("it holds no tensors".to_owned()))
}

fn names(metadata: &Metadata) -> Vec<String> {
    let mut names: Vec<String> = metadata.tensors().into_keys().collect();
    names.sort();
    names
}

/// The tensor `name` as a field; `data` is where tensors begin in the file.
fn field(
    name: &str,
    metadata: &Metadata,
    memory: &Arc<Vec<u8>>,
    data: usize,
) -> Result<Field, String> {
    let info = metadata.info(name).ok_or("a tensor is missing")?;
    let dtype =
        computed(info.dtype).ok_or_else(|| format!("the tensor '{name}' is {:?}", info.dtype))?;
    let (&count, sizes) = info
        .shape
        .split_first()
        .ok_or_else(|| format!("the tensor '{name}' has no dimension"))?;
    let sizes: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
    let shape = Shape::new(&sizes).map_err(|error| error.to_string())?;
    let bytes = shape.bytes(dtype).map_err(|error| error.to_string())?;
    let begin = data + info.data_offsets.0;
    let places = (0..count).map(|item| (begin + item * bytes, dtype, shape));
    Field::placed(name, memory, places).map_err(|error| error.to_string())
}

/// Why items failed, by index.
fn failures(results: &Results) -> Vec<(usize, String)> {
    let failure = |item| results.error(item).map(|error| (item, error.to_string()));
    (0..results.len()).filter_map(failure).collect()
}

fn tell(failures: &[(usize, String)]) {
    for (item, reason) in failures.iter().take(SAID) {
        terminal::warn(&format!("item {item} failed: {reason}"));
    }
    if failures.len() > SAID {
        terminal::warn(&format!(
            "{} more failed; the metadata of the output lists them all",
            failures.len() - SAID
        ));
    }
}

/// Writes the outputs whole, or not at all.
fn write(path: &Path, results: &Results, failures: &[(usize, String)]) -> Result<()> {
    let mut tensors = Vec::new();
    for name in results.names() {
        tensors.extend(stacked(results, name)?);
    }
    let failed = failures
        .iter()
        .map(|(item, reason)| (item.to_string(), reason.clone()));
    let failed: serde_json::Map<String, serde_json::Value> =
        failed.map(|(item, reason)| (item, reason.into())).collect();
    let about = (!failed.is_empty()).then(|| {
        HashMap::from([(
            "failed".to_owned(),
            serde_json::Value::Object(failed).to_string(),
        )])
    });
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    safetensors::serialize_to_file(tensors, about, partial)
        .map_err(|reason| Error::new(format!("cannot write {}: {reason}", partial.display())))?;
    fs::rename(partial, path).map_err(Error::file("write", path))
}

/// A tensor to be written.
struct Tensor {
    dtype: Stored,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl View for Tensor {
    fn dtype(&self) -> Stored {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// An output of all items. Items that failed have zeros where shapes are one, and nothing where they differ.
fn stacked(results: &Results, name: &str) -> Result<Vec<(String, Tensor)>> {
    let values: Vec<_> = (0..results.len())
        .map(|item| results.value(item, name).ok())
        .collect();
    let present = || values.iter().flatten();
    let Some(first) = present().next() else {
        return Ok(Vec::new());
    };
    let dtype = stored(first.dtype);
    if present().any(|value| value.dtype != first.dtype) {
        return Err(Error::new(format!(
            "the output '{name}' is of one type for some items and of another for others"
        )));
    }
    let alike = present().all(|value| value.shape == first.shape);
    let gap = if alike { first.data.len() } else { 0 };
    let (mut data, mut offsets) = (Vec::new(), vec![0_i64]);
    for value in &values {
        match value {
            Some(value) => data.extend_from_slice(value.data),
            None => data.resize(data.len() + gap, 0),
        }
        offsets.push((data.len() / first.dtype.size()) as i64);
    }
    let sizes = first.shape.dims().iter().map(|&size| size as usize);
    let shape = match alike {
        true => std::iter::once(values.len()).chain(sizes).collect(),
        false => vec![data.len() / first.dtype.size()],
    };
    let mut tensors = vec![(name.to_owned(), Tensor { dtype, shape, data })];
    if !alike {
        let offsets = Tensor {
            dtype: Stored::I64,
            shape: vec![offsets.len()],
            data: offsets
                .iter()
                .flat_map(|offset| offset.to_le_bytes())
                .collect(),
        };
        tensors.push((format!("{name}.offsets"), offsets));
    }
    Ok(tensors)
}

/// The type of a stored one, where tools know it.
fn computed(dtype: Stored) -> Option<Dtype> {
    Some(match dtype {
        Stored::BOOL => Dtype::Bool,
        Stored::U8 => Dtype::UInt8,
        Stored::I8 => Dtype::Int8,
        Stored::I16 => Dtype::Int16,
        Stored::I32 => Dtype::Int32,
        Stored::I64 => Dtype::Int64,
        Stored::F16 => Dtype::Float16,
        Stored::BF16 => Dtype::BFloat16,
        Stored::F32 => Dtype::Float32,
        Stored::F64 => Dtype::Float64,
        _ => return None,
    })
}

fn stored(dtype: Dtype) -> Stored {
    match dtype {
        Dtype::Bytes | Dtype::UInt8 => Stored::U8,
        Dtype::Bool => Stored::BOOL,
        Dtype::Int8 => Stored::I8,
        Dtype::Int16 => Stored::I16,
        Dtype::Int32 => Stored::I32,
        Dtype::Int64 => Stored::I64,
        Dtype::Float16 => Stored::F16,
        Dtype::BFloat16 => Stored::BF16,
        Dtype::Float32 => Stored::F32,
        Dtype::Float64 => Stored::F64,
    }
}
