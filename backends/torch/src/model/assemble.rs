//! The input tensors of one call, from the items of a group.

use super::dtype;
use super::options::{Batching, Mask, Options};
use super::wiring::{Item, Source, Wiring};
use crate::error::Result;
use crate::exchange::View;
use crate::shim::model::{Staging, borrow, protect};
use tch::{Kind, Tensor};

/// The inputs of one call, in host memory.
pub struct Inputs {
    /// For each input of the model; none where it has its default.
    pub tensors: Vec<Option<Tensor>>,
    /// What shares of the caller's memory are shares of: must live until the model has run.
    pub originals: Vec<Tensor>,
    /// Elements that were put in to pad, and all elements of the inputs that are padded.
    pub padding: usize,
    pub elements: usize,
}

/// How inputs are made.
#[derive(Clone, Copy)]
pub struct Assembler<'a> {
    pub wiring: &'a Wiring,
    pub options: &'a Options,
    /// Whether host memory is pinned, for copies to CUDA.
    pub pinned: bool,
    /// Whether a model may write to its inputs, so that the caller's memory must be protected from it. (What AOTInductor
    /// compiles asks for its inputs in a way that cannot be told from writing, and does not write.)
    pub protected: bool,
}

impl Assembler<'_> {
    /// The inputs for `items`, which have one signature.
    pub fn inputs(&self, items: &[&Item]) -> Result<Inputs> {
        let mut inputs = Inputs {
            tensors: Vec::with_capacity(self.wiring.sources.len()),
            originals: Vec::new(),
            padding: 0,
            elements: 0,
        };
        for &source in &self.wiring.sources {
            let tensor = match source {
                Source::Field(field) => Some(self.field(field, items, &mut inputs)?),
                Source::Mask => self
                    .options
                    .mask
                    .as_ref()
                    .map(|m| mask(m, items))
                    .transpose()?,
                Source::Lengths => Some(starts(items)?),
                Source::Default => None,
            };
            inputs.tensors.push(tensor);
        }
        Ok(inputs)
    }

    fn field(&self, field: usize, items: &[&Item], inputs: &mut Inputs) -> Result<Tensor> {
        let views: Vec<&View> = items.iter().map(|item| &item.views[field]).collect();
        let first = views[0];
        let kind = dtype::kind_of(first.dtype).unwrap_or(Kind::Float);
        let batch = views.len() as i64;
        let ragged = self.wiring.fields[field].ragged;
        match self.options.batch {
            Batching::None => self.concatenated(&views, first.dims(), kind, inputs),
            Batching::Pack if ragged => {
                let mut sizes = first.dims().to_vec();
                sizes[0] = views.iter().map(|view| view.dims()[0]).sum();
                self.concatenated(&views, &sizes, kind, inputs)
            }
            Batching::Pad if ragged => self.padded(field, &views, kind, inputs),
            _ => {
                let sizes: Vec<i64> = std::iter::once(batch)
                    .chain(first.dims().iter().copied())
                    .collect();
                self.concatenated(&views, &sizes, kind, inputs)
            }
        }
    }

    /// The elements of all views, one after the other: where they lie, if they lie so.
    fn concatenated(
        &self,
        views: &[&View],
        sizes: &[i64],
        kind: Kind,
        inputs: &mut Inputs,
    ) -> Result<Tensor> {
        let parts: Vec<&[u8]> = views.iter().map(|view| view.data).collect();
        // SAFETY: the sizes are those of the parts together, which stay until the batch ends; what may write to the
        // tensor writes to a copy.
        if let Some(original) = unsafe { borrow(&parts, sizes, kind)? } {
            if !self.protected {
                return Ok(original);
            }
            let share = protect(&original)?;
            inputs.originals.push(original);
            return Ok(share);
        }
        let mut staging = Staging::new(sizes, kind, self.pinned)?;
        let mut at = 0;
        for part in parts {
            staging.write(at, part);
            at += part.len();
        }
        Ok(staging.done())
    }

    /// The views one above the other, each filled up on the dimension on which they differ.
    fn padded(
        &self,
        field: usize,
        views: &[&View],
        kind: Kind,
        inputs: &mut Inputs,
    ) -> Result<Tensor> {
        let dim = self.options.dim;
        let longest = views.iter().map(|view| view.dims()[dim]).max().unwrap_or(0);
        let real: usize = views.iter().map(|view| view.elements()).sum();
        let mut sizes = vec![views.len() as i64];
        sizes.extend(views[0].dims());
        sizes[dim + 1] = longest;
        let elements = sizes.iter().product::<i64>() as usize;
        inputs.elements += elements;
        inputs.padding += elements - real;
        if elements == real {
            return self.concatenated(views, &sizes, kind, inputs);
        }
        let mut staging = Staging::new(&sizes, kind, self.pinned)?;
        staging.fill(self.wiring.fields[field].padding)?;
        let element = kind.elt_size_in_bytes();
        // A view is a row of pieces that are filled up: one for each index of the dimensions before `dim`.
        let pieces = sizes[1..=dim].iter().product::<i64>() as usize;
        let filled = sizes[dim + 1..].iter().product::<i64>() as usize * element;
        for (number, view) in views.iter().enumerate() {
            let piece = view.data.len() / pieces;
            for (at, data) in view.data.chunks_exact(piece).enumerate() {
                staging.write((number * pieces + at) * filled, data);
            }
        }
        Ok(staging.done())
    }
}

/// 1 where an item has data, 0 where it is filled up: \[items, longest\].
fn mask(mask: &Mask, items: &[&Item]) -> Result<Tensor> {
    let longest = items.iter().map(|item| item.length).max().unwrap_or(0);
    let values: Vec<u8> = items
        .iter()
        .flat_map(|item| (0..longest).map(|at| u8::from(at < item.length)))
        .collect();
    let kind = dtype::kind_of(mask.dtype).unwrap_or(Kind::Int64);
    let flat = Tensor::f_from_slice(&values)?.f_to_kind(kind)?;
    Ok(flat.f_view([items.len() as i64, longest])?)
}

/// Where each item begins, and where the last ends: int32 \[items + 1\].
fn starts(items: &[&Item]) -> Result<Tensor> {
    let mut starts = vec![0_i32];
    for item in items {
        let end = i64::from(starts[starts.len() - 1]) + item.length;
        starts.push(i32::try_from(end).unwrap_or(i32::MAX));
    }
    Ok(Tensor::f_from_slice(&starts)?)
}
