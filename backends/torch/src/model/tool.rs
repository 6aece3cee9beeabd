//! The tools torchscript and aoti: what a handle holds, what a worker holds, and the way of one batch.

use super::archive::{self, Format};
use super::assemble::Assembler;
use super::options::{Batching, Cost, Options};
use super::spec::Spec;
use super::split::{Output, Place as ItemPlace};
use super::wiring::{Item, Wiring};
use super::{dtype, groups, weights};
use crate::cpu::team::compute_with;
use crate::error::{Error, Result};
use crate::exchange::{Exchange, View};
use crate::place::{self, Place};
use crate::shelf::Shelf;
use crate::shim::model::Model;
use crate::shim::{self, Event, Stream};
use crate::tool;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Items in a batch, where they are stacked.
const ITEMS: u64 = 64;
/// Rows in a batch (tokens, for text), where items are padded or packed: on the CPU, and where a GPU may be.
const CPU_ROWS: u64 = 4096;
const CUDA_ROWS: u64 = 32_768;
/// What a call of the model costs besides its rows, in rows: above it, padding is cheaper than a call of its own.
const CPU_CALL: i64 = 32;
const CUDA_CALL: i64 = 1024;

/// A model with its options: what a tool handle stands for. No weights.
pub struct Tool {
    format: Format,
    path: PathBuf,
    options: Options,
    identity: String,
}

impl Tool {
    /// Checks `source` and `options`: looks into the archive, and does not load the model.
    pub fn open(format: Format, source: &str, options: &[(&str, &str)]) -> Result<Self> {
        let path = archive::open(format, source)?;
        let options = Options::parse(format, options)?;
        if format == Format::Package {
            check_inputs_of_packages();
        }
        let identity = format!(
            "{} {} {:?} {:?}",
            path.display(),
            archive::stamp(&path),
            options.dtype,
            options.warm_up
        );
        Ok(Tool {
            format,
            path,
            options,
            identity,
        })
    }
}

/// Has packages check the types and sizes of their inputs, which without this they trust: a wrong one would be read beyond
/// its end. They look at the environment when they first run.
fn check_inputs_of_packages() {
    const KEY: &str = "AOTI_RUNTIME_CHECK_INPUTS";
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if std::env::var_os(KEY).is_none() {
            // SAFETY: glibc locks changes against each other; who reads the environment in C at this very moment is at
            // risk, once in a process, where otherwise a wrong input would be.
            unsafe { std::env::set_var(KEY, "1") };
        }
    });
}

/// What a module's weights depend on: file, its stamp, device, type.
type Key = (PathBuf, String, Device, Option<Kind>);

static MODULES: Shelf<Key, Model> = Shelf::new();

/// A loaded model on one slot.
pub struct Worker {
    /// A module is shared by the slots of a device; a package has a runner for each.
    model: Arc<Model>,
    /// Name, and whether it is required.
    inputs: Vec<(String, bool)>,
    /// The names of a package's outputs; a module's come with them.
    outputs: Option<Vec<String>>,
    device: Device,
    stream: Option<Stream>,
    /// What floating-point inputs are cast to.
    cast: Option<Kind>,
}

/// A group of items whose outputs are under way.
struct Group {
    places: Vec<ItemPlace>,
    outputs: Vec<Output>,
    /// What the model reads in the caller's memory, on a device that may still be at it.
    _originals: Vec<Tensor>,
}

/// A batch that has been begun.
pub struct Pending {
    groups: Vec<Group>,
    padding: usize,
    elements: usize,
    ready: Option<Event>,
}

impl tool::Tool for Tool {
    type Worker = Worker;
    type Pending = Pending;

    fn identity(&self) -> &str {
        &self.identity
    }

    /// In items where they are stacked, else in rows.
    fn batch_budget(&self) -> u64 {
        let rows = match Path::new("/dev/nvidiactl").exists() {
            true => CUDA_ROWS,
            false => CPU_ROWS,
        };
        self.options.batch_size.unwrap_or(match self.options.batch {
            Batching::Pad | Batching::Pack => rows,
            Batching::Stack | Batching::None => ITEMS,
        })
    }

    /// Weights are most of the file; those of a module in the type that they are cast to, once it is loaded.
    fn memory(&self, place: Place) -> u64 {
        let kind = self.options.dtype.on(place.device, place.capability);
        weights::bytes(&self.path, kind)
    }

    fn taken(worker: &Worker) -> u64 {
        worker.model.bytes().unwrap_or(0)
    }

    /// A package has a runner for each worker, with constants of its own.
    fn memory_apart(&self) -> bool {
        self.format == Format::Package
    }

    fn runs_code(&self) -> bool {
        true
    }

