//! The forward pass on a GPU: packed rows, half precision where the device has it, nothing waited for.
//!
//! Work is queued on the worker's own stream; results are copied to pinned memory behind it, and an event says when
//! they are there, so that one batch is copied while the next computes.

use super::batch::{Batch, Request, Results};
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::heads::{ContactHead, LmHead, take_hidden};
use super::number;
use crate::error::Result;
use crate::shared::Shared;
use crate::shim::{self, Stream};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// Rows are padded to whole multiples of this, so that allocations repeat from batch to batch.
const ROWS: usize = 512;
/// Most attention weights that are held at a time where they are needed explicitly.
const MAP_ELEMENTS: usize = 1 << 26;

/// Weights of a model on one GPU, shared by its workers.
pub struct Weights {
    config: Config,
    device: Device,
    kind: Kind,
    embedding: Shared,
    frequencies: Shared,
    layers: Vec<Layer>,
    last_norm: Affine,
    lm_head: Option<LmHead>,
    contact_head: Option<ContactHead>,
}

/// Weight and bias of a layer norm, or of a linear layer: then the weight is \[in, out\], a transposed view.
struct Affine {
    weight: Shared,
    bias: Shared,
}

impl Affine {
    fn bytes(&self) -> u64 {
        self.weight.bytes() + self.bias.bytes()
    }
}

struct Layer {
    attention_norm: Affine,
    qkv: Affine,
    attention_out: Affine,
    norm: Affine,
    up: Affine,
    down: Affine,
}

impl Layer {
    fn bytes(&self) -> u64 {
        [
            &self.attention_norm,
            &self.qkv,
            &self.attention_out,
            &self.norm,
            &self.up,
            &self.down,
        ]
        .map(Affine::bytes)
        .iter()
        .sum()
    }
}

impl Weights {
    /// Copies the weights of `checkpoint` to `device` in `kind`.
    pub fn load(checkpoint: &Checkpoint, device: Device, kind: Kind) -> Result<Self> {
        let place = |t: Tensor| -> Result<Shared> {
            Ok(Shared::new(t.f_to_kind(kind)?.f_to_device(device)?))
        };
        let norm = |name: &str| -> Result<Affine> {
            Ok(Affine {
                weight: place(checkpoint.tensor(&format!("{name}.weight"))?)?,
                bias: place(checkpoint.tensor(&format!("{name}.bias"))?)?,
            })
        };
        let linear = |names: &[String]| -> Result<Affine> {
            let gather = |part: &str| -> Result<Tensor> {
                let tensors = names
                    .iter()
                    .map(|name| checkpoint.tensor(&format!("{name}.{part}")));
                Ok(Tensor::f_cat(&tensors.collect::<Result<Vec<_>>>()?, 0)?)
            };
            let weight = place(gather("weight")?)?.f_tr()?;
            Ok(Affine {
                weight: Shared::new(weight),
                bias: place(gather("bias")?)?,
            })
        };
        let config = checkpoint.config.clone();
        let mut layers = Vec::with_capacity(config.layers);
        for i in 0..config.layers {
            let name = |part: &str| format!("encoder.layer.{i}.{part}");
            layers.push(Layer {
                attention_norm: norm(&name("attention.LayerNorm"))?,
                qkv: linear(
                    &["query", "key", "value"].map(|part| name(&format!("attention.self.{part}"))),
                )?,
                attention_out: linear(&[name("attention.output.dense")])?,
                norm: norm(&name("LayerNorm"))?,
                up: linear(&[name("intermediate.dense")])?,
                down: linear(&[name("output.dense")])?,
            });
        }
        let frequencies =
            Tensor::f_from_slice(&checkpoint.rotary_frequencies()?)?.f_to_device(device)?;
        Ok(Weights {
            embedding: place(checkpoint.tensor("embeddings.word_embeddings.weight")?)?,
            frequencies: Shared::new(frequencies),
            layers,
            last_norm: norm("encoder.emb_layer_norm_after")?,
            lm_head: LmHead::load(checkpoint, device, kind)?,
            contact_head: ContactHead::load(checkpoint)?,
            config,
            device,
            kind,
        })
    }

    /// Bytes on the device.
    fn bytes(&self) -> u64 {
        let around = self.embedding.bytes() + self.frequencies.bytes() + self.last_norm.bytes();
        let layers: u64 = self.layers.iter().map(Layer::bytes).sum();
        around + layers + self.lm_head.as_ref().map_or(0, LmHead::bytes)
    }
}

