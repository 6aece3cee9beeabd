//! `toolpool run`: a model in a file over tensors in a file.
//!
//! The first dimension of every tensor counts the items. Outputs of one shape are stacked; of outputs whose shapes differ, the
//! values lie one behind the other, `NAME.offsets` says where each begins, and `NAME.shapes` what shape it has.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use safetensors::tensor::{Metadata, View};
use safetensors::{Dtype as Stored, SafeTensorError, SafeTensors};
use tempfile::NamedTempFile;
use toolpool::error::{Error as Refusal, Status};
use toolpool::mem::{Field, Items, Results};
use toolpool::pool::{Job, JobOptions, Pool};
use toolpool::report::words::{count, time};
use toolpool::tool::Tool;
use toolpool::value::{Dtype, Shape};

use crate::args::Run;
use crate::error::{Error, Result};
use crate::terminal::{self, Ending, Work};
use crate::tool::{self, refused};

/// So many reasons of failures are said one by one.
const SAID: usize = 10;
/// The size of a dimension that the value of an item does not have.
const NONE: i64 = -1;

/// Gets the model and its items ready.
pub fn run(arguments: &Run) -> Result<Work<'_>> {
    let model = model(&arguments.model)?;
    check_place(&arguments.output, &[model, &arguments.inputs])?;
    let (items, fields) = read(&arguments.inputs)?;
    let tool = tool::open("auto", &arguments.model, &arguments.computing, &[])?;
    let pool = tool::pool(&arguments.computing.devices)?;
    let ready = Ready {
        items: Arc::new(items),
        fields,
        tool: tool.tool(),
        pool,
    };
    Ok(Box::new(move || compute(arguments, ready)))
}

/// What a run needs.
struct Ready {
    items: Arc<Items>,
    /// The tensors of the file, for messages.
    fields: Vec<String>,
    tool: Arc<dyn Tool>,
    pool: Pool,
}

/// Runs every item and writes its outputs.
fn compute(arguments: &Run, ready: Ready) -> Result<Ending> {
    let options = JobOptions::default();
    let job = ready
        .pool
        .submit(ready.tool, ready.items, &options)
        .map_err(refused)?;
    wait(&job);
    let misfit = |error: &Refusal| {
        let (file, fields) = (arguments.inputs.display(), ready.fields.join(", "));
        Error::usage(format!("{error}; the tensors of {file} are {fields}"))
    };
    let results = job.results().map_err(|error| match is_of_the_job(&error) {
        true => misfit(&error),
        false => Error::new(error.to_string()),
    })?;
    let results = results.ok_or_else(|| Error::new("the job has no results"))?;
    if let Some(error) = common(&results).filter(|error| is_of_the_job(error)) {
        return Err(misfit(error));
    }
    let place = arguments.output.display();
    let failures = failures(&results);
    let written = failures.is_empty() || failures.len() < results.len();
    if written {
        write(&arguments.output, &results, &failures)?;
        let report = job.report();
        let (items, time) = (count(report.total, "item"), time(report.elapsed));
        terminal::note(&format!("{items} in {time}; {place}"));
    }
    tell(&failures);
    if !written {
        terminal::warn(&format!("every item failed, so {place} is not written"));
    }
    Ok(match failures.len() {
        0 => Ending::Whole,
        _ => Ending::Partial,
    })
}

/// Whether an error is about what a model was given, whatever an item holds.
fn is_of_the_job(error: &Refusal) -> bool {
    matches!(error.status(), Status::Argument | Status::Option)
}

/// The error that all items have.
fn common(results: &Results) -> Option<&Refusal> {
    let first = results.error(0)?;
    let said = first.to_string();
    let same = |item| {
        let other = results.error(item);
        other.is_some_and(|other| other.to_string() == said)
    };
    (1..results.len()).all(same).then_some(first)
}

