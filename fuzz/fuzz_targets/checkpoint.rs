//! The readers of checkpoints, `config.json` and safetensors, and the options of `esm2` beside them.
//!
//! An input is parts with the byte 0xFE between them, which no UTF-8 has; absent and empty parts are absent files:
//!
//! 0. a digit: by how many bytes, less 4, the weights are longer than their header says ('4': exact)
//! 1. `config.json`
//! 2. the header of the weights
//! 3. bytes in place of the header's length
//! 4. `model.safetensors.index.json`; the weights are then called `part.safetensors`
//! 5. options, as lines of `key=value`
//!
//! A checkpoint that is taken runs, over one worker.
#![no_main]

use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use toolpool::ffi::batch::*;
use toolpool::ffi::items::{toolpool_items_free, toolpool_items_from_strings};
use toolpool::ffi::job::toolpool_run;
use toolpool::ffi::pool::{toolpool_close, toolpool_open};
use toolpool::ffi::results::*;
use toolpool::ffi::tool::{toolpool_tool_free, toolpool_tool_from_callbacks, toolpool_tool_t};
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, make, text};
use toolpool_torch::edge::toolpool_torch_esm2;
use toolpool_torch::error::Error;
use toolpool_torch::esm2::checkpoint::Checkpoint;

/// More data than this is not written: files then are cut short.
const MOST_DATA: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let parts: Vec<&[u8]> = input.split(|&byte| byte == 0xFE).collect();
    let part = |number: usize| parts.get(number).copied().unwrap_or_default();
    let directory = directory();
    let path = directory.path();
    write(&path.join("config.json"), part(1));
    write(&path.join("model.safetensors.index.json"), part(4));
    let name = if part(4).is_empty() {
        "model.safetensors"
    } else {
        "part.safetensors"
    };
    write(&path.join(name), &weights(part(2), part(3), part(0)));

    read(path);
    let options = options(part(5));
    if let Some(tool) = open(path, &options) {
        run(tool);
        c!(toolpool_tool_free(tool));
    }
});

/// In memory where the system has a place for that.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a place for files")
}

fn write(path: &Path, content: &[u8]) {
    if !content.is_empty() {
        std::fs::write(path, content).expect("a place for files");
    }
}

/// A safetensors file: the length of the header, the header, and the data that it speaks of.
fn weights(header: &[u8], length: &[u8], more: &[u8]) -> Vec<u8> {
    if header.is_empty() && length.is_empty() {
        return Vec::new();
    }
    let mut file = if length.is_empty() {
        (header.len() as u64).to_le_bytes().to_vec()
    } else {
        length.to_vec()
    };
    file.extend(header);
    let more = more
        .first()
        .map_or(0, |digit| i64::from(digit.wrapping_sub(b'0') % 9) - 4);
    let data = data_bytes(header).saturating_add_signed(more);
    let values = [0.5_f32, -1.0, 2.0].map(f32::to_le_bytes).concat();
    file.extend(values.iter().cycle().take(data as usize));
    file
}

/// Where the last tensor of a header ends.
fn data_bytes(header: &[u8]) -> u64 {
    let header: serde_json::Value = serde_json::from_slice(header).unwrap_or_default();
    let tensors = header
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::values);
    let ends = tensors.filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    ends.max().unwrap_or(0).min(MOST_DATA)
}

