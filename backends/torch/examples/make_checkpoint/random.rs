//! ESM-2 checkpoints of random weights, for demonstrations, tests and benchmarks without a network.
//!
//! Shapes and names are those of the published models, the values are not. Weights are scaled so that activations stay
//! near 1 and attention is neither flat nor a single spike; biases and layer norms are non-trivial, so that leaving
//! one out shows. Nothing here needs libtorch.

use serde_json::{Value, json};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Shape of a model; the feed-forward layer is four times as wide.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
}

/// Name, layers, width, heads (Lin et al. 2023, table S1; tiny is ours).
const SHAPES: [(&str, usize, usize, usize); 7] = [
    ("tiny", 3, 40, 2),
    ("8M", 6, 320, 20),
    ("35M", 12, 480, 20),
    ("150M", 30, 640, 20),
    ("650M", 33, 1280, 20),
    ("3B", 36, 2560, 40),
    ("15B", 48, 5120, 40),
];

const TOKENS: usize = 33;

/// The shape called `name`.
pub fn shape(name: &str) -> Option<Shape> {
    let (_, layers, width, heads) = *SHAPES.iter().find(|(known, ..)| *known == name)?;
    Some(Shape {
        layers,
        width,
        heads,
    })
}

/// Writes `config.json` and `model.safetensors` into `directory`, and returns the bytes of the latter.
pub fn write(directory: &Path, shape: Shape, seed: u64) -> Result<u64, Box<dyn Error>> {
    std::fs::create_dir_all(directory)?;
    let text = serde_json::to_string_pretty(&config(shape))? + "\n";
    std::fs::write(directory.join("config.json"), text)?;
    write_weights(&directory.join("model.safetensors"), &plan(shape), seed)
}

fn config(shape: Shape) -> Value {
    json!({
        "architectures": ["EsmForMaskedLM"],
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": null,
        "emb_layer_norm_before": false,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": shape.width,
        "initializer_range": 0.02,
        "intermediate_size": 4 * shape.width,
        "is_folding_model": false,
        "layer_norm_eps": 1e-5,
        "mask_token_id": 32,
        "max_position_embeddings": 1026,
        "model_type": "esm",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "pad_token_id": 1,
        "position_embedding_type": "rotary",
        "tie_word_embeddings": true,
        "token_dropout": true,
        "torch_dtype": "float32",
        "use_cache": true,
        "vocab_size": TOKENS,
    })
}

/// What a tensor is filled with.
enum Fill {
    /// Normal numbers of this mean and deviation.
    Normal(f32, f32),
    /// These numbers.
    Values(Vec<f32>),
}

struct Planned {
    name: String,
    shape: Vec<usize>,
    fill: Fill,
}

/// Every tensor of the checkpoint, in file order.
fn plan(shape: Shape) -> Vec<Planned> {
    let (layers, d) = (shape.layers, shape.width);
    let mut tensors = Vec::new();
    let mut add = |name: &str, shape: &[usize], fill: Fill| {
        tensors.push(Planned {
            name: name.to_owned(),
            shape: shape.to_vec(),
            fill,
        });
    };
    let inner = |n: usize| 1.0 / (n as f32).sqrt();
    add(
        "esm.embeddings.word_embeddings.weight",
        &[TOKENS, d],
        Fill::Normal(0.0, 1.0),
    );
    for layer in 0..layers {
        let name = |part: &str| format!("esm.encoder.layer.{layer}.{part}");
        // Query and key a little above 1, so that scores spread: softmax is then neither flat nor a spike.
        for (part, out, n, gain) in [
            ("attention.self.query", d, d, 1.3),
            ("attention.self.key", d, d, 1.3),
            ("attention.self.value", d, d, 1.0),
            ("attention.output.dense", d, d, 0.7),
            ("intermediate.dense", 4 * d, d, 1.0),
            ("output.dense", d, 4 * d, 0.7),
        ] {
            add(
                &name(&format!("{part}.weight")),
                &[out, n],
                Fill::Normal(0.0, gain * inner(n)),
            );
            add(
                &name(&format!("{part}.bias")),
                &[out],
                Fill::Normal(0.0, 0.1),
            );
        }
        for part in ["attention.LayerNorm", "LayerNorm"] {
            add(
                &name(&format!("{part}.weight")),
                &[d],
                Fill::Normal(1.0, 0.1),
            );
            add(&name(&format!("{part}.bias")), &[d], Fill::Normal(0.0, 0.1));
        }
        let frequencies = Fill::Values(rotary_frequencies(d / shape.heads));
        add(
            &name("attention.self.rotary_embeddings.inv_freq"),
            &[d / shape.heads / 2],
            frequencies,
        );
    }
    add(
        "esm.encoder.emb_layer_norm_after.weight",
        &[d],
        Fill::Normal(1.0, 0.1),
    );
    add(
        "esm.encoder.emb_layer_norm_after.bias",
        &[d],
        Fill::Normal(0.0, 0.1),
    );
    let maps = layers * shape.heads;
    add(
        "esm.contact_head.regression.weight",
        &[1, maps],
        Fill::Normal(0.0, 20.0 * inner(maps)),
    );
    add(
        "esm.contact_head.regression.bias",
        &[1],
        Fill::Normal(-1.0, 0.1),
    );
    add("lm_head.dense.weight", &[d, d], Fill::Normal(0.0, inner(d)));
    add("lm_head.dense.bias", &[d], Fill::Normal(0.0, 0.1));
    add("lm_head.layer_norm.weight", &[d], Fill::Normal(1.0, 0.1));
    add("lm_head.layer_norm.bias", &[d], Fill::Normal(0.0, 0.1));
    add("lm_head.bias", &[TOKENS], Fill::Normal(0.0, 0.1));
    tensors
}

/// 10000^(-2i / width), rounded to fp16 as the training of the published models did.
fn rotary_frequencies(width: usize) -> Vec<f32> {
    (0..width / 2)
        .map(|i| half::f16::from_f64(10_000f64.powf(-2.0 * i as f64 / width as f64)).to_f32())
        .collect()
}

/// The safetensors format: length of the header, header, tensors one after the other.
fn write_weights(path: &Path, tensors: &[Planned], seed: u64) -> Result<u64, Box<dyn Error>> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut end = 0;
    for tensor in tensors {
        let begin = end;
        end += 4 * tensor.shape.iter().product::<usize>();
        let entry = json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [begin, end]});
        header.insert(tensor.name.clone(), entry);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut random = Random(seed);
    for tensor in tensors {
        match &tensor.fill {
            Fill::Values(values) => values
                .iter()
                .try_for_each(|v| file.write_all(&v.to_le_bytes()))?,
            Fill::Normal(mean, deviation) => {
                for _ in 0..tensor.shape.iter().product() {
                    file.write_all(&(mean + deviation * random.normal()).to_le_bytes())?;
                }
            }
        }
    }
    file.flush()?;
    Ok((8 + header.len() + end) as u64)
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Nearly normal, variance 1: the sum of four uniform numbers of 16 bits, within ±3.46.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
        (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
    }
}