    fn measure(&self, fields: &[View]) -> (f64, u64) {
        let size = |dim: usize| {
            fields
                .first()
                .and_then(|field| field.dims().get(dim).copied())
        };
        let cost = match self.options.cost {
            Cost::Elements => fields.iter().map(View::elements).sum::<usize>() as f64,
            Cost::Dimension { dim, power } => (size(dim).unwrap_or(1) as f64).powf(power),
        };
        let extent = match self.options.batch {
            Batching::Pad | Batching::Pack => size(self.options.dim).unwrap_or(1).max(1) as u64,
            Batching::Stack | Batching::None => 1,
        };
        (cost, extent)
    }

    fn load(&self, place: Place) -> Result<Worker> {
        if let Device::Cuda(index) = place.device {
            place::prepare(index)?;
        }
        compute_with(place.threads);
        let model = self.model(place)?;
        let (inputs, outputs) = match self.format {
            Format::Script => (model.inputs()?, None),
            Format::Package => {
                let spec = Spec::parse(&model.spec()?)?;
                let required = spec.inputs.into_iter().map(|name| (name, true));
                (required.collect(), Some(spec.outputs))
            }
        };
        let stream = match place.device {
            Device::Cuda(index) => Some(Stream::new(index)?),
            _ => None,
        };
        let worker = Worker {
            model,
            inputs,
            outputs,
            device: place.device,
            stream,
            cast: self.options.dtype.on(place.device, place.capability),
        };
        self.warm_up(&worker)?;
        Ok(worker)
    }

    fn start(&self, worker: &mut Worker, exchange: &Exchange) -> Result<Pending> {
        let wiring = Wiring::new(&exchange.fields(), &worker.inputs, &self.options)?;
        let mut items = Vec::with_capacity(exchange.items());
        for index in 0..exchange.items() {
            let views = (0..wiring.fields.len())
                .map(|field| exchange.tensor(index, field))
                .collect::<Result<Vec<_>>>()?;
            match Item::new(index, views, &wiring, &self.options) {
                Ok(item) => items.push(item),
                Err(message) => exchange.fail(index, &message),
            }
        }
        self.forward(worker, &wiring, &items)
    }

    fn collect(pending: Pending, exchange: &Exchange) -> Result<()> {
        if let Some(ready) = &pending.ready {
            ready.wait()?;
        }
        for group in &pending.groups {
            for output in &group.outputs {
                output.put(&group.places, exchange)?;
            }
        }
        if pending.elements > 0 {
            exchange.count("padding", pending.padding as f64);
            exchange.count("elements", pending.elements as f64);
        }
        Ok(())
    }
}

impl Tool {
    fn model(&self, place: Place) -> Result<Arc<Model>> {
        let refused = |e: Error| match e {
            Error::Failed(reason) => Error::Model(format!(
                "{} cannot be loaded: {reason}; was it made by another PyTorch than 2.11, or for another machine?",
                self.path.display()
            )),
            other => other,
        };
        let path = &self.path;
        if self.format == Format::Package {
            archive::check_package(path, place)?;
            return Model::package(path, place.device)
                .map(Arc::new)
                .map_err(refused);
        }
        let kind = self.options.dtype.on(place.device, place.capability);
        let key = (path.clone(), archive::stamp(path), place.device, kind);
        MODULES
            .get(key, || Model::script(path, place.device, kind))
            .map_err(refused)
    }

    /// Begins all items of a batch.
    fn forward(&self, worker: &Worker, wiring: &Wiring, items: &[Item]) -> Result<Pending> {
        let mut pending = Pending {
            groups: Vec::new(),
            padding: 0,
            elements: 0,
            ready: None,
        };
        let _scope = worker.stream.as_ref().map(Stream::enter).transpose()?;
        let assembler = Assembler {
            wiring,
            options: &self.options,
            pinned: worker.stream.is_some(),
            protected: self.format == Format::Script,
        };
        for group in self.groups(worker, wiring, items) {
            let mut items: Vec<&Item> = group.into_iter().map(|item| &items[item]).collect();
            let places = items.iter().map(|item| (item.index, item.length)).collect();
            if let Some(&last) = items.last() {
                items.resize(items.len().max(self.options.batch_fill), last);
            }
            let inputs = assembler.inputs(&items)?;
            pending.padding += inputs.padding;
            pending.elements += inputs.elements;
            let outputs = self.call(worker, inputs.tensors, &items)?;
            pending.groups.push(Group {
                places,
                outputs,
                _originals: inputs.originals,
            });
        }
        pending.ready = worker.stream.as_ref().map(Stream::event).transpose()?;
        Ok(pending)
    }