/// Which kernel computes the attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attention {
    /// fp16 and bf16 from capability 8.0.
    Flash,
    /// fp32, and older devices.
    Efficient,
    /// Sequence by sequence from the softmax weights: head widths that the kernels do not take.
    Explicit,
}

/// One worker of a GPU.
pub struct Worker {
    weights: Arc<Weights>,
    /// None in tests on the CPU.
    stream: Option<Stream>,
    attention: Attention,
}

/// Tensors of one batch on the device.
struct Inputs {
    tokens: Tensor,
    scales: Tensor,
    segments: Tensor,
    starts: Tensor,
    longest: usize,
    rotary: Rotary,
}

/// cos (\[tokens, 1, width\]), sin and -sin (\[tokens, 1, width / 2\]) of every token's position.
struct Rotary {
    cos: Tensor,
    sin: Tensor,
    minus_sin: Tensor,
}

impl Worker {
    /// A worker on the device of `weights`, of compute capability `capability`, with this thread's stream.
    pub fn new(weights: Arc<Weights>, capability: (i32, i32)) -> Result<Self> {
        let attention = match (weights.config.head_width(), weights.kind) {
            (width, _) if !width.is_multiple_of(8) || width > 256 => Attention::Explicit,
            (_, Kind::Half | Kind::BFloat16) if capability >= (8, 0) => Attention::Flash,
            _ => Attention::Efficient,
        };
        let stream = match weights.device {
            Device::Cuda(index) => Some(Stream::new(index)?),
            _ => None,
        };
        Ok(Worker {
            weights,
            stream,
            attention,
        })
    }

    /// Bytes of the weights on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// Queues what `request` wants of `batch`; the results may be read once their event has been reached.
    pub fn forward(&mut self, batch: &Batch, request: &Request) -> Result<Results> {
        let _scope = self.stream.as_ref().map(Stream::enter).transpose()?;
        let inputs = self.upload(batch)?;
        let mut results = Results::default();
        let tokens = batch.tokens.len() as i64;
        let mut take = |states: &Tensor, layer: usize| -> Result<()> {
            if request.wants(layer) {
                let states = states.f_narrow(0, 0, tokens)?;
                results.hidden.push(take_hidden(
                    &states,
                    layer,
                    request,
                    &inputs.segments,
                    |t| self.to_host(t),
                )?);
            }
            Ok(())
        };
        let config = &self.weights.config;
        let mut contacts = self.contact_sums(batch, request)?;
        let mut x = self
            .weights
            .embedding
            .f_index_select(0, &inputs.tokens)?
            .f_mul(&inputs.scales)?;
        take(&x, 0)?;
        let depth = request.depth(config.layers);
        for layer in 0..depth {
            x = self.layer(x, layer, &inputs, batch, &mut contacts)?;
            if layer + 1 < config.layers {
                take(&x, layer + 1)?;
            }
        }
        if depth == config.layers {
            x = self.norm(&x, &self.weights.last_norm)?;
            take(&x, config.layers)?;
        }
        if let (true, Some(head)) = (request.outputs.logits, &self.weights.lm_head) {
            results.logits = Some(self.to_host(&head.forward(&x.f_narrow(0, 0, tokens)?)?)?);
        }
        if let Some(head) = &self.weights.contact_head {
            for sum in &contacts {
                let both = sum.f_add(&sum.f_tr()?)?.f_add(&number(head.bias)?)?;
                results.contacts.push(self.to_host(&both.f_sigmoid()?)?);
            }
        }
        results.ready = self.stream.as_ref().map(Stream::event).transpose()?;
        Ok(results)
    }

    fn upload(&self, batch: &Batch) -> Result<Inputs> {
        let kind = self.weights.kind;
        let padding = batch.tokens.len().next_multiple_of(ROWS) - batch.tokens.len();
        let padded = |values: Tensor| -> Result<Tensor> {
            let zeros = Tensor::f_zeros([padding as i64], (values.kind(), Device::Cpu))?;
            self.to_device(&Tensor::f_cat(&[values, zeros], 0)?)
        };
        let positions: Vec<f32> = (0..batch.len())
            .flat_map(|i| (0..batch.range(i).len()).map(|p| p as f32))
            .collect();
        let starts: Vec<i32> = batch.starts.iter().map(|&start| start as i32).collect();
        let angles = padded(Tensor::f_from_slice(&positions)?)?
            .f_outer(&self.weights.frequencies)?
            .f_unsqueeze(1)?;
        let (cos, sin) = (
            angles.f_cos()?.f_to_kind(kind)?,
            angles.f_sin()?.f_to_kind(kind)?,
        );
        Ok(Inputs {
            tokens: padded(Tensor::f_from_slice(&batch.tokens)?)?,
            scales: padded(Tensor::f_from_slice(&batch.scales)?)?
                .f_unsqueeze(1)?
                .f_to_kind(kind)?,
            segments: self.to_device(&Tensor::f_from_slice(&batch.segments())?)?,
            starts: self.to_device(&Tensor::f_from_slice(&starts)?)?,
            longest: batch.longest(),
            rotary: Rotary {
                cos: Tensor::f_cat(&[&cos, &cos], 2)?,
                minus_sin: sin.f_neg()?,
                sin,
            },
        })
    }

