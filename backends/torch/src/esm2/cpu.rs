//! The forward pass on the CPU: libtorch's matrix products, everything between them in kernels of our own.

use super::batch::{Batch, Request, Results};
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::contacts::ContactSum;
use super::heads::{ContactHead, LmHead, take_hidden};
use crate::cpu::attention::{self, Head};
use crate::cpu::matrix::Matrix;
use crate::cpu::rotary::RotaryTable;
use crate::cpu::rows::{Norm, add_bias, bias_gelu, layer_norm};
use crate::cpu::simd::SLACK;
use crate::cpu::team::{Team, compute_with};
use crate::error::Result;
use crate::shared::Shared;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

/// Rows of a batch that one task takes through the linear layers.
const CHUNK: usize = 512;

/// Weights of a model for the CPU, shared by all its workers.
pub struct Weights {
    config: Config,
    embedding: Vec<f32>,
    frequencies: Vec<f32>,
    layers: Vec<Layer>,
    last_norm: Norm,
    lm_head: Option<LmHead>,
    contact_head: Option<ContactHead>,
}

struct Layer {
    attention_norm: Norm,
    qkv: Linear,
    attention_out: Linear,
    norm: Norm,
    up: Linear,
    down: Linear,
}

impl Layer {
    fn bytes(&self) -> u64 {
        let linear = [&self.qkv, &self.attention_out, &self.up, &self.down].map(Linear::bytes);
        let norms = [&self.attention_norm, &self.norm].map(Norm::bytes);
        linear.iter().chain(&norms).sum()
    }
}

/// A linear layer whose bias the kernel after it adds.
struct Linear {
    /// \[in, out\], a transposed view of the checkpoint's rows.
    weight: Shared,
    bias: Vec<f32>,
}

impl Linear {
    /// `names` are the layers fused into this one, their outputs side by side.
    fn load(checkpoint: &Checkpoint, names: &[String], kind: Kind, slack: usize) -> Result<Self> {
        let mut weights = Vec::new();
        let mut bias = Vec::new();
        for name in names {
            weights.push(checkpoint.tensor(&format!("{name}.weight"))?);
            bias.extend(checkpoint.values(&format!("{name}.bias"))?);
        }
        bias.resize(bias.len() + slack, 0.0);
        let weight = Shared::new(Tensor::f_cat(&weights, 0)?.f_to_kind(kind)?.f_tr()?);
        Ok(Linear { weight, bias })
    }

    fn bytes(&self) -> u64 {
        self.weight.bytes() + size_of_val(&*self.bias) as u64
    }

    /// out = x·W
    fn product(&self, x: &Tensor, out: &mut Tensor) -> Result<()> {
        let weight = &*self.weight;
        match weight.kind() {
            Kind::Float => drop(x.f_mm_out(out, weight)?),
            kind => out.f_copy_(&x.f_to_kind(kind)?.f_mm(weight)?)?,
        }
        Ok(())
    }

    /// sum += x·W
    fn add_product(&self, x: &Tensor, sum: &mut Tensor) -> Result<()> {
        let weight = &*self.weight;
        match weight.kind() {
            Kind::Float => drop(sum.f_addmm_(x, weight)?),
            kind => drop(sum.f_add_(&x.f_to_kind(kind)?.f_mm(weight)?)?),
        }
        Ok(())
    }
}

impl Weights {
    /// Reads the weights of `checkpoint`; matrix products will be computed in `kind`.
    pub fn load(checkpoint: &Checkpoint, kind: Kind) -> Result<Self> {
        let config = checkpoint.config.clone();
        let norm = |name: &str| -> Result<Norm> {
            Ok(Norm {
                weight: checkpoint.values(&format!("{name}.weight"))?,
                bias: checkpoint.values(&format!("{name}.bias"))?,
                eps: config.layer_norm_eps as f32,
            })
        };
        let mut layers = Vec::with_capacity(config.layers);
        for i in 0..config.layers {
            let name = |part: &str| format!("encoder.layer.{i}.{part}");
            let qkv = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
            let linear = |part: &str| Linear::load(checkpoint, &[name(part)], kind, 0);
            layers.push(Layer {
                attention_norm: norm(&name("attention.LayerNorm"))?,
                qkv: Linear::load(checkpoint, &qkv, kind, SLACK)?,
                attention_out: linear("attention.output.dense")?,
                norm: norm(&name("LayerNorm"))?,
                up: linear("intermediate.dense")?,
                down: linear("output.dense")?,
            });
        }
        Ok(Weights {
            embedding: checkpoint.values("embeddings.word_embeddings.weight")?,
            frequencies: checkpoint.rotary_frequencies()?,
            layers,
            last_norm: norm("encoder.emb_layer_norm_after")?,
            lm_head: LmHead::load(checkpoint, Device::Cpu, kind)?,
            contact_head: ContactHead::load(checkpoint)?,
            config,
        })
    }