    fn groups(&self, worker: &Worker, wiring: &Wiring, items: &[Item]) -> Vec<Vec<usize>> {
        if self.options.batch == Batching::None {
            return (0..items.len()).map(|item| vec![item]).collect();
        }
        let signatures = items
            .iter()
            .map(|item| item.signature(wiring, &self.options));
        let alike = groups::alike(signatures);
        if self.options.batch != Batching::Pad {
            return alike;
        }
        let call = match worker.device {
            Device::Cuda(_) => CUDA_CALL,
            _ => CPU_CALL,
        };
        let split = |group| groups::by_length(group, |item| items[item].length, call);
        alike.into_iter().flat_map(split).collect()
    }

    /// Calls the model once, and gives what is wanted of its outputs, on their way to host memory.
    fn call(
        &self,
        worker: &Worker,
        inputs: Vec<Option<Tensor>>,
        items: &[&Item],
    ) -> Result<Vec<Output>> {
        let inputs = inputs
            .into_iter()
            .map(|input| input.map(|input| worker.place(input)).transpose())
            .collect::<Result<Vec<_>>>()?;
        let mut outputs = worker.model.run(&inputs).map_err(advise)?;
        if let Some(names) = &worker.outputs {
            if names.len() != outputs.len() {
                return Err(Error::Failed(format!(
                    "the package returned {} outputs, and says that it has {}",
                    outputs.len(),
                    names.len()
                )));
            }
            for ((name, _), known) in outputs.iter_mut().zip(names) {
                name.clone_from(known);
            }
        }
        self.check_names(&outputs)?;
        outputs
            .into_iter()
            .filter(|(name, _)| self.wants(name))
            .map(|(name, tensor)| {
                Output::new(name, tensor, items, &self.options)?.on_host(|t| worker.to_host(t))
            })
            .collect()
    }

    fn wants(&self, output: &str) -> bool {
        let wanted = self.options.outputs.as_ref();
        wanted.is_none_or(|names| names.iter().any(|name| name == output))
    }

    /// That the outputs which options name are there.
    fn check_names(&self, outputs: &[(String, Tensor)]) -> Result<()> {
        let mut asked = self
            .options
            .outputs
            .iter()
            .flatten()
            .chain(&self.options.ragged_outputs);
        let missing = asked.find(|&asked| outputs.iter().all(|(name, _)| name != asked));
        let Some(missing) = missing else {
            return Ok(());
        };
        let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
        Err(Error::Option(format!(
            "the model has no output '{missing}'; its outputs are {}",
            names.join(", ")
        )))
    }

    /// Runs the model on zeros of the shapes in the option, twice each: what is compiled or chosen by shape is then there.
    fn warm_up(&self, worker: &Worker) -> Result<()> {
        for examples in &self.options.warm_up {
            let size = |dims: &[i64], dtype| {
                let bytes = dtype::kind_of(dtype).map_or(1, |kind: Kind| kind.elt_size_in_bytes());
                dims.iter().product::<i64>() as usize * bytes
            };
            let zeros: Vec<Vec<u8>> = examples
                .iter()
                .map(|example| vec![0; size(&example.dims, example.dtype)])
                .collect();
            let views = || {
                let each = examples.iter().zip(&zeros);
                each.map(|(example, zeros)| View::new(zeros, example.dtype, &example.dims))
                    .collect::<Vec<_>>()
            };
            let fields: Vec<String> = (0..examples.len()).map(|field| field.to_string()).collect();
            let wiring = Wiring::new(&fields, &worker.inputs, &self.options)?;
            let extent = tool::Tool::measure(self, &views()).1;
            let count = (tool::Tool::batch_budget(self) / extent).clamp(1, 4096);
            let items = (0..count as usize)
                .map(|index| Item::new(index, views(), &wiring, &self.options))
                .collect::<std::result::Result<Vec<_>, _>>()
                .map_err(|e| Error::Option(format!("warm_up: {e}")))?;
            for _ in 0..2 {
                let pending = self.forward(worker, &wiring, &items)?;
                if let Some(ready) = &pending.ready {
                    ready.wait()?;
                }
            }
        }
        Ok(())
    }
}

/// Adds the way out where torch.export has ruled out batches of a single item, as it does unless told otherwise.
fn advise(error: Error) -> Error {
    match error {
        Error::Failed(reason) if reason.contains("dim value is too small at 0") => {
            Error::Failed(format!(
                "{reason}; set the option batch_fill to the fewest items that the package takes"
            ))
        }
        other => other,
    }
}

impl Worker {
    /// An input on the worker's device, in its type.
    fn place(&self, input: Tensor) -> Result<Tensor> {
        let there = match self.device {
            Device::Cuda(index) => shim::to_device(&input, index)?,
            _ => input,
        };
        match self.cast {
            Some(kind) if dtype::is_floating(there.kind()) && there.kind() != kind => {
                Ok(there.f_to_kind(kind)?)
            }
            _ => Ok(there),
        }
    }

    fn to_host(&self, output: Tensor) -> Result<Tensor> {
        match output.device() {
            Device::Cpu => Ok(output),
            _ => shim::to_host(&output),
        }
    }
}
