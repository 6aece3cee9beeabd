//! What a user types: subcommands and their options, with the help that they print.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::hub;
use crate::input;
use crate::output;

const EXIT_CODES: &str = "\
Exit codes:
  0    all is done
  1    it failed once it had begun; what was finished before stays, and the same command goes on from there
  2    the command line is wrong, or does not go with what is there (files, models, devices): another one, or another
       input, mends it
  3    some sequences failed, or all of them: failures.tsv says which, and why; the others are done
  4    another process works in the directory; the same command goes on when it has ended
  130  interrupted; the same command goes on from there";

const ENVIRONMENT: &str = "\
Environment: CUDA_VISIBLE_DEVICES, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, TOOLPOOL_LIBTORCH,
TOOLPOOL_BACKEND_DIR, NO_COLOR. docs/command.md says more.";

/// Embeds proteins on every GPU of this machine, and runs other PyTorch models there.
#[derive(Debug, Parser)]
#[command(
    name = "toolpool",
    disable_version_flag = true,
    arg_required_else_help = true
)]
#[command(after_help = format!("{EXIT_CODES}\n\n{ENVIRONMENT}"), subcommand_required = false)]
pub struct Toolpool {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Print the versions of toolpool, of the libtorch and the NVIDIA driver that it finds
    #[arg(short = 'V', long)]
    pub version: bool,
    /// The least that is worth a line on standard error
    #[arg(long, global = true, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL")]
    pub log_level: LogLevel,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the devices, with memory, capability, driver, and which of them `auto` takes
    Devices(Devices),
    /// Embed the proteins of a FASTA: rows in a directory, resumed when it is there already
    Embed(Box<Embed>),
    /// Run a TorchScript or AOTInductor model on the rows of a safetensors file
    Run(Run),
    /// Fetch a model from the Hugging Face hub into its cache, once
    Fetch(Fetch),
    /// Join the directories of the shards of one run
    Merge(Merge),
    /// Read every file of a directory, and list what is damaged or missing
    Verify(Verify),
    /// Measure this machine: one table
    Bench(Bench),
    /// Print a script that completes commands in your shell
    Completions { shell: Shell },
}

#[derive(Debug, Args)]
pub struct Devices {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Letters are made upper case (a soft-masked FASTA means residues); white space and a `*` at the end are dropped. An id is
/// the header up to the first white space; ids need not be unique. An empty sequence fails alone.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Embed {
    /// FASTA, CSV, TSV, plain or compressed (gzip, bgzip, zstd), or Parquet files, globs, or - for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<OsString>,
    /// A model of the Hugging Face hub that was fetched, or a directory with config.json and safetensors
    #[arg(short, long, value_name = "MODEL")]
    pub model: String,
    /// Where the embeddings go: a new directory, or that of a run to go on with
    #[arg(short, long, value_name = "DIRECTORY")]
    pub output: PathBuf,

    /// What each sequence gets: mean, bos, per_residue, logits, contacts
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = trimmed,
        default_value = "mean",
        value_name = "LIST",
        help_heading = "Model"
    )]
    pub outputs: Vec<String>,
    /// Layers of mean, bos and per_residue; 0 is the embedding, -1 the last
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = layer,
        default_value = "-1",
        value_name = "LIST",
        help_heading = "Model"
    )]
    #[arg(allow_hyphen_values = true)]
    pub layers: Vec<i64>,
    /// What a sequence of more than --max-length residues comes to
    #[arg(long, value_enum, default_value_t = OnLong::Error, value_name = "HOW", help_heading = "Model")]
    pub on_long: OnLong,
    /// Residues; the models were trained on no more
    #[arg(long, default_value_t = 1022, value_name = "N", help_heading = "Model")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_length: u32,
    /// Residues by which neighbouring windows of --on-long window overlap [default: half of --max-length]
    #[arg(long, value_name = "N", help_heading = "Model")]
    pub overlap: Option<u32>,

    #[command(flatten)]
    pub computing: Computing,
    /// The most tokens of a batch, or auto [default: 4096; 32768 with GPUs]
    #[arg(long, value_name = "N", help_heading = "Computing")]
    pub tokens_per_batch: Option<String>,
    /// The same bits however often the run is interrupted, on one kind of device: windows and batches from the input alone
    #[arg(long, help_heading = "Computing")]
    pub deterministic: bool,
    /// Records of a window, the unit that is written and resumed [default: about a minute of work; with --deterministic 1024]
    #[arg(long, value_name = "N", help_heading = "Computing")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub window: Option<u32>,
    /// Do part I of N of the input, for many machines or a Slurm array; `toolpool merge` joins the directories
    #[arg(long, value_name = "I/N", value_parser = part, help_heading = "Computing")]
    pub shard: Option<output::Part>,

    /// What the input is, where its name does not say it
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Input")]
    pub input_format: Option<InputFormat>,
    /// The column of sequences of a table [default: sequence, or seq]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub column: Option<String>,
    /// The column of ids of a table [default: id, or name]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub id_column: Option<String>,

    /// Type of the values; fp16 is rounded to nearest, ties to even, and what is beyond 65504 becomes infinite
    #[arg(long, value_enum, default_value_t = OutputDtype::Fp32, value_name = "TYPE", help_heading = "Output")]
    pub output_dtype: OutputDtype,
    /// parquet: mean and bos as Parquet, the others as safetensors; npy: all as .npy
    #[arg(long, value_enum, default_value_t = Format::Parquet, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
    /// Put the rows into the order of the input at the end
    #[arg(long, help_heading = "Output")]
    pub sort: bool,
    /// Do the windows again in which records failed: on a machine with more memory, say
    #[arg(long, help_heading = "Output")]
    pub retry_failed: bool,
    /// Begin anew in a directory that holds another run, whose rows are deleted
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    /// Print the summary as JSON on standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// Where and how a model computes.
#[derive(Debug, Args)]
pub struct Computing {
    /// auto (every GPU, else the CPU), all, 2, cuda:0,cuda:2, cuda:0*2, cpu*4
    #[arg(
        long,
        default_value = "auto",
        value_name = "DEVICES",
        help_heading = "Computing"
    )]
    pub devices: String,
    /// Type of weights and activations: auto, fp32, bf16, fp16
    #[arg(long, value_name = "TYPE", help_heading = "Computing")]
    pub dtype: Option<String>,
    /// process: each worker runs the model in a child process, so that a crash costs the sequence that causes it
    #[arg(long, value_enum, default_value_t = Isolation::None, value_name = "HOW", help_heading = "Computing")]
    pub isolation: Isolation,
    /// Any other option of the tool (docs/options.md); may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, help_heading = "Computing", action = ArgAction::Append)]
    pub set: Vec<(String, String)>,
}

