//! Finding libtorch and loading it, once per process and only when a tool needs it.
//!
//! libtorch costs a tenth of a gigabyte and a third of a second, must be of the version that the backend was built
//! for, and aborts the process when two copies of it meet. So the core is not linked to it; a copy is checked by the
//! version that is written beside it before it is loaded, and never unloaded.

pub(super) mod search;

use std::error::Error as _;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW, Symbol};
use once_cell::sync::OnceCell;

use super::beside;
use crate::device;
use crate::error::{self, Error, Status};
use search::{Candidate, Environment, VERSION, file_name, library_directory, written_version};

/// Loads libtorch into this process, if it is not there yet.
///
/// Taken is, in this order: the libtorch that the process has loaded (Python's, after `import torch`); the one in
/// `TOOLPOOL_LIBTORCH`, which if set is the only place looked in; in `LIBTORCH`; the link `libtorch` beside
/// toolpool's files; the Python package of the environment in `VIRTUAL_ENV` or `CONDA_PREFIX`. With a GPU visible its CUDA part is
/// loaded too, before anything asks libtorch whether there is CUDA, which it answers once for good.
///
/// Any thread may call it; the first that succeeds loads, the others wait. After a failure the next call looks again.
///
/// # Errors
/// [`Status::Backend`], with every place looked in, why it was refused, and how to get libtorch.
pub fn ensure() -> error::Result<()> {
    static LOADED: OnceCell<()> = OnceCell::new();
    LOADED
        .get_or_try_init(|| match resident() {
            Some(cpu) => adopt(&cpu),
            None => load_first(&Environment::read().candidates()),
        })
        .copied()
}

/// The file of the torch backend, beside toolpool.
///
/// # Errors
/// [`Status::Backend`], with the place looked in.
pub fn backend_path() -> error::Result<PathBuf> {
    beside::find(&file_name("toolpool_torch"), "the torch backend")
}

/// The directory of the libtorch that this process has loaded, if it has.
pub fn loaded_directory() -> Option<PathBuf> {
    directory_of(&*resident()?)
}

/// A libtorch that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The directory of its libraries.
    pub directory: PathBuf,
    /// As it is written beside it, such as `2.11.0+cu130`; `None` where nothing is.
    pub version: Option<String>,
}

/// The libtorch that [`ensure`] would take in a process that has none, without loading it.
#[must_use]
pub fn find() -> Option<Found> {
    let candidates = Environment::read().candidates();
    let directory = candidates
        .iter()
        .find_map(|candidate| library_directory(&candidate.path).ok())?;
    let version = directory.parent().and_then(written_version);
    Some(Found { directory, version })
}

/// Loads the first candidate that is not refused.
fn load_first(candidates: &[Candidate]) -> error::Result<()> {
    let mut refusals = Vec::new();
    for candidate in candidates {
        let refusal = match library_directory(&candidate.path) {
            Ok(directory) => match load(&directory) {
                Ok(()) => return Ok(()),
                Err(Refusal::NotLoaded(reason)) => reason,
                Err(Refusal::Loaded(reason)) => return Err(failure(&reason)),
            },
            Err(reason) => reason,
        };
        refusals.push(format!(
            "{} ({}): {refusal}",
            candidate.origin,
            candidate.path.display()
        ));
    }
    if refusals.is_empty() {
        refusals.push("nothing, as neither a variable nor an environment names a place".to_owned());
    }
    let (major, minor) = VERSION;
    Err(failure(&format!(
        "libtorch {major}.{minor} is needed and was not found. Looked in: {}. Install it (pip install \
         torch=={major}.{minor}.0) and name the package's directory in TOOLPOOL_LIBTORCH, or import torch first",
        refusals.join("; ")
    )))
}

/// Why a libtorch was not taken, and whether it is now part of the process: then no other may be.
#[derive(Debug)]
enum Refusal {
    NotLoaded(String),
    Loaded(String),
}

/// Loads the libraries in `directory` and makes their symbols global, as linking to them would.
fn load(directory: &Path) -> Result<(), Refusal> {
    let cpu =
        open(&directory.join(file_name("torch_cpu")), RTLD_GLOBAL).map_err(Refusal::NotLoaded)?;
    let whose = format!("the libtorch in {}", directory.display());
    check_loaded_version(&cpu, &whose).map_err(Refusal::Loaded)?;
    load_cuda(directory, RTLD_GLOBAL).map_err(Refusal::Loaded)
}

/// Completes the libtorch that the process has loaded; its symbols keep their scope.
fn adopt(cpu: &Library) -> error::Result<()> {
    check_loaded_version(cpu, "the libtorch that this process has loaded").map_err(|reason| {
        failure(&format!(
            "{reason}, and two copies cannot live in one process"
        ))
    })?;
    match directory_of(cpu) {
        Some(directory) => load_cuda(&directory, RTLD_LOCAL).map_err(|reason| failure(&reason)),
        None => Ok(()),
    }
}

/// Loads the CUDA part if there is one, and a GPU to use it.
///
/// `libtorch` is a shell around the CPU's and the CUDA part. Without a GPU neither is loaded: in a CUDA build both need
/// all of NVIDIA's libraries, which a machine without GPUs need not have.
fn load_cuda(directory: &Path, scope: i32) -> Result<(), String> {
    let cuda = directory.join(file_name("torch_cuda"));
    if !cuda.is_file() || device::visible().gpus.is_empty() {
        return Ok(());
    }
    for library in [cuda, directory.join(file_name("torch"))] {
        open(&library, scope).map_err(|reason| {
            format!(
                "a GPU is visible, but the CUDA part of libtorch cannot be loaded: {reason}; install torch with all it depends on, or set CUDA_VISIBLE_DEVICES='' to work on the CPU alone"
            )
        })?;
    }
    Ok(())
}

