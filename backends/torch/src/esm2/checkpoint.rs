//! ESM-2 checkpoints: safetensors files, single or sharded, under any of the names in use.

use super::alphabet;
use super::config::Config;
use super::names::canonical;
use crate::error::{Error, Result};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// A checkpoint directory whose config and file headers have been checked; no weight has been read.
pub struct Checkpoint {
    /// Shape and constants of the model.
    pub config: Config,
    directory: PathBuf,
    shards: Vec<Mmap>,
    entries: HashMap<String, Entry>,
}

/// Where one tensor lies.
struct Entry {
    shard: usize,
    begin: usize,
    end: usize,
    dtype: Dtype,
    shape: Vec<usize>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the checkpoint in `directory`: reads `config.json` and the headers of its safetensors files, and checks
    /// that every tensor of the encoder is there with the shape that the config gives it.
    pub fn open(directory: &Path) -> Result<Self> {
        let config = Config::read(&directory.join("config.json"))?;
        let mut shards = Vec::new();
        let mut entries = HashMap::new();
        for path in weight_files(directory)? {
            let map = map_file(&path)?;
            index_file(&path, &map, shards.len(), &mut entries)?;
            shards.push(map);
        }
        let checkpoint = Checkpoint {
            config,
            directory: directory.to_owned(),
            shards,
            entries,
        };
        checkpoint.check_shapes()?;
        Ok(checkpoint)
    }

    /// Whether the checkpoint has a language-model head, which `logits` need.
    pub fn has_lm_head(&self) -> bool {
        self.entries.contains_key("lm_head.dense.weight")
    }

    /// Whether the checkpoint has a contact head, which `contacts` need.
    pub fn has_contact_head(&self) -> bool {
        self.entries.contains_key("contact_head.regression.weight")
    }

    /// How many numbers the weights are.
    pub fn parameters(&self) -> usize {
        let size = |entry: &Entry| entry.shape.iter().product::<usize>();
        self.entries.values().map(size).sum()
    }

    /// The directory's canonical path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The tensor called `name` (see [`canonical`]), copied to the CPU in fp32.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let entry = self.entries.get(name).ok_or_else(|| self.missing(name))?;
        let kind = self.kind(name, entry)?;
        let bytes = &self.shards[entry.shard][entry.begin..entry.end];
        let shape: Vec<i64> = entry.shape.iter().map(|&n| n as i64).collect();
        Ok(Tensor::f_from_data_size(bytes, &shape, kind)?.f_to_kind(Kind::Float)?)
    }

    /// The values of the tensor called `name`, in row-major order.
    pub fn values(&self, name: &str) -> Result<Vec<f32>> {
        Ok(Vec::<f32>::try_from(self.tensor(name)?.f_reshape([-1])?)?)
    }

    /// Rotary frequencies, head_width / 2 of them: the checkpoint's (training rounded them to fp16), or computed as
    /// theta^(-2i / head_width) where it has none.
    pub fn rotary_frequencies(&self) -> Result<Vec<f32>> {
        const NAME: &str = "rotary_embeddings.inv_freq";
        if self.entries.contains_key(NAME) {
            return self.values(NAME);
        }
        let width = self.config.head_width();
        Ok((0..width / 2)
            .map(|i| (1.0 / self.config.rope_theta.powf(2.0 * i as f64 / width as f64)) as f32)
            .collect())
    }

    fn kind(&self, name: &str, entry: &Entry) -> Result<Kind> {
        match entry.dtype {
            Dtype::F32 => Ok(Kind::Float),
            Dtype::F16 => Ok(Kind::Half),
            Dtype::BF16 => Ok(Kind::BFloat16),
            Dtype::F64 => Ok(Kind::Double),
            other => Err(self.damaged(format!(
                "tensor {name} is {other:?}; weights are F32, F16, BF16 or F64"
            ))),
        }
    }

    fn check_shapes(&self) -> Result<()> {
        for (name, shape) in required(&self.config) {
            self.check_shape(&name, &shape)?;
        }
        let groups = optional(&self.config);
        for group in &groups {
            if group
                .iter()
                .any(|(name, _)| self.entries.contains_key(*name))
            {
                for (name, shape) in group {
                    self.check_shape(name, shape)?;
                }
            }
        }
        let beyond = format!("encoder.layer.{}.", self.config.layers);
        match self.entries.keys().find(|name| name.starts_with(&beyond)) {
            Some(name) => Err(self.damaged(format!(
                "config.json says {} layers (num_hidden_layers), but there is a tensor {name}",
                self.config.layers
            ))),
            None => Ok(()),
        }
    }

    fn check_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        let entry = self.entries.get(name).ok_or_else(|| self.missing(name))?;
        self.kind(name, entry)?;
        if entry.shape == expected {
            return Ok(());
        }
        Err(self.damaged(format!(
            "tensor {name} has shape {:?}, but config.json makes it {expected:?}; \
             the config and the weights are not of one model",
            entry.shape
        )))
    }

    fn missing(&self, name: &str) -> Error {
        self.damaged(format!(
            "tensor {name} is missing; download the checkpoint again"
        ))
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Model(format!("{}: {reason}", self.directory.display()))
    }
}

