//! The esm2 tool: what a handle holds, what a worker holds, and the way of one batch.

use super::alphabet;
use super::batch::{Batch, Request, Results};
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::options::{Dtype, OnLong, Options, Tokens};
use super::share::{self, Weights};
use super::{cpu, gpu, hub};
use crate::error::{Error, Result};
use crate::exchange::{Exchange, View};
use crate::place::{self, Place};
use crate::tool;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use toolpool_abi::TOOLPOOL_BYTES;

/// Tokens in a batch on the CPU; with buffers reused the size hardly matters, and small batches balance better.
const CPU_TOKENS: u64 = 4096;
/// Tokens in a batch on a GPU.
const CUDA_TOKENS: u64 = 32_768;
/// Tokens in a batch with `auto`: at the start, and never more than at the end.
const AUTO_TOKENS: Range<u64> = 1024..262_144;

/// A model with its options: what a tool handle stands for. No weights.
pub struct Tool {
    directory: PathBuf,
    config: Config,
    options: Options,
    request: Request,
    /// How many numbers the weights are.
    parameters: usize,
    identity: String,
}

impl Tool {
    /// Checks `source` and `options`: reads the config and the headers of the weights.
    pub fn open(source: &str, options: Options) -> Result<Self> {
        let directory = hub::resolve(source)?;
        let checkpoint = Checkpoint::open(&directory)?;
        let config = checkpoint.config.clone();
        let needs = |wanted: bool, there: bool, output: &str, head: &str| match wanted && !there {
            true => Err(Error::Option(format!(
                "outputs has {output}, but {} has no {head}; use a checkpoint saved from EsmForMaskedLM",
                directory.display()
            ))),
            false => Ok(()),
        };
        needs(
            options.outputs.logits,
            checkpoint.has_lm_head(),
            "logits",
            "language-model head",
        )?;
        needs(
            options.outputs.contacts,
            checkpoint.has_contact_head(),
            "contacts",
            "contact head",
        )?;
        let parameters = checkpoint.parameters();
        let request = Request {
            outputs: options.outputs,
            layers: options.resolve_layers(&config)?,
        };
        let identity = format!("{} {:?}", directory.display(), options.dtype);
        Ok(Tool {
            directory,
            config,
            options,
            request,
            parameters,
            identity,
        })
    }

    /// Tokens of a sequence, BOS and EOS included, after what `on_long` does to it.
    pub fn tokens(&self, sequence: &[u8]) -> u64 {
        let residues = alphabet::count(sequence);
        let used = match self.options.on_long {
            OnLong::Whole => residues,
            OnLong::Error | OnLong::Truncate => residues.min(self.options.max_length),
        };
        used as u64 + 2
    }

    /// Floating-point operations of the encoder: 24·n·d²·T + 4·n·d·T².
    pub fn cost(&self, sequence: &[u8]) -> f64 {
        let (n, d, t) = (
            self.config.layers as f64,
            self.config.hidden as f64,
            self.tokens(sequence) as f64,
        );
        24.0 * n * d * d * t + 4.0 * n * d * t * t
    }
}

/// The type to compute in. On CPUs `auto` is fp32, also where there are bf16 units: the attention kernel, which is most of
/// what makes the CPU engine fast, is fp32.
/// Why an item is no sequence, if it is none.
fn misfit(first: &View, others: &[String]) -> Option<String> {
    if first.dtype != TOOLPOOL_BYTES {
        return Some("a tensor is no sequence; give each as a byte string of letters".to_owned());
    }
    let others = (!others.is_empty()).then(|| others.join(", "))?;
    Some(format!(
        "esm2 takes one field, the sequence, and the items also have {others}"
    ))
}

fn kind_on(dtype: Dtype, place: Place) -> Kind {
    match dtype {
        Dtype::Fp32 => Kind::Float,
        Dtype::Bf16 => Kind::BFloat16,
        Dtype::Fp16 => Kind::Half,
        Dtype::Auto => match place.device {
            Device::Cuda(_) if place.capability >= (8, 0) => Kind::BFloat16,
            _ => Kind::Float,
        },
    }
}

impl tool::Tool for Tool {
    type Worker = Worker;
    type Pending = Pending;

    fn identity(&self) -> &str {
        &self.identity
    }

