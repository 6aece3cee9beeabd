//! Checkpoints that are not what they should be: each gives an error that names the file and the reason.

#[path = "../examples/make_checkpoint/random.rs"]
mod random;

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use toolpool_torch::error::Error;
use toolpool_torch::esm2::checkpoint::Checkpoint;

/// A good checkpoint of the tiny shape.
fn tiny() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    random::write(directory.path(), random::shape("tiny").unwrap(), 1).unwrap();
    let weights = directory.path().join("model.safetensors");
    (directory, weights)
}

/// Opens a checkpoint that must be refused, and returns the message.
fn refused(directory: &Path) -> String {
    match Checkpoint::open(directory) {
        Err(Error::Model(message)) => {
            assert!(
                message.contains(directory.to_str().unwrap()),
                "the message names no path: {message}"
            );
            message
        }
        Err(other) => panic!("not a model error: {other:?}"),
        Ok(_) => panic!("this checkpoint must be refused"),
    }
}

/// Rewrites the header of a safetensors file as text; lengths of data stay as they are.
fn edit_header(weights: &Path, edit: impl Fn(String) -> String) {
    let bytes = fs::read(weights).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = edit(String::from_utf8(bytes[8..8 + length].to_vec()).unwrap());
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend_from_slice(header.as_bytes());
    changed.extend_from_slice(&bytes[8 + length..]);
    fs::write(weights, changed).unwrap();
}

#[test]
fn a_good_checkpoint_opens_with_both_heads() {
    let (directory, _) = tiny();
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    assert_eq!(
        (checkpoint.config.layers, checkpoint.config.head_width()),
        (3, 20)
    );
    assert!(checkpoint.has_lm_head() && checkpoint.has_contact_head());
    assert_eq!(checkpoint.values("lm_head.bias").unwrap().len(), 33);
    assert_eq!(checkpoint.rotary_frequencies().unwrap()[0], 1.0);
}

#[test]
fn an_empty_directory_has_no_config() {
    let directory = tempfile::tempdir().unwrap();
    assert!(refused(directory.path()).contains("config.json"));
}

#[test]
fn absent_weights_say_what_was_looked_for() {
    let (directory, weights) = tiny();
    fs::remove_file(&weights).unwrap();
    assert!(
        refused(directory.path())
            .contains("neither model.safetensors nor model.safetensors.index.json")
    );
    fs::write(directory.path().join("pytorch_model.bin"), "").unwrap();
    assert!(refused(directory.path()).contains("save_pretrained"));
}

#[test]
fn truncated_files_are_refused_at_any_length() {
    let (directory, weights) = tiny();
    let whole = fs::read(&weights).unwrap();
    for length in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&weights, &whole[..length]).unwrap();
        assert!(
            refused(directory.path()).contains("model.safetensors"),
            "{length} bytes"
        );
    }
    fs::write(&weights, [whole.as_slice(), b"more"].concat()).unwrap();
    refused(directory.path());
}

#[test]
fn a_header_of_absurd_length_is_refused() {
    let (directory, weights) = tiny();
    for length in [1u64 << 63, u64::MAX, u64::MAX - 7, 1 << 40, 0] {
        let mut bytes = fs::read(&weights).unwrap();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        fs::write(&weights, bytes).unwrap();
        refused(directory.path());
    }
}

#[test]
fn a_header_that_is_no_json_or_points_outside_is_refused() {
    let (directory, weights) = tiny();
    edit_header(&weights, |header| header.replacen('{', "[", 1));
    refused(directory.path());
    let (directory, weights) = tiny();
    edit_header(&weights, |header| {
        header.replacen("\"data_offsets\":[0,", "\"data_offsets\":[99999999,", 1)
    });
    refused(directory.path());
}

#[test]
fn a_missing_tensor_is_named() {
    let (directory, weights) = tiny();
    edit_header(&weights, |header| {
        header.replace("layer.1.output.dense.bias", "layer.1.output.sense.bias")
    });
    assert!(refused(directory.path()).contains("encoder.layer.1.output.dense.bias is missing"));
}

/// Two gigabytes of names, were they all made before the first is looked for.
#[test]
fn a_million_layers_are_refused_by_the_first_that_is_missing() {
    let (directory, _) = tiny();
    let config = directory.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    let (from, to) = ("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1048576");
    assert!(text.contains(from));
    fs::write(&config, text.replace(from, to)).unwrap();
    let before = peak_kibibytes();
    assert!(refused(directory.path()).contains("encoder.layer.3."));
    // Other tests load libtorch meanwhile.
    assert!(peak_kibibytes() - before < 512 << 10);
}

/// The most memory that this process has had so far.
fn peak_kibibytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().trim().trim_end_matches("kB").trim();
    number.parse().unwrap()
}

#[test]
fn half_a_head_is_refused() {
    let (directory, weights) = tiny();
    edit_header(&weights, |header| {
        header.replace("lm_head.dense.bias", "lm_head.sense.bias")
    });
    assert!(refused(directory.path()).contains("lm_head.dense.bias is missing"));
}

#[test]
fn a_config_of_another_shape_is_refused() {
    let (directory, _) = tiny();
    let config = directory.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    for (from, to, says) in [
        (
            "\"hidden_size\": 40",
            "\"hidden_size\": 44",
            "has shape [33, 40]",
        ),
        (
            "\"intermediate_size\": 160",
            "\"intermediate_size\": 80",
            "makes it [80, 40]",
        ),
        (
            "\"num_hidden_layers\": 3",
            "\"num_hidden_layers\": 4",
            "encoder.layer.3.",
        ),
        ("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", ""),
        (
            "\"num_attention_heads\": 2",
            "\"num_attention_heads\": 4",
            "",
        ),
        ("\"rotary\"", "\"absolute\"", "ESM-1b"),
        ("\"esm\"", "\"bert\"", "bert"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&config, text.replace(from, to)).unwrap();
        let message = refused(directory.path());
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn an_index_of_shards_may_not_lead_elsewhere() {
    let (directory, weights) = tiny();
    fs::rename(&weights, directory.path().join("part.safetensors")).unwrap();
    let index = directory.path().join("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"a": "part.safetensors"}}"#).unwrap();
    assert!(Checkpoint::open(directory.path()).is_ok());
    for (text, says) in [
        (
            r#"{"weight_map": {"a": "../part.safetensors"}}"#,
            "not a plain file name",
        ),
        (
            r#"{"weight_map": {"a": "gone.safetensors"}}"#,
            "gone.safetensors cannot be read",
        ),
        (r#"{"weight_map": {}}"#, "names no shard"),
        ("{}", "weight_map"),
    ] {
        fs::write(&index, text).unwrap();
        assert!(refused(directory.path()).contains(says), "{text}");
    }
}

#[test]
fn weights_that_are_no_floating_point_numbers_are_refused() {
    let (directory, weights) = tiny();
    edit_header(&weights, |header| {
        header.replacen("\"dtype\":\"F32\"", "\"dtype\":\"I32\"", 1)
    });
    assert!(refused(directory.path()).contains("is I32"));
}
