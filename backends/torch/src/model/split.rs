//! The outputs of one call, split back to the items.

use super::dtype;
use super::options::{Batching, Options};
use super::wiring::Item;
use crate::error::{Error, Result};
use crate::exchange::Exchange;
use crate::shim::model::bytes_of;
use tch::{Kind, Tensor};

/// An item's number in the core's batch, and its length.
pub type Place = (usize, i64);

/// How the rows of an output belong to the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// All of it is the one item's.
    Whole,
    /// One row an item.
    Each,
    /// One row an item, of which the item has the beginning on this dimension of the row.
    Cut(usize),
    /// As many rows as the item is long.
    Own,
}

/// One output of a group of items.
pub struct Output {
    name: String,
    tensor: Tensor,
    rows: Rows,
}

impl Output {
    /// Checks that an output of a model splits into `items`, and casts it as the options say.
    pub fn new(name: String, tensor: Tensor, items: &[&Item], options: &Options) -> Result<Self> {
        let sizes = tensor.size();
        let rows = rows_of(&name, &sizes, items, options)?;
        let kind = tensor.kind();
        let tensor = match dtype::is_half(kind) && !options.keep_half {
            true => tensor.f_to_kind(Kind::Float)?,
            false => tensor,
        };
        if dtype::code_of(kind).is_none() {
            return Err(Error::Failed(format!(
                "the output '{name}' is of {kind:?}, which results cannot hold; return its parts as real numbers"
            )));
        }
        if sizes.len() > toolpool_abi::TOOLPOOL_MAX_NDIM + 1 {
            return Err(Error::Failed(format!(
                "the output '{name}' has {} dimensions; results have at most {}",
                sizes.len(),
                toolpool_abi::TOOLPOOL_MAX_NDIM
            )));
        }
        Ok(Output { name, tensor, rows })
    }

    /// Replaces its tensor by the copy that `copy` makes in host memory.
    pub fn on_host(mut self, copy: impl FnOnce(Tensor) -> Result<Tensor>) -> Result<Self> {
        self.tensor = copy(self.tensor.f_contiguous()?)?;
        Ok(self)
    }

    /// Hands every item its part; the tensor must be in host memory.
    pub fn put(&self, places: &[Place], exchange: &Exchange) -> Result<()> {
        let mut begin = 0;
        for (row, &(index, length)) in places.iter().enumerate() {
            let part = match self.rows {
                Rows::Whole => self.tensor.shallow_clone(),
                Rows::Each => self.tensor.f_get(row as i64)?,
                Rows::Cut(dim) => self
                    .tensor
                    .f_get(row as i64)?
                    .f_narrow(dim as i64, 0, length)?,
                Rows::Own => self.tensor.f_narrow(0, begin, length)?,
            };
            begin += length;
            let part = part.f_contiguous()?;
            let code = dtype::code_of(part.kind()).unwrap_or(toolpool_abi::TOOLPOOL_FLOAT32);
            exchange.put(index, &self.name, code, &part.size(), bytes_of(&part))?;
        }
        Ok(())
    }
}

fn rows_of(name: &str, sizes: &[i64], items: &[&Item], options: &Options) -> Result<Rows> {
    let (count, ragged) = (
        items.len() as i64,
        options.ragged_outputs.iter().any(|n| n == name),
    );
    let refused = |wanted: String| {
        Err(Error::Failed(format!(
            "the output '{name}' of shape {sizes:?} does not split into items: {wanted}"
        )))
    };
    match options.batch {
        Batching::None => Ok(Rows::Whole),
        Batching::Pack if ragged => {
            let total: i64 = items.iter().map(|item| item.length).sum();
            match sizes.first() == Some(&total) {
                true => Ok(Rows::Own),
                false => refused(format!(
                    "ragged_outputs has it, so its size 0 would be {total}, as many rows as were put in"
                )),
            }
        }
        Batching::Pad if ragged => {
            let longest = items.iter().map(|item| item.length).max().unwrap_or(0);
            match sizes.first() == Some(&count) && sizes.get(options.dim + 1) == Some(&longest) {
                true => Ok(Rows::Cut(options.dim)),
                false => refused(format!(
                    "ragged_outputs has it, so its sizes 0 and {} would be {count} and {longest}",
                    options.dim + 1
                )),
            }
        }
        _ if sizes.first() == Some(&count) => Ok(Rows::Each),
        _ => refused(format!(
            "its size 0 must be {count}, their number in this batch; batch=none runs items one by one"
        )),
    }
}
