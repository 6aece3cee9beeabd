//! The model of a run: its tool, what it puts out, and what tells it from another.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toolpool::tool::Tool;
use xxhash_rust::xxh3::Xxh3;

use super::long::Pieces;
use super::sizing::Sizes;
use crate::args::{Embed, OnLong, written};
use crate::error::{Error, Result};
use crate::hub;
use crate::output::{Layout, Output};
use crate::tool;

/// Letters of the model's alphabet: the width of `logits`.
const ALPHABET: usize = 33;
const FLOAT: usize = size_of::<f32>();

/// What a sequence is embedded with.
pub struct Model {
    pub tool: Arc<dyn Tool>,
    /// For sequences that run in windows.
    pub long: Option<Long>,
    /// In the order in which they were asked for, layer by layer.
    pub outputs: Vec<Output>,
    /// What the outputs of a record take, and of each of its residues.
    pub sizes: Sizes,
    /// All on which the values depend.
    pub settings: BTreeMap<String, String>,
}

/// How long sequences run.
pub struct Long {
    pub pieces: Pieces,
    /// Of the same weights; gives what the windows' averages are made of.
    pub tool: Arc<dyn Tool>,
}

/// What is needed of a checkpoint's `config.json`.
#[derive(Deserialize)]
struct Config {
    hidden_size: usize,
    num_hidden_layers: i64,
}

impl Model {
    /// Opens the model that the command line names; nothing of its weights is loaded yet.
    pub fn open(arguments: &Embed) -> Result<Self> {
        let source = &arguments.model;
        if Path::new(source).is_file() {
            // The tool says what the file is and what to give in its place.
            tool::open("esm2", source, &arguments.computing, &[])?;
        }
        let directory = hub::directory(source)?;
        let config = config(&directory)?;
        let layers = layers(&arguments.layers, config.num_hidden_layers)?;
        let long = long_pieces(arguments)?;
        let open = |outputs: &[String]| {
            let opened = tool::open(
                "esm2",
                source,
                &arguments.computing,
                &options(arguments, outputs),
            )?;
            Ok(opened.tool())
        };
        let tool = open(&arguments.outputs)?;
        let long = match long {
            Some(pieces) => Some(Long {
                pieces,
                tool: open(&of_pieces(&arguments.outputs))?,
            }),
            None => None,
        };
        let layer = layers.len() * config.hidden_size * FLOAT;
        Ok(Self {
            sizes: sizes(arguments, layer, long.as_ref().map(|long| long.pieces)),
            tool,
            long,
            outputs: named(&arguments.outputs, &layers, config.hidden_size),
            settings: settings(arguments, &directory, &layers)?,
        })
    }
}

fn config(directory: &Path) -> Result<Config> {
    let path = directory.join("config.json");
    let text = fs::read(&path).map_err(Error::file("read", &path))?;
    serde_json::from_slice(&text).map_err(|reason| {
        Error::usage(format!(
            "{} is no description of an ESM-2 model: {reason}; give the directory of one",
            path.display()
        ))
    })
}

/// The layers counted from 0, in rising order, each once, as the tool takes them.
fn layers(asked: &[i64], last: i64) -> Result<Vec<i64>> {
    let mut layers = Vec::new();
    for &layer in asked {
        let counted = if layer < 0 { last + 1 + layer } else { layer };
        if !(0..=last).contains(&counted) {
            return Err(Error::usage(format!(
                "layer {layer} does not exist: this model has layers 0 (the embedding) to {last}, or -{} to -1 from the end",
                last + 1
            )));
        }
        layers.push(counted);
    }
    layers.sort_unstable();
    layers.dedup();
    Ok(layers)
}

fn long_pieces(arguments: &Embed) -> Result<Option<Pieces>> {
    if arguments.on_long != OnLong::Window {
        return match arguments.overlap {
            Some(_) => Err(Error::usage("--overlap is for --on-long window alone")),
            None => Ok(None),
        };
    }
    if arguments.outputs.iter().any(|name| name == "contacts") {
        return Err(Error::usage(
            "contacts between residues of different windows are unknown, so --outputs contacts does not go with \
             --on-long window; use --on-long whole, or leave contacts out",
        ));
    }
    let most = arguments.max_length;
    Pieces::new(most, arguments.overlap.unwrap_or(most / 2)).map(Some)
}

