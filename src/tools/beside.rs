//! What is installed beside toolpool: the torch backend, the executable of isolated workers.

use std::env;
use std::ffi::{CStr, c_void};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, Status};

/// The file called `name`: in the directory of the library or executable that this code is part of, or in
/// `TOOLPOOL_BACKEND_DIR` if that is set. `what` it is goes into the message.
///
/// # Errors
/// [`Status::Backend`], with the place looked in.
pub fn find(name: &str, what: &str) -> Result<PathBuf> {
    find_in(path_in("TOOLPOOL_BACKEND_DIR"), own_directory(), name, what)
}

fn find_in(
    wished: Option<PathBuf>,
    own: Option<PathBuf>,
    name: &str,
    what: &str,
) -> Result<PathBuf> {
    let (directory, whose) = match (wished, own) {
        (Some(directory), _) => (directory, "that TOOLPOOL_BACKEND_DIR names"),
        (None, Some(directory)) => (directory, "that toolpool itself is in"),
        (None, None) => {
            return Err(Error::new(
                Status::Backend,
                "the directory that toolpool is in cannot be found; set TOOLPOOL_BACKEND_DIR",
            ));
        }
    };
    let path = directory.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::new(
        Status::Backend,
        format_args!(
            "{what}, {name}, is not in {}, the directory {whose}; put it there, or name its directory in \
             TOOLPOOL_BACKEND_DIR",
            directory.display()
        ),
    ))
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
    fn a_file_is_looked_for_in_one_place() {
        let scratch = Scratch::new("backend");
        let find = |wished, own| find_in(wished, own, "libx.so", "the backend x");
        let message = |wished, own| find(wished, own).unwrap_err().to_string();
        let path = scratch.0.display().to_string();
        let beside = message(None, Some(scratch.0.clone()));
        assert!(
            beside.contains(&path) && beside.contains("TOOLPOOL_BACKEND_DIR"),
            "{beside}"
        );
        assert!(message(Some(scratch.0.clone()), Some("/x".into())).contains(&path));
        assert!(message(None, None).contains("TOOLPOOL_BACKEND_DIR"));

        scratch.write("libx.so", "");
        let expected = scratch.0.join("libx.so");
        assert_eq!(find(None, Some(scratch.0.clone())).unwrap(), expected);
        assert_eq!(
            find(Some(scratch.0.clone()), Some("/x".into())).unwrap(),
            expected
        );
        assert!(find(Some("/nowhere".into()), Some(scratch.0.clone())).is_err());
    }

    #[test]
    fn this_code_is_in_the_executable_of_the_test() {
        let executable = env::current_exe().unwrap().canonicalize().unwrap();
        assert_eq!(own_directory().as_deref(), executable.parent());
    }
}