    fn bytes(&self) -> u64 {
        let floats = size_of_val(&*self.embedding) + size_of_val(&*self.frequencies);
        let layers: u64 = self.layers.iter().map(Layer::bytes).sum();
        let heads = self.lm_head.as_ref().map_or(0, LmHead::bytes)
            + self.contact_head.as_ref().map_or(0, ContactHead::bytes);
        floats as u64 + layers + self.last_norm.bytes() + heads
    }
}

/// Scratch memory of one thread.
struct Scratch {
    attention: attention::Scratch,
    /// CHUNK rows after a layer norm.
    normal: Matrix,
    /// CHUNK rows of the feed-forward layer.
    wide: Matrix,
    /// Attention weights of one head.
    map: Vec<f32>,
}

/// Memory for the rows of a batch, kept from batch to batch.
struct Rows {
    hidden: Matrix,
    qkv: Matrix,
    attended: Matrix,
    last: Matrix,
}

/// One worker of the CPU: its threads and its memory.
pub struct Worker {
    weights: Arc<Weights>,
    team: Team<Scratch>,
    rotary: RotaryTable,
    rows: Rows,
}

impl Worker {
    /// A worker that computes with `threads` threads.
    pub fn new(weights: Arc<Weights>, threads: usize) -> Result<Self> {
        let (d, wide) = (weights.config.hidden, weights.config.intermediate);
        let team = Team::new(threads, || {
            Ok(Scratch {
                attention: attention::Scratch::default(),
                normal: Matrix::new(CHUNK, d, 0)?,
                wide: Matrix::new(CHUNK, wide, 0)?,
                map: Vec::new(),
            })
        })?;
        let rows = Rows {
            hidden: Matrix::new(0, d, 0)?,
            qkv: Matrix::new(0, 3 * d, SLACK)?,
            attended: Matrix::new(0, d, 0)?,
            last: Matrix::new(0, d, 0)?,
        };
        Ok(Worker {
            rotary: RotaryTable::new(weights.frequencies.clone()),
            weights,
            team,
            rows,
        })
    }

    /// Bytes of the weights.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// Computes what `request` wants of `batch`.
    pub fn forward(&mut self, batch: &Batch, request: &Request) -> Result<Results> {
        compute_with(1);
        let tokens = batch.tokens.len();
        self.rows.hidden.reserve(tokens, 0)?;
        self.rows.qkv.reserve(tokens, SLACK)?;
        self.rows.attended.reserve(tokens, 0)?;
        self.rows.last.reserve(tokens, 0)?;
        self.rotary.reach(batch.longest());

        let segments = Tensor::f_from_slice(&batch.segments())?;
        let mut results = Results::default();
        let mut take = |states: &Matrix, layer: usize| -> Result<()> {
            if request.wants(layer) {
                let copy = |t: &Tensor| {
                    let mut copy = t.f_empty_like()?;
                    copy.f_copy_(t)?;
                    Ok(copy)
                };
                results.hidden.push(take_hidden(
                    &states.rows(0..tokens)?,
                    layer,
                    request,
                    &segments,
                    copy,
                )?);
            }
            Ok(())
        };
        let contacts = self.contact_sums(batch, request)?;

        self.embed(batch)?;
        take(&self.rows.hidden, 0)?;
        let layers = self.weights.config.layers;
        let depth = request.depth(layers);
        for layer in 0..depth {
            self.attend(batch, layer, &contacts)?;
            self.feed_forward(tokens, layer)?;
            if layer + 1 < layers {
                take(&self.rows.hidden, layer + 1)?;
            }
        }
        if depth == layers {
            self.each_chunk(tokens, |rows, _| {
                // SAFETY: chunks do not overlap.
                let (x, y) = unsafe {
                    (
                        self.rows.hidden.slice(rows.clone()),
                        self.rows.last.slice(rows),
                    )
                };
                layer_norm(x, None, &self.weights.last_norm, y);
                Ok(())
            })?;
            take(&self.rows.last, layers)?;
        }
        if request.outputs.logits {
            results.logits = self.logits(tokens)?;
        }
        if let Some(head) = &self.weights.contact_head {
            results.contacts = contacts
                .iter()
                .map(|sum| lock(sum).finish(head.bias))
                .collect::<Result<_>>()?;
        }
        Ok(results)
    }

    fn contact_sums(&self, batch: &Batch, request: &Request) -> Result<Vec<Mutex<ContactSum>>> {
        if !request.outputs.contacts || self.weights.contact_head.is_none() {
            return Ok(Vec::new());
        }
        (0..batch.len())
            .map(|i| ContactSum::new(batch.residues(i).len()).map(Mutex::new))
            .collect()
    }

    fn embed(&self, batch: &Batch) -> Result<()> {
        let d = self.weights.config.hidden;
        self.each_chunk(batch.tokens.len(), |rows, _| {
            // SAFETY: chunks do not overlap.
            let x = unsafe { self.rows.hidden.slice(rows.clone()) };
            for ((x, &token), &scale) in x
                .chunks_exact_mut(d)
                .zip(&batch.tokens[rows.clone()])
                .zip(&batch.scales[rows])
            {
                let row = &self.weights.embedding[token as usize * d..][..d];
                x.iter_mut().zip(row).for_each(|(x, e)| *x = e * scale);
            }
            Ok(())
        })
    }