/// Every tensor of the encoder with its shape, one by one: a config may claim a million layers, and the first that is
/// missing ends it.
fn required(config: &Config) -> impl Iterator<Item = (String, Vec<usize>)> {
    let (d, wide) = (config.hidden, config.intermediate);
    let around = [
        ("embeddings.word_embeddings.weight", vec![alphabet::SIZE, d]),
        ("encoder.emb_layer_norm_after.weight", vec![d]),
        ("encoder.emb_layer_norm_after.bias", vec![d]),
    ];
    let around = around.map(|(name, shape)| (name.to_owned(), shape));
    let layers = (0..config.layers).flat_map(move |layer| of_layer(layer, d, wide));
    around.into_iter().chain(layers)
}

/// The tensors of one layer.
fn of_layer(layer: usize, d: usize, wide: usize) -> Vec<(String, Vec<usize>)> {
    let mut tensors = Vec::new();
    for (part, out, inner) in [
        ("attention.self.query", d, d),
        ("attention.self.key", d, d),
        ("attention.self.value", d, d),
        ("attention.output.dense", d, d),
        ("intermediate.dense", wide, d),
        ("output.dense", d, wide),
    ] {
        tensors.push((
            format!("encoder.layer.{layer}.{part}.weight"),
            vec![out, inner],
        ));
        tensors.push((format!("encoder.layer.{layer}.{part}.bias"), vec![out]));
    }
    for part in ["attention.LayerNorm", "LayerNorm"] {
        tensors.push((format!("encoder.layer.{layer}.{part}.weight"), vec![d]));
        tensors.push((format!("encoder.layer.{layer}.{part}.bias"), vec![d]));
    }
    tensors
}

/// Groups of tensors that are there together or not at all.
fn optional(config: &Config) -> [Vec<(&'static str, Vec<usize>)>; 3] {
    let d = config.hidden;
    [
        vec![
            ("lm_head.dense.weight", vec![d, d]),
            ("lm_head.dense.bias", vec![d]),
            ("lm_head.layer_norm.weight", vec![d]),
            ("lm_head.layer_norm.bias", vec![d]),
            ("lm_head.bias", vec![alphabet::SIZE]),
        ],
        vec![
            (
                "contact_head.regression.weight",
                vec![1, config.layers * config.heads],
            ),
            ("contact_head.regression.bias", vec![1]),
        ],
        vec![("rotary_embeddings.inv_freq", vec![config.head_width() / 2])],
    ]
}

/// The safetensors files of a checkpoint directory.
fn weight_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let single = directory.join("model.safetensors");
    if single.exists() {
        return Ok(vec![single]);
    }
    let index = directory.join("model.safetensors.index.json");
    let text = match std::fs::read_to_string(&index) {
        Ok(text) => text,
        Err(_) => return Err(Error::Model(explain_no_weights(directory))),
    };
    let index_of: ShardIndex = serde_json::from_str(&text).map_err(|e| {
        Error::Model(format!(
            "{} is not an index of shards: {e}",
            index.display()
        ))
    })?;
    let files: BTreeSet<&String> = index_of.weight_map.values().collect();
    if files.is_empty() {
        return Err(Error::Model(format!("{} names no shard", index.display())));
    }
    for file in &files {
        if Path::new(file).components().count() != 1 || file.starts_with('.') {
            return Err(Error::Model(format!(
                "{}: {file:?} is not a plain file name",
                index.display()
            )));
        }
    }
    Ok(files.into_iter().map(|file| directory.join(file)).collect())
}

fn explain_no_weights(directory: &Path) -> String {
    let here = directory.display();
    if directory.join("pytorch_model.bin").exists() {
        return format!(
            "{here} has its weights as pytorch_model.bin, a Python pickle, which this library does not read; convert it \
             once: `transformers.EsmForMaskedLM.from_pretrained(\"{here}\").save_pretrained(\"DIR\")`"
        );
    }
    format!("{here} has neither model.safetensors nor model.safetensors.index.json")
}

fn map_file(path: &Path) -> Result<Mmap> {
    let describe = |e| Error::Model(format!("{} cannot be read: {e}", path.display()));
    let file = File::open(path).map_err(describe)?;
    // SAFETY: the map is only read, and every offset into it has been checked against its length. A file that another
    // process shortens while it is mapped raises SIGBUS, as with every mapped file; checkpoints are not rewritten.
    unsafe { Mmap::map(&file) }.map_err(describe)
}

/// Adds the tensors of one safetensors file to `entries`, by canonical name.
fn index_file(
    path: &Path,
    map: &Mmap,
    shard: usize,
    entries: &mut HashMap<String, Entry>,
) -> Result<()> {
    let (header, metadata) = SafeTensors::read_metadata(map).map_err(|e| {
        Error::Model(format!(
            "{} is damaged or cut short ({e}; {} bytes); download it again",
            path.display(),
            map.len()
        ))
    })?;
    let data = 8 + header;
    for (name, tensor) in metadata.tensors() {
        let Some(known) = canonical(&name) else {
            continue;
        };
        let (begin, end) = tensor.data_offsets;
        entries.entry(known).or_insert(Entry {
            shard,
            begin: data + begin,
            end: data + end,
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
        });
    }
    Ok(())
}
