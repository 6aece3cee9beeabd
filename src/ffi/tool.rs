use std::ffi::{c_char, c_void};
use std::sync::Arc;

use parking_lot::Mutex;
use toolpool_abi::{TOOLPOOL_OK, toolpool_callbacks_t, toolpool_error_t, toolpool_status_t};

use super::batch::HOST;
use super::shell::{let_tool_go, rest_before_libraries_go};
use super::{Handle, check_out, export, give, null, quietly, text, text_or_null};
use crate::error::Result;
use crate::tool::Tool;
use crate::tools::{ForeignTool, Opened};

/// A tool with its options. Any thread may use it; jobs keep the options that were set when they were submitted.
pub struct toolpool_tool_t {
    _opaque: [u8; 0],
}

impl Handle for toolpool_tool_t {
    type Inner = Mutex<Opened>;
    const NOUN: &'static str = "the tool";
}

/// The tool behind a handle, with the options as they are now.
///
/// # Safety
/// `tool` is NULL or live.
pub(super) unsafe fn current(tool: *const toolpool_tool_t) -> Result<Arc<dyn Tool>> {
    // SAFETY: as required of the caller.
    let opened = unsafe { toolpool_tool_t::get(tool) }?;
    Ok(opened.lock().tool())
}

/// Opens a tool by name. Reads what describes the model (its config), not its weights: those are loaded by each worker
/// at first use, or by toolpool_warm().
///
/// | kind | source | what it does |
/// | --- | --- | --- |
/// | `aoti` | a `.pt2` package of AOTInductor | a compiled PyTorch model, for the device that it was compiled for |
/// | `auto` | any source of the other torch kinds | looks what it is, and opens `aoti`, `esm2` or `torchscript` |
/// | `echo` | NULL | copies the first field of an item to the output `output` (bytes) |
/// | `esm2` | a transformers directory, or a hub id in the local Hugging Face cache | ESM-2 protein embeddings |
/// | `library` | `FILE:SYMBOL` or `FILE:SYMBOL:SOURCE` | the tool that ::toolpool_entry_t SYMBOL of a shared library makes |
/// | `torchscript` | a `.pt` file of `torch.jit.save` | a PyTorch model, on any device |
///
/// The first torch tool of a process loads libtorch and the torch backend. Libraries, `.pt` and `.pt2` files are programs:
/// open only what you trust. Safetensors, which `esm2` reads, are data.
///
/// @param kind    NUL-terminated
/// @param source  NUL-terminated, or NULL for ""
/// @param out     receives the tool; free it with toolpool_tool_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_tool_open(
    kind: *const c_char,
    source: *const c_char,
    out: *mut *mut toolpool_tool_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let source = text_or_null(source, "the tool's source")?.unwrap_or("");
            let opened = Opened::open(text(kind, "the tool's kind")?, source, &HOST)?;
            rest_before_libraries_go();
            give(out, || toolpool_tool_t::new(Mutex::new(opened)))
        })
    }
}

/// Makes a tool of C functions. On success the tool owns `user` and calls `destroy` in the end; on failure it does not.
///
/// @param name       what messages call it; NUL-terminated, copied
/// @param callbacks  copied; start from TOOLPOOL_CALLBACKS_INIT
/// @param user       handed to `load`, `cost`, `extent` and `destroy`; must be usable from any thread
/// @param out        receives the tool; free it with toolpool_tool_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_tool_from_callbacks(
    name: *const c_char,
    callbacks: *const toolpool_callbacks_t,
    user: *mut c_void,
    out: *mut *mut toolpool_tool_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let name = text(name, "the tool's name")?;
            if callbacks.is_null() {
                return Err(null("the table of callbacks"));
            }
            let opened = Opened::fixed(name, ForeignTool::new(name, callbacks, user)?);
            give(out, || toolpool_tool_t::new(Mutex::new(opened)))
        })
    }
}

/// Sets an option of a tool, checked at once: an unknown key or value is ::TOOLPOOL_ERR_OPTION, with a message that
/// lists the known ones, and leaves the tool as it was. Jobs that were submitted before keep what they had. The table of
/// all options by tool is in the documentation.
///
/// Every tool that is opened by name has `isolation`: with `process`, each worker runs it in a child process, and a crash
/// costs the items that cause it (::TOOLPOOL_ERR_CRASHED, with the signal's name) and nothing else.
///
/// @param key    NUL-terminated
/// @param value  NUL-terminated
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_tool_set(
    tool: *mut toolpool_tool_t,
    key: *const c_char,
    value: *const c_char,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let tool = toolpool_tool_t::get(tool)?;
            let (key, value) = (
                text(key, "the option's key")?,
                text(value, "the option's value")?,
            );
            let mut opened = tool.lock();
            let before = opened.tool();
            opened.set(key, value)?;
            drop(opened);
            let_tool_go(before);
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Frees a tool. NULL is fine; jobs that use it go on. What named tools have loaded stays warm in the pool, as does what a
/// tool of callbacks with an `identity` has, for the next of that identity; what one without has loaded is unloaded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_tool_free(tool: *mut toolpool_tool_t) {
    quietly((), || {
        // SAFETY: NULL or a tool that is not used again, as the header says.
        if let Some(opened) = unsafe { toolpool_tool_t::take(tool) } {
            let tool = opened.lock().tool();
            drop(opened);
            let_tool_go(tool);
        }
    });
}
