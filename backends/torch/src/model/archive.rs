//! What a file is, before anything in it is run.

use crate::error::{Error, Result};
use crate::place::Place;
use crate::shim;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tch::Device;

/// The two kinds of models in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A TorchScript module, of `torch.jit.save`.
    Script,
    /// An AOTInductor package, of `torch._inductor.aoti_compile_and_package`.
    Package,
}

impl Format {
    /// The kind of tool that opens it.
    pub fn tool(self) -> &'static str {
        match self {
            Format::Script => "torchscript",
            Format::Package => "aoti",
        }
    }
}

/// What the source of the kind `auto` is; none if it is a checkpoint directory or a hub id.
pub fn look(source: &str) -> Result<Option<Format>> {
    let path = Path::new(source);
    match path.is_file() {
        true => format_of(path).map(Some),
        false => Ok(None),
    }
}

/// Checks that the file `source` is of `format`, and gives its canonical path.
pub fn open(format: Format, source: &str) -> Result<PathBuf> {
    let path = Path::new(source);
    if source.is_empty() {
        return Err(Error::Model(format!(
            "no file is named; the source of {} is the path of one",
            format.tool()
        )));
    }
    if path.is_dir() {
        return Err(Error::Model(format!(
            "{source} is a directory; {} opens a file, and esm2 the directory of a checkpoint",
            format.tool()
        )));
    }
    let canonical = path
        .canonicalize()
        .map_err(|e| Error::Model(format!("{source} cannot be opened: {e}")))?;
    let found = format_of(&canonical)?;
    if found != format {
        return Err(Error::Model(format!(
            "{source} is not what {} opens; open it as {} (or auto)",
            format.tool(),
            found.tool()
        )));
    }
    Ok(canonical)
}

/// What tells a file from one that took its place: its size and the time of its last change.
pub fn stamp(path: &Path) -> String {
    let Ok(metadata) = path.metadata() else {
        return String::new();
    };
    let changed = metadata.modified().ok();
    let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {:?}", metadata.len(), since)
}

fn format_of(path: &Path) -> Result<Format> {
    let shown = path.display();
    let names = shim::model::archive(path).map_err(|e| {
        Error::Model(format!(
            "{shown} is no archive of PyTorch ({e}); torchscript opens what torch.jit.save wrote, aoti what \
             torch._inductor.aoti_compile_and_package wrote"
        ))
    })?;
    let has = |test: &dyn Fn(&str) -> bool| names.iter().any(|name| test(name));
    if has(&|name| name.starts_with("data/aotinductor/")) {
        return Ok(Format::Package);
    }
    if has(&|name| name == "constants.pkl") && has(&|name| name == "data.pkl") {
        return Ok(Format::Script);
    }
    Err(Error::Model(match () {
        () if has(&|name| name == "data.pkl") => format!(
            "{shown} holds weights or a pickled object (torch.save), not a module; make one with \
             torch.jit.trace(model, example).save(…)"
        ),
        () if has(&|name| name == "archive_format") => format!(
            "{shown} holds an exported program (torch.export.save) that is not compiled; compile it with \
             torch._inductor.aoti_compile_and_package(torch.export.load(…))"
        ),
        () => format!(
            "{shown} is a zip with neither a TorchScript module nor an AOTInductor package in it"
        ),
    }))
}

/// Refuses a package that was compiled for what this slot is not.
pub fn check_package(path: &Path, place: Place) -> Result<()> {
    let metadata = shim::model::package_metadata(path)
        .map_err(|e| Error::Model(format!("{} cannot be read: {e}", path.display())))?;
    let says = |key: &str| {
        metadata
            .iter()
            .find_map(|(known, value)| (known == key).then_some(value.as_str()))
            .unwrap_or("")
    };
    let (made_for, here) = (says("AOTI_DEVICE_KEY"), device_name(place.device));
    let refused = |why: String| {
        Err(Error::Model(format!(
            "the package {} {why}; export it anew on such a machine",
            path.display()
        )))
    };
    if !made_for.is_empty() && made_for != here {
        return refused(format!(
            "was compiled for {made_for}, and this slot is {here}"
        ));
    }
    let (major, minor) = place.capability;
    match says("AOTI_COMPUTE_CAPABILITY").parse::<i32>() {
        Ok(needs) if here == "cuda" && (needs / 10 != major || needs % 10 > minor) => {
            return refused(format!(
                "was compiled for compute capability {}.{}, and this GPU has {major}.{minor}",
                needs / 10,
                needs % 10
            ));
        }
        _ => {}
    }
    match says("AOTI_CPU_ISA") {
        isa if here == "cpu" && !cpu_has(isa) => refused(format!(
            "was compiled for a CPU with {isa}, which this one lacks"
        )),
        _ => Ok(()),
    }
}

fn device_name(device: Device) -> &'static str {
    match device {
        Device::Cuda(_) => "cuda",
        _ => "cpu",
    }
}

/// Whether the CPU has an instruction set that Inductor names; unknown names are taken to be there.
fn cpu_has(isa: &str) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let wants = |name: &str| isa.to_ascii_lowercase().contains(name);
        if wants("avx512") {
            return is_x86_feature_detected!("avx512f");
        }
        if wants("avx2") {
            return is_x86_feature_detected!("avx2");
        }
    }
    let _ = isa;
    true
}
