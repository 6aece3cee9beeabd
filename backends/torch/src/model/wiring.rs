//! Which field of the items feeds which input of the model, and the items as the model will see them.

use super::dtype;
use super::options::{Batching, Options};
use crate::error::{Error, Result};
use crate::exchange::View;

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A field of the items, by number.
    Field(usize),
    /// Made by the tool: 1 where there is data, 0 where there is padding.
    Mask,
    /// Made by the tool: where each item begins, and where the last ends.
    Lengths,
    /// The model's own default.
    Default,
}

/// A field of the items.
#[derive(Debug, PartialEq)]
pub struct Field {
    pub name: String,
    /// Whether it differs between items on the option's dimension.
    pub ragged: bool,
    pub padding: f64,
}

/// The fields of a job's items against the inputs of the model.
#[derive(Debug, PartialEq)]
pub struct Wiring {
    /// For each input of the model.
    pub sources: Vec<Source>,
    pub fields: Vec<Field>,
}

impl Wiring {
    /// Fields go to the inputs of their names; those whose name is a number to the input at that position.
    ///
    /// `inputs` are the model's: name, and whether it is required.
    pub fn new(fields: &[String], inputs: &[(String, bool)], options: &Options) -> Result<Self> {
        check_batching(options)?;
        let mut wiring = Wiring {
            sources: vec![Source::Default; inputs.len()],
            fields: Vec::with_capacity(fields.len()),
        };
        for (number, field) in fields.iter().enumerate() {
            let slot = wiring.connect(field, Source::Field(number), inputs)?;
            let name = &inputs[slot].0;
            wiring.fields.push(Field {
                name: field.clone(),
                ragged: options.is_ragged([name, field]),
                padding: options.padding([name, field]),
            });
        }
        if let Some(mask) = &options.mask {
            wiring.connect(&mask.input, Source::Mask, inputs)?;
        }
        if let Some(lengths) = &options.lengths {
            wiring.connect(lengths, Source::Lengths, inputs)?;
        }
        for (source, (name, required)) in wiring.sources.iter().zip(inputs) {
            if *source == Source::Default && *required {
                return Err(Error::Argument(format!(
                    "nothing is given for the model's input '{name}': {}",
                    told(fields, inputs)
                )));
            }
        }
        if !matches!(options.batch, Batching::Stack | Batching::None)
            && !wiring.fields.iter().any(|field| field.ragged)
        {
            return Err(Error::Option(
                "ragged_inputs names none of the items' fields".into(),
            ));
        }
        Ok(wiring)
    }

    fn connect(&mut self, name: &str, source: Source, inputs: &[(String, bool)]) -> Result<usize> {
        let slot = inputs
            .iter()
            .position(|(input, _)| input == name)
            .or_else(|| name.parse().ok().filter(|&slot| slot < inputs.len()))
            .ok_or_else(|| {
                Error::Argument(format!(
                    "the model has no input '{name}': {}",
                    told(&[], inputs)
                ))
            })?;
        if self.sources[slot] != Source::Default {
            return Err(Error::Argument(format!(
                "the model's input '{}' is given twice",
                inputs[slot].0
            )));
        }
        self.sources[slot] = source;
        Ok(slot)
    }
}

fn check_batching(options: &Options) -> Result<()> {
    let wrong = |why: &str| Err(Error::Option(why.to_owned()));
    match options.batch {
        Batching::Pack if options.dim != 0 => {
            wrong("batch=pack puts rows one after the other: dim must be 0")
        }
        Batching::Pack if options.lengths.is_none() => {
            wrong("batch=pack wants the option lengths: the input that says where items begin")
        }
        _ if options.mask.is_some() && options.batch != Batching::Pad => {
            wrong("the option mask is for batch=pad")
        }
        Batching::Pack | Batching::None if options.batch_fill > 1 => {
            wrong("the option batch_fill is for batch=stack and batch=pad")
        }
        _ if options.lengths.is_some() && options.batch != Batching::Pack => {
            wrong("the option lengths is for batch=pack")
        }
        _ => Ok(()),
    }
}

/// What the model takes, and what the items have.
fn told(fields: &[String], inputs: &[(String, bool)]) -> String {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|(name, required)| match required {
            true => name.clone(),
            false => format!("{name} (optional)"),
        })
        .collect();
    let has = match fields.is_empty() {
        true => String::new(),
        false => format!(", and the items have {}", fields.join(", ")),
    };
    format!("its inputs are {}{has}", inputs.join(", "))
}

/// An item that can be put into a batch.
pub struct Item<'a> {
    /// Its number in the core's batch.
    pub index: usize,
    /// Its fields, in their order.
    pub views: Vec<View<'a>>,
    /// Size of its ragged fields on the dimension on which they differ; of the first, where batches are padded.
    pub length: i64,
}