    fn layer(
        &self,
        mut x: Tensor,
        number: usize,
        inputs: &Inputs,
        batch: &Batch,
        contacts: &mut [Tensor],
    ) -> Result<Tensor> {
        let layer = &self.weights.layers[number];
        let y = self.norm(&x, &layer.attention_norm)?;
        let attended = self.attend(&linear(&y, &layer.qkv)?, number, inputs, batch, contacts)?;
        x = x
            .f_add_(&layer.attention_out.bias)?
            .f_addmm_(&attended, &layer.attention_out.weight)?;
        let y = self.norm(&x, &layer.norm)?;
        let wide = match self.weights.kind {
            Kind::Float => linear(&y, &layer.up)?.f_gelu_("none")?,
            _ => shim::linear_gelu(&layer.up.bias, &y, &layer.up.weight)?,
        };
        Ok(x.f_add_(&layer.down.bias)?
            .f_addmm_(&wide, &layer.down.weight)?)
    }

    fn norm(&self, x: &Tensor, norm: &Affine) -> Result<Tensor> {
        let config = &self.weights.config;
        let width = [config.hidden as i64];
        Ok(x.f_layer_norm(
            width,
            Some(&*norm.weight),
            Some(&*norm.bias),
            config.layer_norm_eps,
            true,
        )?)
    }

    /// Attention of all sequences from \[rows, 3·d\], to \[rows, d\]; adds to the contact sums where there are any.
    fn attend(
        &self,
        qkv: &Tensor,
        number: usize,
        inputs: &Inputs,
        batch: &Batch,
        contacts: &mut [Tensor],
    ) -> Result<Tensor> {
        let config = &self.weights.config;
        let (d, heads, width) = (
            config.hidden as i64,
            config.heads as i64,
            config.head_width() as i64,
        );
        let rotated = rotate(
            &qkv.f_narrow(1, 0, 2 * d)?.f_view([-1, 2 * heads, width])?,
            &inputs.rotary,
        )?;
        let (q, k) = (
            rotated.f_narrow(1, 0, heads)?,
            rotated.f_narrow(1, heads, heads)?,
        );
        let v = qkv.f_narrow(1, 2 * d, d)?.f_view([-1, heads, width])?;
        for (i, sum) in contacts.iter_mut().enumerate() {
            self.add_contacts(
                sum,
                &rows_of(&q, batch, i)?,
                &rows_of(&k, batch, i)?,
                number,
            )?;
        }
        let scale = 1.0 / (width as f64).sqrt();
        let out = match self.attention {
            Attention::Explicit => return explicit(&q, &k, &v, batch),
            Attention::Flash => {
                shim::attention([&q, &k, &v], &inputs.starts, inputs.longest, scale, true)?
            }
            Attention::Efficient => {
                shim::attention([&q, &k, &v], &inputs.starts, inputs.longest, scale, false)?
            }
        };
        Ok(out.f_reshape([-1, d])?)
    }

    fn contact_sums(&self, batch: &Batch, request: &Request) -> Result<Vec<Tensor>> {
        if !request.outputs.contacts || self.weights.contact_head.is_none() {
            return Ok(Vec::new());
        }
        let zeros =
            |n: usize| Tensor::f_zeros([n as i64, n as i64], (Kind::Float, self.weights.device));
        Ok((0..batch.len())
            .map(|i| zeros(batch.residues(i).len()))
            .collect::<std::result::Result<_, _>>()?)
    }