    /// attended = attention(layer_norm(hidden)), and the contact sums where there are any.
    fn attend(&self, batch: &Batch, number: usize, contacts: &[Mutex<ContactSum>]) -> Result<()> {
        let layer = &self.weights.layers[number];
        self.each_chunk(batch.tokens.len(), |rows, scratch| {
            // SAFETY: chunks do not overlap, and scratch is this thread's.
            let (x, y) = unsafe {
                (
                    self.rows.hidden.slice(rows.clone()),
                    scratch.normal.slice(0..rows.len()),
                )
            };
            layer_norm(x, None, &layer.attention_norm, y);
            layer.qkv.product(
                &scratch.normal.rows(0..rows.len())?,
                &mut self.rows.qkv.rows(rows)?,
            )
        })?;
        let heads = self.weights.config.heads;
        self.team.each(batch.len() * heads, |task, scratch| {
            let head = self.head(batch.range(task / heads), task % heads, layer);
            // SAFETY: `head` points into rows of this batch, which nobody writes but this task, in its own columns.
            unsafe { attention::attend(&head, &mut scratch.attention) };
            Ok(())
        })?;
        let Some(contact_head) = &self.weights.contact_head else {
            return Ok(());
        };
        self.team.each(contacts.len(), |i, scratch| {
            let range = batch.range(i);
            scratch.map.clear();
            scratch.map.try_reserve_exact(range.len() * range.len())?;
            scratch.map.resize(range.len() * range.len(), 0.0);
            for (h, &weight) in contact_head.layer(number).iter().enumerate() {
                let head = self.head(range.clone(), h, layer);
                // SAFETY: as above; nothing is written but the scratch memory.
                unsafe {
                    attention::attention_map(&head, &mut scratch.attention, &mut scratch.map)
                };
                lock(&contacts[i]).add(&scratch.map, weight);
            }
            Ok(())
        })
    }

    fn head<'a>(&'a self, range: Range<usize>, number: usize, layer: &'a Layer) -> Head<'a> {
        let width = self.weights.config.head_width();
        Head {
            qkv: self.rows.qkv.row(range.start),
            bias: &layer.qkv.bias,
            out: self.rows.attended.row(range.start),
            d: self.weights.config.hidden,
            column: number * width,
            width,
            tokens: range.len(),
            rotary: &self.rotary,
        }
    }

    /// hidden += out(attended); hidden += down(gelu(up(layer_norm(hidden))))
    fn feed_forward(&self, tokens: usize, number: usize) -> Result<()> {
        let layer = &self.weights.layers[number];
        self.each_chunk(tokens, |rows, scratch| {
            let here = 0..rows.len();
            let mut hidden = self.rows.hidden.rows(rows.clone())?;
            let mut wide = scratch.wide.rows(here.clone())?;
            layer
                .attention_out
                .add_product(&self.rows.attended.rows(rows.clone())?, &mut hidden)?;
            // SAFETY: chunks do not overlap, and scratch is this thread's; libtorch is not running on either.
            let (x, y) = unsafe {
                (
                    self.rows.hidden.slice(rows.clone()),
                    scratch.normal.slice(here.clone()),
                )
            };
            layer_norm(x, Some(&layer.attention_out.bias), &layer.norm, y);
            layer
                .up
                .product(&scratch.normal.rows(here.clone())?, &mut wide)?;
            // SAFETY: as above.
            bias_gelu(unsafe { scratch.wide.slice(here) }, &layer.up.bias);
            layer.down.add_product(&wide, &mut hidden)?;
            // SAFETY: as above.
            add_bias(unsafe { self.rows.hidden.slice(rows) }, &layer.down.bias);
            Ok(())
        })
    }

    fn logits(&self, tokens: usize) -> Result<Option<Tensor>> {
        let Some(head) = &self.weights.lm_head else {
            return Ok(None);
        };
        let logits = Matrix::new(tokens, super::alphabet::SIZE, 0)?;
        self.each_chunk(tokens, |rows, _| {
            let states = self.rows.last.rows(rows.clone())?;
            Ok(logits.rows(rows)?.f_copy_(&head.forward(&states)?)?)
        })?;
        Ok(Some(logits.rows(0..tokens)?))
    }

    /// Splits `tokens` rows evenly into tasks of at most CHUNK, and at least one a thread.
    fn each_chunk(
        &self,
        tokens: usize,
        task: impl Fn(Range<usize>, &mut Scratch) -> Result<()> + Sync,
    ) -> Result<()> {
        let chunks = tokens.div_ceil(CHUNK).max(self.team.threads().min(tokens));
        let begin = |i: usize| i * tokens / chunks;
        self.team
            .each(chunks, |i, scratch| task(begin(i)..begin(i + 1), scratch))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
