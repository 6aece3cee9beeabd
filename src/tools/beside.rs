//! What is installed beside toolpool: the torch backend, the executable of isolated workers.

use std::env;
use std::ffi::{CStr, c_void};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, Status};

/// The file called `name`: where toolpool's own files are, or in `TOOLPOOL_BACKEND_DIR` if that is set. `what` it is
/// goes into the message.
///
/// # Errors
/// [`Status::Backend`], with the places looked in.
pub fn find(name: &str, what: &str) -> Result<PathBuf> {
    find_in(&places(), name, what)
}

/// The directories that [`find`] looks in; none if nothing tells where toolpool is.
pub fn places() -> Vec<PathBuf> {
    places_of(path_in("TOOLPOOL_BACKEND_DIR"), own_directory())
}

/// Built, all of toolpool's files are in one directory. Installed, the library is in `lib`, the command in `bin`, and
/// what they load or start is in `lib/toolpool`.
fn places_of(wished: Option<PathBuf>, own: Option<PathBuf>) -> Vec<PathBuf> {
    match (wished, own) {
        (Some(directory), _) => vec![directory],
        (None, Some(own)) => vec![own.join("toolpool"), own.join("../lib/toolpool"), own],
        (None, None) => vec![],
    }
}

fn find_in(places: &[PathBuf], name: &str, what: &str) -> Result<PathBuf> {
    let mut paths = places.iter().map(|place| place.join(name));
    if let Some(path) = paths.find(|path| path.is_file()) {
        return Ok(path);
    }
    let message = match places {
        [] => "the directory that toolpool is in cannot be found; set TOOLPOOL_BACKEND_DIR".into(),
        places => {
            let places: Vec<_> = places
                .iter()
                .map(|place| place.display().to_string())
                .collect();
            let places = places.join(", ");
            format!(
                "{what}, {name}, is not in {places}; put it there, or name its directory in TOOLPOOL_BACKEND_DIR"
            )
        }
    };
    Err(Error::new(Status::Backend, message))
}

/// The path in an environment variable; an empty one counts as not set.
pub fn path_in(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The directory of the library or executable that this code is part of.
fn own_directory() -> Option<PathBuf> {
    let file = file_of(own_directory as fn() -> Option<PathBuf> as *const c_void)?;
    let file = file.canonicalize().or_else(|_| env::current_exe()).ok()?;
    file.parent().map(Path::to_owned)
}

/// The file that an address of code was loaded from, as the loader names it.
pub fn file_of(address: *const c_void) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::libtorch::search::tests::Scratch;

    #[test]
    fn what_is_absent_is_told_with_every_place() {
        let message = |places: &[PathBuf]| find_in(places, "libx.so", "x").unwrap_err().to_string();
        let absent = message(&["/nowhere".into(), "/never".into()]);
        for part in ["/nowhere", "/never", "libx.so", "TOOLPOOL_BACKEND_DIR"] {
            assert!(absent.contains(part), "{part} in {absent}");
        }
        assert!(message(&[]).contains("TOOLPOOL_BACKEND_DIR"));
    }

    #[test]
    fn a_file_is_found_built_and_installed() {
        let scratch = Scratch::new("beside");
        let found_from = |directory: &str, file: &str| {
            let own = scratch.0.join(directory);
            std::fs::create_dir_all(&own).unwrap();
            scratch.write(file, "");
            let found = find_in(&places_of(None, Some(own)), "libx.so", "x").unwrap();
            assert_eq!(found.canonicalize().unwrap(), scratch.0.join(file));
        };
        found_from("built", "built/libx.so");
        found_from("lib", "lib/toolpool/libx.so");
        found_from("lib/toolpool", "lib/toolpool/libx.so");
        found_from("bin", "lib/toolpool/libx.so");
    }

    #[test]
    fn the_wished_place_is_the_only_one() {
        let places = places_of(Some("/wished".into()), Some("/own".into()));
        assert_eq!(places, [PathBuf::from("/wished")]);
        assert!(places_of(None, None).is_empty());
    }

    #[test]
    fn this_code_is_in_the_executable_of_the_test() {
        let executable = env::current_exe().unwrap().canonicalize().unwrap();
        assert_eq!(own_directory().as_deref(), executable.parent());
    }
}