    /// `sum += Σ weight·(A - margins·marginsᵀ / 2·total)` over the heads of one layer, where A are the softmax weights
    /// without BOS and EOS; the same half as [`super::contacts`] keeps.
    fn add_contacts(&self, sum: &mut Tensor, q: &Tensor, k: &Tensor, layer: usize) -> Result<()> {
        let Some(head) = &self.weights.contact_head else {
            return Ok(());
        };
        let weights = self.to_device(&Tensor::f_from_slice(head.layer(layer))?)?;
        let tokens = q.size()[0];
        let n = tokens - 2;
        let at_once = (MAP_ELEMENTS as i64 / (tokens * tokens)).max(1);
        let heads = q.size()[1];
        for first in (0..heads).step_by(at_once as usize) {
            let count = at_once.min(heads - first);
            let maps = maps(&q.f_narrow(1, first, count)?, &k.f_narrow(1, first, count)?)?;
            let maps = maps.f_narrow(1, 1, n)?.f_narrow(2, 1, n)?;
            let weights = weights.f_narrow(0, first, count)?;
            let margins = sum_over(&maps, 1)?.f_add(&sum_over(&maps, 2)?)?;
            let half = weights
                .f_div(&sum_over(&margins, 1)?)?
                .f_mul(&number(0.5)?)?
                .f_unsqueeze(1)?;
            let weighted = sum_over(&maps.f_mul(&weights.f_view([-1, 1, 1])?)?, 0)?;
            let correction = margins.f_tr()?.f_mm(&margins.f_mul(&half)?)?;
            *sum = sum.f_add_(&weighted.f_sub(&correction)?)?;
        }
        Ok(())
    }

    fn to_device(&self, t: &Tensor) -> Result<Tensor> {
        match self.weights.device {
            Device::Cuda(index) => shim::to_device(t, index),
            _ => Ok(t.shallow_clone()),
        }
    }

    fn to_host(&self, t: &Tensor) -> Result<Tensor> {
        match self.weights.device {
            Device::Cuda(_) => shim::to_host(t),
            _ => Ok(t.f_detach_copy()?),
        }
    }
}

fn sum_over(t: &Tensor, dimension: i64) -> Result<Tensor> {
    Ok(t.f_sum_dim_intlist([dimension].as_slice(), false, Kind::Float)?)
}

fn linear(x: &Tensor, layer: &Affine) -> Result<Tensor> {
    Ok(layer.bias.f_addmm(x, &layer.weight)?)
}

/// The rotary embedding (Su et al. 2021), halves rotated against each other, of \[rows, heads, width\].
fn rotate(x: &Tensor, rotary: &Rotary) -> Result<Tensor> {
    let half = x.size()[2] / 2;
    let rotated = x.f_mul(&rotary.cos)?;
    let (first, second) = (x.f_narrow(2, 0, half)?, x.f_narrow(2, half, half)?);
    drop(
        rotated
            .f_narrow(2, 0, half)?
            .f_addcmul_(&second, &rotary.minus_sin)?,
    );
    drop(
        rotated
            .f_narrow(2, half, half)?
            .f_addcmul_(&first, &rotary.sin)?,
    );
    Ok(rotated)
}

fn rows_of(t: &Tensor, batch: &Batch, sequence: usize) -> Result<Tensor> {
    let range = batch.range(sequence);
    Ok(t.f_narrow(0, range.start as i64, range.len() as i64)?)
}

/// Softmax weights \[heads, tokens, tokens\] in fp32 of one sequence's q and k, \[tokens, heads, width\].
fn maps(q: &Tensor, k: &Tensor) -> Result<Tensor> {
    let scale = 1.0 / (q.size()[2] as f64).sqrt();
    let q = q
        .f_to_kind(Kind::Float)?
        .f_mul(&number(scale as f32)?)?
        .f_permute([1, 0, 2])?;
    let k = k.f_to_kind(Kind::Float)?.f_permute([1, 2, 0])?;
    Ok(q.f_matmul(&k)?.f_softmax(-1, Kind::Float)?)
}

/// Attention sequence by sequence; rows of no sequence are zero.
fn explicit(q: &Tensor, k: &Tensor, v: &Tensor, batch: &Batch) -> Result<Tensor> {
    let out = v.f_zeros_like()?;
    for i in 0..batch.len() {
        let maps = maps(&rows_of(q, batch, i)?, &rows_of(k, batch, i)?)?;
        let values = rows_of(v, batch, i)?
            .f_to_kind(Kind::Float)?
            .f_permute([1, 0, 2])?;
        rows_of(&out, batch, i)?.f_copy_(&maps.f_matmul(&values)?.f_permute([1, 0, 2])?)?;
    }
    let size = out.size();
    Ok(out.f_reshape([size[0], size[1] * size[2]])?)
}