/// The file of the model; other tools than those of files are other commands.
fn model(source: &str) -> Result<&Path> {
    let path = Path::new(source);
    if path.is_dir() {
        return Err(Error::usage(format!(
            "{source} is a folder, and this runs a model in a file, .pt or .pt2; for ESM-2: toolpool embed -m {source}"
        )));
    }
    match fs::metadata(path) {
        Ok(_) => Ok(path),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Learns whether the output can be written, before anything is computed that could not be kept.
fn check_place(output: &Path, read: &[&Path]) -> Result<()> {
    for path in read {
        if is_same(output, path) {
            return Err(Error::usage(format!(
                "{} would be written over {}, which is read; name another file by --output",
                output.display(),
                path.display()
            )));
        }
    }
    if fs::metadata(output).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::usage(format!(
            "{} is no regular file, and only one can be replaced; name another by --output",
            output.display()
        )));
    }
    draft(output).map(drop)
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// A file beside `output` that is to become it, and goes if it does not.
fn draft(output: &Path) -> Result<NamedTempFile> {
    let folder = match output.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut prefix = output.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".partial")
        .permissions(Permissions::from_mode(0o666)) // less the umask
        .tempfile_in(folder)
        // Without the name of the draft, which says nothing to a user.
        .map_err(|error| Error::file("write", output)(error.kind().into()))
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

/// The rows of a safetensors file as items, a field each tensor; and the names of the tensors.
fn read(path: &Path) -> Result<(Items, Vec<String>)> {
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
    let names = names(&metadata);
    for name in &names {
        let field = field(name, &metadata, &memory, data).map_err(refused_file)?;
        match &mut items {
            None => items = Some(Items::new(field)),
            Some(items) => items
                .add(field)
                .map_err(|error| refused_file(error.to_string()))?,
        }
    }
    let items = items.ok_or_else(|| refused_file("it holds no tensors".to_owned()))?;
    Ok((items, names))
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

/// Says why items failed, each reason once.
fn tell(failures: &[(usize, String)]) {
    let mut reasons: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (item, reason) in failures {
        let place = *places.entry(reason).or_insert(reasons.len());
        if place == reasons.len() {
            reasons.push((reason, Vec::new()));
        }
        reasons[place].1.push(*item);
    }
    for (reason, items) in reasons.iter().take(SAID) {
        let others = match items.len() - 1 {
            0 => String::new(),
            others => format!(", and {others} more,"),
        };
        terminal::warn(&format!("index {}{others} failed: {reason}", items[0]));
    }
    if reasons.len() > SAID {
        terminal::warn(&format!(
            "items failed for {} more reasons",
            reasons.len() - SAID
        ));
    }
}

/// Writes the outputs whole, or not at all.
fn write(path: &Path, results: &Results, failures: &[(usize, String)]) -> Result<()> {
    let mut tensors = Vec::new();
    for name in results.names() {
        tensors.extend(stacked(results, name)?);
    }
    let failed: serde_json::Map<String, serde_json::Value> = failures
        .iter()
        .map(|(item, reason)| (item.to_string(), reason.clone().into()))
        .collect();
    let about = (!failed.is_empty()).then(|| {
        HashMap::from([(
            "failed".to_owned(),
            serde_json::Value::Object(failed).to_string(),
        )])
    });
    let draft = draft(path)?;
    safetensors::serialize_to_file(tensors, about, draft.path()).map_err(
        |reason| match reason {
            SafeTensorError::IoError(reason) => Error::file("write", path)(reason),
            reason => Error::new(format!("cannot write {}: {reason}", path.display())),
        },
    )?;
    let named = draft.persist(path);
    named
        .map(drop)
        .map_err(|reason| Error::file("write", path)(reason.error))
}

/// A tensor to be written.
struct Tensor {
    dtype: Stored,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Tensor {
    fn of_numbers(numbers: &[i64], shape: Vec<usize>) -> Self {
        let data = numbers.iter().flat_map(|number| number.to_le_bytes());
        Self {
            dtype: Stored::I64,
            shape,
            data: data.collect(),
        }
    }
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
        let count = offsets.len();
        let offsets = Tensor::of_numbers(&offsets, vec![count]);
        tensors.push((format!("{name}.offsets"), offsets));
        let shapes: Vec<_> = values
            .iter()
            .map(|value| value.as_ref().map(|value| value.shape.dims()))
            .collect();
        tensors.push((format!("{name}.shapes"), of_shapes(&shapes)));
    }
    Ok(tensors)
}

/// A row each item: its sizes, [`NONE`] where it has fewer than others; those of an item that failed are 0.
fn of_shapes(shapes: &[Option<&[i64]>]) -> Tensor {
    let present = shapes.iter().flatten();
    let most = present.map(|sizes| sizes.len()).max().unwrap_or(0);
    let mut numbers = Vec::with_capacity(shapes.len() * most);
    for shape in shapes {
        let (sizes, fill) = shape.map_or((&[][..], 0), |sizes| (sizes, NONE));
        numbers.extend_from_slice(sizes);
        numbers.resize(numbers.len() + most - sizes.len(), fill);
    }
    Tensor::of_numbers(&numbers, vec![shapes.len(), most])
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
