//! Finding libtorch and loading it, once per process and only when a tool needs it.
//!
//! libtorch costs a tenth of a gigabyte and a third of a second, must be of the version that the backend was built
//! for, and aborts the process when two copies of it meet. So the core is not linked to it; a copy is checked by the
//! version that is written beside it before it is loaded, and never unloaded.

mod search;

use std::env;
use std::error::Error as _;
use std::ffi::{CStr, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW, Symbol};
use once_cell::sync::OnceCell;

use crate::device;
use crate::error::{self, Error, Status};
use search::{Candidate, Environment, VERSION, directory_from, file_name, library_directory};

/// Loads libtorch into this process, if it is not there yet.
///
/// Taken is, in this order: the libtorch that the process has loaded (Python's, after `import torch`); the one in
/// `TOOLPOOL_LIBTORCH`, which if set is the only place looked in; in `LIBTORCH`; the one that toolpool was built with;
/// the Python package of the environment in `VIRTUAL_ENV` or `CONDA_PREFIX`. With a GPU visible its CUDA part is
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

/// The file of the torch backend: `libtoolpool_torch.so` in the directory of the library or executable that this code
/// is part of, or in `TOOLPOOL_BACKEND_DIR` if that is set.
///
/// # Errors
/// [`Status::Backend`], with the place looked in.
pub fn backend_path() -> error::Result<PathBuf> {
    backend_in(directory_from("TOOLPOOL_BACKEND_DIR"), own_directory())
}

fn backend_in(wished: Option<PathBuf>, own: Option<PathBuf>) -> error::Result<PathBuf> {
    let (directory, whose) = match (wished, own) {
        (Some(directory), _) => (directory, "that TOOLPOOL_BACKEND_DIR names"),
        (None, Some(directory)) => (directory, "that toolpool itself is in"),
        (None, None) => {
            return Err(failure(
                "the directory that toolpool is in cannot be found; set TOOLPOOL_BACKEND_DIR",
            ));
        }
    };
    let path = directory.join(file_name("toolpool_torch"));
    if path.is_file() {
        return Ok(path);
    }
    Err(failure(&format!(
        "the torch backend, {}, is not in {}, the directory {whose}; put it there, or name its directory in \
         TOOLPOOL_BACKEND_DIR",
        file_name("toolpool_torch"),
        directory.display()
    )))
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
        refusals.push("no place to look in is named".to_owned());
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
                "a GPU is visible, but the CUDA part of libtorch cannot be loaded: {reason}; install torch with all it                  depends on, or set CUDA_VISIBLE_DEVICES='' to work on the CPU alone"
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
    library.map(ManuallyDrop::new).map_err(|error| {
        let loaders_words = error.source().map(ToString::to_string);
        loaders_words.unwrap_or_else(|| error.to_string())
    })
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
    let file = file_of(abi_version(cpu)?.as_raw_ptr())?;
    file.parent().map(Path::to_owned)
}

/// The directory of the library or executable that this code is part of.
fn own_directory() -> Option<PathBuf> {
    let file = file_of(own_directory as fn() -> Option<PathBuf> as *const c_void)?;
    let file = file.canonicalize().or_else(|_| env::current_exe()).ok()?;
    file.parent().map(Path::to_owned)
}

/// The file that an address of code was loaded from, as the loader names it.
fn file_of(address: *const c_void) -> Option<PathBuf> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: dladdr takes any address, and fills in `info` if it returns non-zero.
    let found = unsafe { libc::dladdr(address, &mut info) } != 0;
    if !found || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a name that dladdr gives is NUL-terminated and lives as long as its library, which is in use here.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(PathBuf::from(name.to_string_lossy().into_owned()))
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
            built_with: Some(old.0.clone()),
            python: vec![],
            ..Environment::default()
        });
        let place = |origin: &str, path: &Scratch| format!("{origin} ({})", path.0.display());
        let expected = [
            place("LIBTORCH", &absent) + ": there is no libtorch_cpu.so in it or in its lib",
            place("the one toolpool was built with", &old) + ": its version is 2.9.1+cpu",
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
        assert!(refusal(&Environment::default()).contains("no place to look in is named"));
    }

    #[test]
    fn a_loaded_library_that_tells_no_version_is_refused() {
        let libc = open(Path::new("libc.so.6"), RTLD_LOCAL).unwrap();
        let reason = check_loaded_version(&libc, "this").unwrap_err();
        assert_eq!(reason, "this tells no version, so it is not 2.11");
    }

    #[test]
    fn the_backend_is_looked_for_in_one_place() {
        let scratch = Scratch::new("backend");
        let message = |wished, own| backend_in(wished, own).unwrap_err().to_string();
        let path = scratch.0.display().to_string();
        let beside = message(None, Some(scratch.0.clone()));
        assert!(
            beside.contains(&path) && beside.contains("TOOLPOOL_BACKEND_DIR"),
            "{beside}"
        );
        assert!(message(Some(scratch.0.clone()), Some("/x".into())).contains(&path));
        assert!(message(None, None).contains("TOOLPOOL_BACKEND_DIR"));

        scratch.write("libtoolpool_torch.so", "");
        let expected = scratch.0.join("libtoolpool_torch.so");
        assert_eq!(backend_in(None, Some(scratch.0.clone())).unwrap(), expected);
        assert_eq!(backend_in(Some(scratch.0.clone()), None).unwrap(), expected);
        assert!(backend_in(Some("/nowhere".into()), Some(scratch.0.clone())).is_err());
    }

    #[test]
    fn this_code_is_in_the_executable_of_the_test() {
        let executable = env::current_exe().unwrap().canonicalize().unwrap();
        assert_eq!(own_directory().as_deref(), executable.parent());
    }

    /// Runs where `LIBTORCH`, or a link `libtorch` in the repository, leads to one.
    #[test]
    fn a_libtorch_is_loaded_found_again_and_kept() {
        let link = Path::new(env!("CARGO_MANIFEST_DIR")).join("libtorch");
        let path = directory_from("LIBTORCH").unwrap_or(link);
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