/// Opens a library for the life of the process.
fn open(path: &Path, scope: i32) -> Result<ManuallyDrop<Library>, String> {
    // SAFETY: this runs the initialisers of a file that the user or the build named as libtorch, as linking to it
    // would; libtorch's are made to run under dlopen on any thread. It is never closed, so no finaliser runs.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | scope) };
    library
        .map(ManuallyDrop::new)
        .map_err(|error| loaders_words(&error))
}

/// Why the system's loader refused a library, in its own words.
pub fn loaders_words(error: &libloading::Error) -> String {
    let words = error.source().map(ToString::to_string);
    words.unwrap_or_else(|| error.to_string())
}

/// The libtorch that the process has loaded, whoever did.
fn resident() -> Option<ManuallyDrop<Library>> {
    let name = file_name("torch_cpu");
    // SAFETY: with RTLD_NOLOAD nothing is loaded, so no initialiser runs, and it is never closed.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | libc::RTLD_NOLOAD) };
    library.map(ManuallyDrop::new).ok()
}

/// The function by which libtorch tells its version, in torch/csrc/inductor/aoti_torch/c/shim.h.
type AbiVersion = unsafe extern "C" fn() -> u64;

fn abi_version(cpu: &Library) -> Option<Symbol<AbiVersion>> {
    // SAFETY: the type is the declared one: uint64_t aoti_torch_abi_version(void).
    unsafe { cpu.get(c"aoti_torch_abi_version") }.ok()
}

/// Refuses a loaded libtorch of the wrong version: major, minor and patch are the upper three bytes of what it tells.
fn check_loaded_version(cpu: &Library, whose: &str) -> Result<(), String> {
    let (major, minor) = VERSION;
    // SAFETY: the function takes nothing and returns a constant.
    let told = abi_version(cpu).map(|version| unsafe { version() });
    match told.map(|version| (version >> 56, version >> 48 & 0xff)) {
        Some(version) if version == VERSION => Ok(()),
        Some((found, part)) => Err(format!(
            "{whose} is of version {found}.{part}, not {major}.{minor}"
        )),
        None => Err(format!(
            "{whose} tells no version, so it is not {major}.{minor}"
        )),
    }
}

/// The directory that a libtorch was loaded from.
fn directory_of(cpu: &Library) -> Option<PathBuf> {
    let file = beside::file_of(abi_version(cpu)?.as_raw_ptr())?;
    file.parent().map(Path::to_owned)
}

fn failure(message: &str) -> Error {
    Error::new(Status::Backend, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::search::tests::Scratch;
    use super::*;

    fn refusal(environment: &Environment) -> String {
        let error = load_first(&environment.candidates()).unwrap_err();
        assert_eq!(error.status(), Status::Backend);
        error.to_string()
    }

    fn only(path: &Path) -> Environment {
        Environment {
            toolpool_libtorch: Some(path.to_owned()),
            ..Environment::default()
        }
    }

    #[test]
    fn every_place_is_named_with_the_reason_it_was_refused() {
        let [absent, old, text] = ["absent", "old", "text"].map(Scratch::new);
        old.write("lib/libtorch_cpu.so", "")
            .write("version.py", "__version__ = '2.9.1+cpu'\n");
        text.write("libtorch_cpu.so", "no library");
        let message = refusal(&Environment {
            libtorch: Some(absent.0.clone()),
            link: Some(old.0.clone()),
            python: vec![],
            ..Environment::default()
        });
        let place = |origin: &str, path: &Scratch| format!("{origin} ({})", path.0.display());
        let expected = [
            place("LIBTORCH", &absent) + ": there is no libtorch_cpu.so in it or in its lib",
            place("beside toolpool", &old) + ": its version is 2.9.1+cpu",
            "libtorch 2.11 is needed".into(),
            "torch==2.11.0".into(),
            "TOOLPOOL_LIBTORCH".into(),
        ];
        for part in expected {
            assert!(message.contains(&part), "{part:?} in {message}");
        }
        let message = refusal(&only(&text.0));
        assert!(
            message.contains(&place("TOOLPOOL_LIBTORCH", &text)),
            "{message}"
        );
        assert!(
            message.contains("libtorch_cpu.so: "),
            "the loader's reason in {message}"
        );
    }

    #[test]
    fn nowhere_to_look_is_said() {
        assert!(
            refusal(&Environment::default())
                .contains("nothing, as neither a variable nor an environment names a place")
        );
    }

    #[test]
    fn a_loaded_library_that_tells_no_version_is_refused() {
        let libc = open(Path::new("libc.so.6"), RTLD_LOCAL).unwrap();
        let reason = check_loaded_version(&libc, "this").unwrap_err();
        assert_eq!(reason, "this tells no version, so it is not 2.11");
    }

    /// Runs where `LIBTORCH`, or a link `libtorch` in the repository, leads to one.
    #[test]
    fn a_libtorch_is_loaded_found_again_and_kept() {
        let link = Path::new(env!("CARGO_MANIFEST_DIR")).join("libtorch");
        let path = beside::path_in("LIBTORCH").unwrap_or(link);
        if !path.exists() {
            // Past the capture of output, which would hide that the test was left out.
            let skip = format!("\nSKIPPED: there is no libtorch in {}\n", path.display());
            let _ = std::io::stderr().write_all(skip.as_bytes());
            return;
        }
        let loaded = load_first(&only(&path).candidates());
        loaded.unwrap();
        let cpu = resident().expect("it is loaded");
        assert_eq!(directory_of(&cpu), library_directory(&path).ok());
        adopt(&cpu).unwrap();
        ensure().unwrap();
        ensure().unwrap();
    }
}
