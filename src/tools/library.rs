//! Tools from shared libraries: a third party's by name of file and symbol, or a backend's.

use std::ffi::{CString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use toolpool_abi::{toolpool_callbacks_t, toolpool_entry_t, toolpool_host_t, toolpool_option_t};

use super::beside;
use super::foreign::{ForeignTool, checked};
use crate::error::{Error, Result, Status};
use crate::tools::libtorch::loaders_words;

/// The entry of a tool in a loaded library, which stays loaded: its threads and callbacks may outlive any handle.
#[derive(Clone, Copy)]
pub struct Entry {
    function: unsafe extern "C" fn(
        *const toolpool_host_t,
        *const c_char,
        *const toolpool_option_t,
        usize,
        *mut toolpool_callbacks_t,
        *mut *mut c_void,
        *mut *mut toolpool_abi::toolpool_error_t,
    ) -> i32,
    host: &'static toolpool_host_t,
}

impl Entry {
    /// Loads `library` and finds `symbol` in it; `host` is what its tools are given.
    ///
    /// # Safety
    /// Loading runs the library's initialisers, and the symbol must be a `toolpool_entry_t`.
    pub unsafe fn open(
        library: &Path,
        symbol: &str,
        host: &'static toolpool_host_t,
    ) -> Result<Self> {
        let error = |what: &str, reason: &dyn std::fmt::Display| {
            Error::new(
                Status::Tool,
                format_args!("{what} '{}': {reason}", library.display()),
            )
        };
        // SAFETY: as required of the caller.
        let loaded = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|reason| error("cannot load the library", &loaders_words(&reason)))?;
        // SAFETY: as required of the caller; a symbol of address 0 is None.
        let entry = unsafe { loaded.get::<toolpool_entry_t>(symbol) }
            .ok()
            .and_then(|found| *found)
            .ok_or_else(|| {
                error(
                    "there is no tool in",
                    &format_args!("it does not export '{symbol}'"),
                )
            })?;
        std::mem::forget(loaded);
        Ok(Self {
            function: entry,
            host,
        })
    }

    /// The file that it was loaded from.
    pub fn file(&self) -> Option<PathBuf> {
        beside::file_of(self.function as *const c_void)
    }

    /// The tool for a source and options, which its library checks.
    pub fn tool(
        &self,
        name: &str,
        source: &str,
        options: &[(String, String)],
    ) -> Result<ForeignTool> {
        let source = c_string("the source", source)?;
        let owned = options
            .iter()
            .map(|(key, value)| Ok((c_string("an option's key", key)?, c_string(key, value)?)))
            .collect::<Result<Vec<_>>>()?;
        let options: Vec<_> = owned
            .iter()
            .map(|(key, value)| toolpool_option_t {
                key: key.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        // SAFETY: all zeros is a table of NULLs.
        let mut callbacks: toolpool_callbacks_t = unsafe { std::mem::zeroed() };
        callbacks.size = size_of::<toolpool_callbacks_t>();
        let mut user = null_mut();
        // SAFETY: all pointers are valid for the call; `open` was promised that this is an entry.
        checked(name, "open", |err| unsafe {
            (self.function)(
                self.host,
                source.as_ptr(),
                options.as_ptr(),
                options.len(),
                &raw mut callbacks,
                &raw mut user,
                err,
            )
        })?;
        // SAFETY: the entry succeeded, so it filled in the table that we sized.
        unsafe { ForeignTool::new(name, &raw const callbacks, user) }
    }
}

fn c_string(what: &str, text: &str) -> Result<CString> {
    CString::new(text)
        .map_err(|_| Error::new(Status::Argument, format_args!("{what} contains a NUL")))
}