impl<'a> Item<'a> {
    /// Checks what the model itself could not say clearly; an error is the reason alone.
    pub fn new(
        index: usize,
        views: Vec<View<'a>>,
        wiring: &Wiring,
        options: &Options,
    ) -> std::result::Result<Self, String> {
        let mut length = None;
        for (view, field) in views.iter().zip(&wiring.fields) {
            let (name, dims) = (&field.name, view.dims());
            if dtype::kind_of(view.dtype).is_none() {
                return Err(format!(
                    "the field '{name}' is a byte string, and a model takes tensors: make the items by \
                     toolpool_items_from_tensors()"
                ));
            }
            if dims.contains(&0) {
                return Err(format!(
                    "the tensor '{name}' has no elements (shape {dims:?})"
                ));
            }
            if options.batch != Batching::None && dims.len() == toolpool_abi::TOOLPOOL_MAX_NDIM {
                return Err(format!(
                    "the tensor '{name}' has {} dimensions, and a batch of it would have one more than is possible",
                    dims.len()
                ));
            }
            if !field.ragged {
                continue;
            }
            let Some(&size) = dims.get(options.dim) else {
                return Err(format!(
                    "the tensor '{name}' of shape {dims:?} has no dimension {}, on which the option batch wants it",
                    options.dim
                ));
            };
            let first = *length.get_or_insert(size);
            if options.batch == Batching::Pack && size != first {
                return Err(format!(
                    "the tensor '{name}' has {size} rows, and those before it {first}: batch=pack wants as many"
                ));
            }
        }
        Ok(Item {
            index,
            views,
            length: length.unwrap_or(1),
        })
    }

    /// What items of one batch have in common: types, and sizes but for those that differ.
    pub fn signature(&self, wiring: &Wiring, options: &Options) -> Vec<i64> {
        let mut signature = Vec::with_capacity(4 * self.views.len());
        for (view, field) in self.views.iter().zip(&wiring.fields) {
            signature.extend([view.dtype.into(), view.dims().len() as i64]);
            let sizes = view.dims().iter().enumerate();
            signature.extend(sizes.map(|(axis, &size)| {
                match field.ragged && axis == options.dim {
                    true => -1,
                    false => size,
                }
            }));
        }
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::Format;
    use super::*;

    fn wire(fields: &[&str], pairs: &[(&str, &str)]) -> Result<Wiring> {
        let inputs = [("ids", true), ("mask", true), ("scale", false)]
            .map(|(name, required)| (name.to_owned(), required));
        let fields: Vec<_> = fields.iter().map(|&name| name.to_owned()).collect();
        Wiring::new(&fields, &inputs, &Options::parse(Format::Script, pairs)?)
    }

    #[test]
    fn fields_find_their_inputs_by_name_or_position() {
        use Source::{Default, Field, Mask};
        let sources = |fields: &[&str]| wire(fields, &[]).unwrap().sources;
        assert_eq!(sources(&["0", "1"]), [Field(0), Field(1), Default]);
        assert_eq!(sources(&["mask", "ids"]), [Field(1), Field(0), Default]);
        assert_eq!(sources(&["2", "mask", "0"]), [Field(2), Field(1), Field(0)]);
        let padded = wire(&["ids"], &[("batch", "pad"), ("mask", "mask")]).unwrap();
        assert_eq!(padded.sources, [Field(0), Mask, Default]);
        assert!(padded.fields[0].ragged);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let why =
            |fields: &[&str], pairs: &[(&str, &str)]| wire(fields, pairs).unwrap_err().to_string();
        let missing = why(&["ids"], &[]);
        assert!(missing.contains("'mask'") && missing.contains("scale (optional)"));
        assert!(why(&["ids", "mask", "token"], &[]).contains("no input 'token'"));
        assert!(why(&["0", "1", "2", "3"], &[]).contains("no input '3'"));
        assert!(why(&["ids", "0"], &[]).contains("given twice"));
        assert!(why(&["0", "1"], &[("mask", "scale")]).contains("batch=pad"));
        assert!(why(&["0", "1"], &[("batch", "pack")]).contains("lengths"));
        let nothing = [("batch", "pad"), ("ragged_inputs", "scale")];
        assert!(why(&["0", "1"], &nothing).contains("ragged_inputs"));
    }

    #[test]
    fn padding_and_raggedness_are_known_by_either_name() {
        for named in ["ids", "0"] {
            let value = format!("{named}=7");
            let wiring = wire(
                &["0", "1"],
                &[
                    ("batch", "pad"),
                    ("pad_value", &value),
                    ("ragged_inputs", named),
                ],
            )
            .unwrap();
            assert!(wiring.fields[0].ragged && !wiring.fields[1].ragged);
            assert_eq!(
                (wiring.fields[0].padding, wiring.fields[1].padding),
                (7.0, 0.0)
            );
        }
    }
}