    /// Tokens. The workers' devices are not known yet: without the option, a GPU's budget where the machine has the
    /// NVIDIA driver. (Asking libtorch here would fix its answer before its CUDA part is loaded.)
    fn batch_budget(&self) -> u64 {
        match self.options.tokens_per_batch {
            Tokens::Fixed(tokens) => tokens,
            Tokens::Auto => AUTO_TOKENS.start,
            Tokens::ByDevice if Path::new("/dev/nvidiactl").exists() => CUDA_TOKENS,
            Tokens::ByDevice => CPU_TOKENS,
        }
    }

    fn batch_budget_most(&self) -> u64 {
        match self.options.tokens_per_batch {
            Tokens::Auto => AUTO_TOKENS.end,
            Tokens::ByDevice | Tokens::Fixed(_) => 0,
        }
    }

    fn memory(&self, place: Place) -> u64 {
        let element = kind_on(self.options.dtype, place).elt_size_in_bytes();
        (self.parameters * element) as u64
    }

    /// Its weights; the memory of a worker of the CPU for its batches is not known yet.
    fn taken(worker: &Worker) -> u64 {
        match &worker.engine {
            Engine::Cpu(worker) => worker.weight_bytes(),
            Engine::Gpu(worker) => worker.weight_bytes(),
        }
    }

    fn runs_code(&self) -> bool {
        false
    }

    fn measure(&self, fields: &[View]) -> (f64, u64) {
        let sequence = fields.first().map_or(&[][..], |field| field.data);
        (self.cost(sequence), self.tokens(sequence))
    }

    /// Loads the weights, unless another worker of the device has them.
    fn load(&self, place: Place) -> Result<Worker> {
        let kind = kind_on(self.options.dtype, place);
        if let Device::Cuda(index) = place.device {
            place::prepare(index)?;
        }
        let engine = match share::weights(self.directory.clone(), place.device, kind)? {
            Weights::Cpu(weights) => {
                Engine::Cpu(Box::new(cpu::Worker::new(weights, place.threads)?))
            }
            Weights::Gpu(weights) => Engine::Gpu(gpu::Worker::new(weights, place.capability)?),
        };
        Ok(Worker { engine })
    }

    fn start(&self, worker: &mut Worker, exchange: &Exchange) -> Result<Pending> {
        worker.start(self, exchange)
    }

    fn collect(pending: Pending, exchange: &Exchange) -> Result<()> {
        pending.collect(exchange)
    }
}

/// A loaded model on one slot.
pub struct Worker {
    engine: Engine,
}

enum Engine {
    Cpu(Box<cpu::Worker>),
    Gpu(gpu::Worker),
}

impl Engine {
    fn forward(&mut self, batch: &Batch, request: &Request) -> Result<Results> {
        match self {
            Engine::Cpu(worker) => worker.forward(batch, request),
            Engine::Gpu(worker) => worker.forward(batch, request),
        }
    }
}

/// A batch that has been begun: which items it holds and what was computed for them.
pub struct Pending {
    items: Vec<usize>,
    batch: Batch,
    request: Request,
    results: Results,
}

impl Worker {
    /// Begins the items of `exchange` under the options of `tool`.
    pub fn start(&mut self, tool: &Tool, exchange: &Exchange) -> Result<Pending> {
        let (items, batch) = tool.pack(exchange)?;
        let request = tool.request.clone();
        let results = match batch.is_empty() {
            true => Results::default(),
            false => self.engine.forward(&batch, &request)?,
        };
        Ok(Pending {
            items,
            batch,
            request,
            results,
        })
    }
}

impl Tool {
    /// Tokens of the items that can be done; the others are reported.
    fn pack(&self, exchange: &Exchange) -> Result<(Vec<usize>, Batch)> {
        let mut items = Vec::with_capacity(exchange.items());
        let mut batch = Batch::new();
        let others = exchange.fields().into_iter().skip(1).collect::<Vec<_>>();
        for index in 0..exchange.items() {
            if let Some(message) = misfit(&exchange.tensor(index, 0)?, &others) {
                exchange.fail(index, &message);
                continue;
            }
            let (mut residues, unknown) = alphabet::encode(exchange.bytes(index)?);
            if let Err(message) = self.admit(&mut residues, |warning| exchange.warn(index, warning))
            {
                exchange.fail(index, &message);
                continue;
            }
            let seen = unknown.partition_point(|u| u.position <= residues.len());
            if seen > 0 {
                exchange.warn(index, &alphabet::describe_unknown(&unknown[..seen]));
            }
            items.push(index);
            batch.push(&residues, self.config.token_dropout);
        }
        Ok((items, batch))
    }