/// The outputs of the windows that those of a long sequence are averaged from: its mean is that of its residues.
fn of_pieces(outputs: &[String]) -> Vec<String> {
    let mut needed: Vec<String> = Vec::new();
    for name in outputs {
        let name = if name == "mean" { "per_residue" } else { name };
        if !needed.iter().any(|known| known == name) {
            needed.push(name.to_owned());
        }
    }
    needed
}

fn options(arguments: &Embed, outputs: &[String]) -> Vec<(&'static str, Option<String>)> {
    let on_long = match arguments.on_long {
        OnLong::Window => OnLong::Error,
        other => other,
    };
    let layers: Vec<String> = arguments.layers.iter().map(ToString::to_string).collect();
    vec![
        ("outputs", Some(outputs.join(","))),
        ("layers", Some(layers.join(","))),
        ("on_long", Some(written(on_long))),
        ("max_length", Some(arguments.max_length.to_string())),
        ("tokens_per_batch", arguments.tokens_per_batch.clone()),
    ]
}

/// As the tool names its outputs: by layer, where there are several.
fn named(outputs: &[String], layers: &[i64], width: usize) -> Vec<Output> {
    let mut named: Vec<Output> = Vec::new();
    for output in outputs {
        let (layout, inner) = match output.as_str() {
            "mean" | "bos" => (Layout::Row, vec![width]),
            "contacts" => (Layout::Ragged, Vec::new()),
            "logits" => (Layout::Matrix, vec![ALPHABET]),
            _ => (Layout::Matrix, vec![width]),
        };
        let names = match output.as_str() {
            "mean" | "bos" | "per_residue" if layers.len() > 1 => layers
                .iter()
                .map(|layer| format!("{output}.{layer}"))
                .collect(),
            _ => vec![output.clone()],
        };
        for name in names {
            if named.iter().all(|known| known.name != name) {
                named.push(Output {
                    name,
                    layout,
                    inner: inner.clone(),
                });
            }
        }
    }
    named
}

/// What the outputs take while a window is in memory, where a row of all layers takes so many bytes. If all residues
/// may be of sequences that run in pieces, they have the outputs of these beside their own.
fn sizes(arguments: &Embed, layer: usize, pieces: Option<Pieces>) -> Sizes {
    let most = arguments.max_length as usize;
    let own = sizes_of(&arguments.outputs, layer, most);
    let Some(pieces) = pieces else {
        return own;
    };
    let of_piece = sizes_of(&of_pieces(&arguments.outputs), layer, most);
    let piece = of_piece.record + of_piece.residue * most;
    Sizes {
        residue: own.residue + (piece * pieces.density()).div_ceil(most),
        ..own
    }
}

fn sizes_of(outputs: &[String], layer: usize, most: usize) -> Sizes {
    let mut sizes = Sizes {
        record: 0,
        residue: 0,
    };
    for output in outputs {
        match output.as_str() {
            "mean" | "bos" => sizes.record += layer,
            "per_residue" => sizes.residue += layer,
            "logits" => sizes.residue += ALPHABET * FLOAT,
            _ => sizes.residue += most * FLOAT,
        }
    }
    sizes
}

fn settings(
    arguments: &Embed,
    directory: &Path,
    layers: &[i64],
) -> Result<BTreeMap<String, String>> {
    let list: Vec<String> = layers.iter().map(ToString::to_string).collect();
    let mut settings = BTreeMap::from([
        ("model".to_owned(), fingerprint(directory)?),
        ("layers".to_owned(), list.join(",")),
        ("on-long".to_owned(), written(arguments.on_long)),
        ("max-length".to_owned(), arguments.max_length.to_string()),
        (
            "deterministic".to_owned(),
            arguments.deterministic.to_string(),
        ),
    ]);
    if arguments.on_long == OnLong::Window {
        let overlap = arguments.overlap.unwrap_or(arguments.max_length / 2);
        settings.insert("overlap".to_owned(), overlap.to_string());
        settings.insert(
            "long".to_owned(),
            "windows of max-length residues, averaged where they overlap".to_owned(),
        );
    }
    if let Some(tokens) = arguments
        .tokens_per_batch
        .as_ref()
        .filter(|_| arguments.deterministic)
    {
        settings.insert("tokens-per-batch".to_owned(), tokens.clone());
    }
    for (key, value) in &arguments.computing.set {
        settings.insert(format!("set {key}"), value.clone());
    }
    Ok(settings)
}