/// Each tensor of INPUTS is an input of the model by its name (or by position: 0, 1 ...), whose first dimension counts the
/// items; the outputs come back the same way, item by item.
#[derive(Debug, Args)]
pub struct Run {
    /// A .pt file of torch.jit.save or a .pt2 package of AOTInductor. It is a program: run only what you trust
    pub model: String,
    /// A safetensors file: tensors of one first dimension, the items
    pub inputs: PathBuf,
    /// The safetensors file to be written; one that is there is replaced, but not where every item fails
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub computing: Computing,
}

#[derive(Debug, Args)]
pub struct Fetch {
    /// Such as facebook/esm2_t33_650M_UR50D
    #[arg(value_parser = hub_id)]
    pub model: String,
}

#[derive(Debug, Args)]
pub struct Merge {
    /// The directories of all shards, in any order
    #[arg(required = true, value_name = "DIRECTORY")]
    pub parts: Vec<PathBuf>,
    /// The directory to be made
    #[arg(short, long, value_name = "DIRECTORY")]
    pub output: PathBuf,
    /// Put the rows into the order of the input
    #[arg(long)]
    pub sort: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    pub directory: PathBuf,
    /// Take what is damaged off the manifest, so that the run's command, given again, does it again
    #[arg(long)]
    pub repair: bool,
}

#[derive(Debug, Args)]
pub struct Bench {
    /// Measure this model too: residues a second over proteins of log-normal length
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    /// As for embed
    #[arg(long, default_value = "auto", value_name = "DEVICES")]
    pub devices: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnLong {
    /// It fails alone
    Error,
    /// It is cut, with a warning
    Truncate,
    /// It runs in overlapping windows, whose values are averaged
    Window,
    /// It runs as it is, with a warning
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    None,
    Process,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputDtype {
    Fp32,
    Fp16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Parquet,
    Npy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    Fasta,
    Csv,
    Tsv,
    Parquet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warning,
    Info,
}

/// A value as it is written on the command line.
pub fn written(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

impl From<InputFormat> for input::Format {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Fasta => Self::Fasta,
            InputFormat::Csv => Self::Csv,
            InputFormat::Tsv => Self::Tsv,
            InputFormat::Parquet => Self::Parquet,
        }
    }
}

impl From<Format> for output::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Parquet => Self::Parquet,
            Format::Npy => Self::Npy,
        }
    }
}

impl From<OutputDtype> for output::ValueType {
    fn from(dtype: OutputDtype) -> Self {
        match dtype {
            OutputDtype::Fp32 => Self::Float32,
            OutputDtype::Fp16 => Self::Float16,
        }
    }
}

/// Every part keeps account of all others.
const MOST_PARTS: u32 = 65_536;

fn part(text: &str) -> Result<output::Part, String> {
    let numbers = text.split_once('/');
    let numbers =
        numbers.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    match numbers {
        Some((index, count)) if (1..=count).contains(&index) && count <= MOST_PARTS => {
            Ok(output::Part { index, count })
        }
        _ => Err(format!(
            "write I/N, with I from 1 to N, as in 1/4, and N at most {MOST_PARTS}"
        )),
    }
}

fn trimmed(text: &str) -> Result<String, Infallible> {
    Ok(text.trim().to_owned())
}

fn layer(text: &str) -> Result<i64, String> {
    let number = text.trim().parse();
    number.map_err(|reason| format!("{reason}; write numbers, as in -1,6"))
}

fn hub_id(text: &str) -> Result<String, String> {
    match hub::is_id(text) {
        true => Ok(text.to_owned()),
        false => Err("write OWNER/NAME, as the hub calls it: facebook/esm2_t6_8M_UR50D".to_owned()),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Toolpool::command().debug_assert();
    }

    #[test]
    fn a_part_is_one_of_some() {
        assert_eq!(part("2/3"), Ok(output::Part { index: 2, count: 3 }));
        for wrong in [
            "0/3",
            "4/3",
            "1/0",
            "1",
            "a/b",
            "-1/3",
            "",
            "1/65537",
            "1/4000000000",
        ] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
    }
}