/// What the reader refuses, it refuses as a model's fault, by the name of a file; what it takes, it can read to the end.
fn read(path: &Path) {
    let checkpoint = match Checkpoint::open(path) {
        Ok(checkpoint) => checkpoint,
        Err(Error::Model(message)) => {
            let path = path.to_str().expect("names of temporary files are ASCII");
            return assert!(message.contains(path), "{message}");
        }
        Err(other) => panic!("{other:?}"),
    };
    let config = &checkpoint.config;
    let frequencies = checkpoint.rotary_frequencies().expect("they were checked");
    assert_eq!(frequencies.len() * 2, config.head_width());
    let embeddings = checkpoint.values("embeddings.word_embeddings.weight");
    assert_eq!(
        embeddings.expect("they were checked").len(),
        33 * config.hidden
    );
    let heads = [
        (checkpoint.has_lm_head(), "lm_head.bias", 33),
        (
            checkpoint.has_contact_head(),
            "contact_head.regression.weight",
            config.layers * config.heads,
        ),
    ];
    for (there, name, count) in heads {
        if there {
            assert_eq!(
                checkpoint.values(name).expect("it was checked").len(),
                count
            );
        }
    }
}

fn options(lines: &[u8]) -> Vec<[CString; 2]> {
    let lines = lines.split(|&byte| byte == b'\n' || byte == 0);
    let pairs = lines.filter_map(|line| {
        let equals = line.iter().position(|&byte| byte == b'=')?;
        let (key, value) = (&line[..equals], &line[equals + 1..]);
        Some([key, value].map(|text| CString::new(text).expect("lines end at NULs")))
    });
    pairs.collect()
}

/// Opens the tool as the core does, and hands its table to the core.
fn open(path: &Path, options: &[[CString; 2]]) -> Option<*mut toolpool_tool_t> {
    let source = CString::new(path.to_str()?).ok()?;
    let options: Vec<toolpool_option_t> = options
        .iter()
        .map(|[key, value]| toolpool_option_t {
            key: key.as_ptr(),
            value: value.as_ptr(),
        })
        .collect();
    // SAFETY: zeros are a table of NULLs.
    let mut callbacks: toolpool_callbacks_t = unsafe { std::mem::zeroed() };
    callbacks.size = size_of::<toolpool_callbacks_t>();
    let (_, user) = make(ErrArg::Empty, false, |user: *mut *mut c_void, err| {
        c!(toolpool_torch_esm2(
            &raw const HOST,
            source.as_ptr(),
            options.as_ptr(),
            options.len(),
            &raw mut callbacks,
            user,
            err
        ))
    });
    let user = user?.cast();
    let (_, tool) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_tool_from_callbacks(
            c"esm2".as_ptr(),
            &raw const callbacks,
            user,
            out,
            err
        ))
    });
    tool
}

/// Every item has outputs or an error.
fn run(tool: *mut toolpool_tool_t) {
    let strings: [*const c_char; 4] = [
        c"MKTAY".as_ptr(),
        c"".as_ptr(),
        c"G".as_ptr(),
        c"M T\xff-".as_ptr(),
    ];
    let (_, items) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_items_from_strings(
            strings.as_ptr(),
            null(),
            strings.len(),
            out,
            err
        ))
    });
    let (_, pool) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_open(c"cpu".as_ptr(), out, err))
    });
    let (items, pool) = (items.unwrap_or(null_mut()), pool.unwrap_or(null_mut()));
    let (_, results) = make(ErrArg::Empty, false, |out, err| {
        c!(toolpool_run(pool, tool, items, out, err))
    });
    let results = results.unwrap_or(null_mut());
    for index in 0..c!(toolpool_results_len(results)) {
        let failed = c!(toolpool_results_status(results, index)) < 0;
        assert_eq!(
            failed,
            !text(c!(toolpool_results_error(results, index))).is_empty()
        );
    }
    for output in 0..c!(toolpool_results_outputs(results)) {
        // SAFETY: all zeros are a column.
        let mut column: toolpool_column_t = unsafe { std::mem::zeroed() };
        column.size = size_of::<toolpool_column_t>();
        let name = c!(toolpool_results_output_name(results, output));
        check(ErrArg::Empty, |err| {
            c!(toolpool_results_column(results, name, &raw mut column, err))
        });
        assert_eq!(column.dtype, TOOLPOOL_FLOAT32);
    }
    c!(toolpool_results_free(results));
    c!(toolpool_items_free(items));
    c!(toolpool_close(pool));
}