/// What tells a model from another: a digest of its description and its weights. They are read once more when they are
/// loaded, from memory then.
fn fingerprint(directory: &Path) -> Result<String> {
    let mut digest = Xxh3::new();
    for path in files(directory)? {
        add(&path, &mut digest).map_err(Error::file("read", &path))?;
    }
    Ok(format!("{:032x}", digest.digest128()))
}

/// The description and the weights, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(Error::file("list", directory))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| {
            path.ends_with("config.json")
                || path.extension().is_some_and(|end| end == "safetensors")
        })
        .collect();
    paths.sort();
    Ok(paths)
}

fn add(path: &Path, digest: &mut Xxh3) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    digest.update(&file.metadata()?.len().to_le_bytes());
    let mut bytes = vec![0; 1 << 20];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(()),
            read => digest.update(&bytes[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Command, Toolpool};

    fn names(outputs: &[&str], layers: &[i64]) -> Vec<String> {
        let outputs: Vec<String> = outputs.iter().map(ToString::to_string).collect();
        named(&outputs, layers, 320)
            .into_iter()
            .map(|output| output.name)
            .collect()
    }

    #[test]
    fn outputs_are_named_by_layer_where_there_are_several() {
        assert_eq!(names(&["mean", "logits"], &[6]), ["mean", "logits"]);
        assert_eq!(
            names(&["mean", "logits", "mean"], &[0, 6]),
            ["mean.0", "mean.6", "logits"]
        );
    }

    #[test]
    fn layers_count_from_either_end() {
        assert_eq!(layers(&[-1, 0, 6, 2], 6).unwrap(), [0, 2, 6]);
        for wrong in [7, -8] {
            assert!(
                layers(&[wrong], 6)
                    .unwrap_err()
                    .to_string()
                    .contains("0 (the embedding) to 6")
            );
        }
    }

    /// Of a model whose layers are 1,280 wide.
    fn residue_bytes(arguments: &[&str]) -> usize {
        let arguments = [&["toolpool", "embed", "-", "-m", "x", "-o", "y"], arguments].concat();
        let Some(Command::Embed(embed)) = Toolpool::parse_from(arguments).command else {
            unreachable!("embed was asked for");
        };
        sizes(&embed, 1280 * FLOAT, long_pieces(&embed).unwrap()).residue
    }

    #[test]
    fn what_runs_in_pieces_takes_what_the_pieces_take() {
        let row = 1280 * FLOAT;
        let of = |outputs, overlap| {
            residue_bytes(&[
                "--outputs",
                outputs,
                "--on-long",
                "window",
                "--overlap",
                overlap,
            ])
        };
        assert_eq!(residue_bytes(&[]), 0);
        assert_eq!(
            of("mean", "511"),
            2 * row,
            "half of them twice, before the mean"
        );
        assert_eq!(of("per_residue", "511"), 3 * row, "and once joined");
        assert_eq!(of("mean", "1021"), 1022 * row, "a piece a residue");
        assert_eq!(of("mean,logits", "511"), 2 * row + 3 * ALPHABET * FLOAT);
        assert_eq!(
            of("bos", "511"),
            (2 * row).div_ceil(1022),
            "two pieces in 1022 residues"
        );
    }

    #[test]
    fn the_mean_of_windows_is_made_of_their_residues() {
        let outputs = ["mean", "per_residue", "bos"].map(str::to_owned);
        assert_eq!(of_pieces(&outputs), ["per_residue", "bos"]);
    }
}