    /// Checks the length of a sequence, and shortens it if that was asked for.
    fn admit(
        &self,
        residues: &mut Vec<u8>,
        warn: impl Fn(&str),
    ) -> std::result::Result<(), String> {
        let (n, most) = (residues.len(), self.options.max_length);
        if n == 0 {
            return Err("the sequence is empty; a protein has at least one residue".into());
        }
        if n <= most {
            return Ok(());
        }
        match self.options.on_long {
            OnLong::Error => {
                return Err(format!(
                    "the sequence has {n} residues, more than max_length ({most}); set on_long to truncate or whole, \
                     or raise max_length"
                ));
            }
            OnLong::Truncate => {
                residues.truncate(most);
                warn(&format!(
                    "the sequence was cut to its first {most} of {n} residues (on_long=truncate)"
                ));
            }
            OnLong::Whole => {
                warn(&format!(
                    "the sequence has {n} residues, more than max_length ({most}) and perhaps than the model was \
                     trained on; it was used whole (on_long=whole)"
                ));
            }
        }
        Ok(())
    }
}

impl Pending {
    /// Waits until the batch is computed, and hands every item its outputs.
    pub fn collect(self, exchange: &Exchange) -> Result<()> {
        if let Some(ready) = &self.results.ready {
            ready.wait()?;
        }
        let several = self.request.layers.len() > 1;
        for hidden in &self.results.hidden {
            let name = |output: &str| match several {
                true => format!("{output}.{}", hidden.layer),
                false => output.to_owned(),
            };
            if let Some(pooled) = &hidden.pooled {
                let d = pooled.size()[1] as usize;
                if self.request.outputs.mean {
                    self.put(exchange, &name("mean"), pooled, |i| {
                        (3 * i + 1..3 * i + 2, vec![d as i64])
                    })?;
                }
                if self.request.outputs.bos {
                    self.put(exchange, &name("bos"), pooled, |i| {
                        (3 * i..3 * i + 1, vec![d as i64])
                    })?;
                }
            }
            if let Some(rows) = &hidden.rows {
                self.put_residues(exchange, &name("per_residue"), rows)?;
            }
        }
        if let Some(logits) = &self.results.logits {
            self.put_residues(exchange, "logits", logits)?;
        }
        for (&item, map) in self.items.iter().zip(&self.results.contacts) {
            let size = map.size();
            exchange.put_floats(item, "contacts", &size, values(map, 0..size[0] as usize))?;
        }
        Ok(())
    }

    fn put_residues(&self, exchange: &Exchange, name: &str, rows: &Tensor) -> Result<()> {
        let columns = rows.size()[1];
        self.put(exchange, name, rows, |i| {
            let residues = self.batch.residues(i);
            let shape = vec![residues.len() as i64, columns];
            (residues, shape)
        })
    }

    /// Puts the rows and the shape that `of` gives for the i-th sequence.
    fn put(
        &self,
        exchange: &Exchange,
        name: &str,
        rows: &Tensor,
        of: impl Fn(usize) -> (std::ops::Range<usize>, Vec<i64>),
    ) -> Result<()> {
        for (i, &item) in self.items.iter().enumerate() {
            let (range, shape) = of(i);
            exchange.put_floats(item, name, &shape, values(rows, range))?;
        }
        Ok(())
    }
}

/// Rows of a contiguous fp32 matrix in host memory.
fn values(matrix: &Tensor, rows: std::ops::Range<usize>) -> &[f32] {
    let size = matrix.size();
    let columns = size[1] as usize;
    assert!(
        matrix.kind() == Kind::Float && matrix.device() == Device::Cpu && matrix.is_contiguous()
    );
    assert!(rows.start <= rows.end && rows.end <= size[0] as usize);
    // SAFETY: a contiguous fp32 matrix on the CPU, and rows within it; the slice borrows the tensor.
    unsafe {
        let data = matrix.data_ptr().cast::<f32>().add(rows.start * columns);
        std::slice::from_raw_parts(data, rows.len() * columns)
    }
}
