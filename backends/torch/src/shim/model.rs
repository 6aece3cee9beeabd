//! Safe faces of the functions in `shim/model.cpp`.

use super::{call, made, tensor};
use crate::error::Result;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

#[repr(C)]
struct RawModel {
    _opaque: [u8; 0],
}

type OnText = unsafe extern "C" fn(*mut c_void, *const c_char);
type OnBytes = unsafe extern "C" fn(*mut c_void, *const c_void, usize);
type OnPair = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char);
type OnInput = unsafe extern "C" fn(*mut c_void, *const c_char, bool);
type OnOutput = unsafe extern "C" fn(*mut c_void, *const c_char, *mut C_tensor);

unsafe extern "C" {
    fn toolpool_shim_archive(
        path: *const c_char,
        entry: OnText,
        user: *mut c_void,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_archive_file(
        path: *const c_char,
        name: *const c_char,
        entry: OnBytes,
        user: *mut c_void,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_package_metadata(
        path: *const c_char,
        entry: OnPair,
        user: *mut c_void,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_script_load(
        path: *const c_char,
        device: c_int,
        kind: c_int,
        out: *mut *mut RawModel,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_package_load(
        path: *const c_char,
        device: c_int,
        out: *mut *mut RawModel,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_model_free(model: *mut RawModel);
    fn toolpool_shim_model_bytes(
        model: *const RawModel,
        bytes: *mut u64,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_model_inputs(
        model: *const RawModel,
        entry: OnInput,
        user: *mut c_void,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_model_spec(
        model: *const RawModel,
        entry: OnText,
        user: *mut c_void,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_model_run(
        model: *const RawModel,
        inputs: *const *const C_tensor,
        n: usize,
        entry: OnOutput,
        user: *mut c_void,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_borrow(
        data: *const c_void,
        bytes: usize,
        sizes: *const i64,
        n: usize,
        kind: c_int,
        out: *mut *mut C_tensor,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_protect(
        tensor: *const C_tensor,
        out: *mut *mut C_tensor,
        message: *mut c_char,
    ) -> c_int;
    fn toolpool_shim_staging(
        sizes: *const i64,
        n: usize,
        kind: c_int,
        pinned: bool,
        out: *mut *mut C_tensor,
        message: *mut c_char,
    ) -> c_int;
}

/// Text that the shim shows during a callback.
///
/// # Safety
/// `text` must be NUL-terminated.
unsafe fn owned(text: *const c_char) -> String {
    // SAFETY: as required of the caller.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// Adds an item to the `Vec` behind `user`.
///
/// # Safety
/// `user` must point to a `Vec<T>` that nobody else uses now.
unsafe fn push<T>(user: *mut c_void, item: T) {
    // SAFETY: as required of the caller.
    unsafe { &mut *user.cast::<Vec<T>>() }.push(item);
}

unsafe extern "C" fn on_text(user: *mut c_void, text: *const c_char) {
    // SAFETY: the shim hands back our Vec of this type, and a text that is NUL-terminated.
    unsafe { push(user, owned(text)) }
}

unsafe extern "C" fn on_bytes(user: *mut c_void, data: *const c_void, bytes: usize) {
    if bytes == 0 {
        return;
    }
    // SAFETY: as in `on_text`; the shim shows so many bytes.
    unsafe {
        let data = std::slice::from_raw_parts(data.cast::<u8>(), bytes);
        push(user, data.to_vec())
    }
}

unsafe extern "C" fn on_pair(user: *mut c_void, key: *const c_char, value: *const c_char) {
    // SAFETY: as in `on_text`.
    unsafe { push(user, (owned(key), owned(value))) }
}

unsafe extern "C" fn on_input(user: *mut c_void, name: *const c_char, required: bool) {
    // SAFETY: as in `on_text`.
    unsafe { push(user, (owned(name), required)) }
}

unsafe extern "C" fn on_output(user: *mut c_void, name: *const c_char, output: *mut C_tensor) {
    // SAFETY: as in `on_text`; the tensor now belongs to us.
    unsafe { push(user, (owned(name), Tensor::from_ptr(output))) }
}

/// What a function of the shim hands to its callback, in order.
fn collected<T>(function: impl FnOnce(*mut c_void, *mut c_char) -> c_int) -> Result<Vec<T>> {
    let mut list: Vec<T> = Vec::new();
    call(|message| function((&raw mut list).cast(), message))?;
    Ok(list)
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_default()
}

/// The shim's number of a device: negative for the CPU.
fn number(device: Device) -> c_int {
    match device {
        Device::Cuda(index) => index as c_int,
        _ => -1,
    }
}

/// The names of the files in a zip of PyTorch, without the folder that they all lie in.
pub fn archive(path: &Path) -> Result<Vec<String>> {
    let path = c_path(path);
    // SAFETY: the path is NUL-terminated; the callback gets the Vec of its type.
    collected(|list, message| unsafe {
        toolpool_shim_archive(path.as_ptr(), on_text, list, message)
    })
}

/// The contents of one file in a zip of PyTorch, named as [`archive`] names it.
pub fn archive_file(path: &Path, name: &CStr) -> Result<Vec<u8>> {
    let path = c_path(path);
    // SAFETY: as in `archive`.
    let files: Vec<Vec<u8>> = collected(|list, message| unsafe {
        toolpool_shim_archive_file(path.as_ptr(), name.as_ptr(), on_bytes, list, message)
    })?;
    Ok(files.concat())
}

/// Keys and values that a package says about itself.
pub fn package_metadata(path: &Path) -> Result<Vec<(String, String)>> {
    let path = c_path(path);
    // SAFETY: as in `archive`.
    collected(|list, message| unsafe {
        toolpool_shim_package_metadata(path.as_ptr(), on_pair, list, message)
    })
}

/// A TorchScript module or an AOTInductor package on one device.
pub struct Model(NonNull<RawModel>);

// SAFETY: libtorch allows any number of threads to run one module in inference, and a package's container hands each run
// a free runner; nothing in this crate changes a model after its load.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { toolpool_shim_model_free(self.0.as_ptr()) }
    }
}

impl Model {
    /// A TorchScript module; its floating-point weights in `kind`, if one is given.
    pub fn script(path: &Path, device: Device, kind: Option<Kind>) -> Result<Self> {
        let path = c_path(path);
        let kind = kind.map_or(-1, scalar_type);
        let mut out = ptr::null_mut();
        // SAFETY: the path is NUL-terminated; the other pointers are writable.
        call(|message| unsafe {
            toolpool_shim_script_load(path.as_ptr(), number(device), kind, &mut out, message)
        })?;
        made(out).map(Model)
    }

    /// An AOTInductor package, on a device of the kind that it was compiled for.
    pub fn package(path: &Path, device: Device) -> Result<Self> {
        let path = c_path(path);
        let mut out = ptr::null_mut();
        // SAFETY: the path is NUL-terminated; the other pointers are writable.
        call(|message| unsafe {
            toolpool_shim_package_load(path.as_ptr(), number(device), &mut out, message)
        })?;
        made(out).map(Model)
    }

    /// Bytes of its device's memory that it holds: a module's parameters and buffers; of a package what its load took.
    pub fn bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        // SAFETY: the model lives; both other pointers are writable.
        call(|message| unsafe { toolpool_shim_model_bytes(self.0.as_ptr(), &mut bytes, message) })?;
        Ok(bytes)
    }

    /// A module's inputs by name, and whether each is required; none for a package.
    pub fn inputs(&self) -> Result<Vec<(String, bool)>> {
        // SAFETY: the model lives; the callback gets the Vec of its type.
        collected(|list, message| unsafe {
            toolpool_shim_model_inputs(self.0.as_ptr(), on_input, list, message)
        })
    }

    /// A package's call specification: two lines of JSON, of its inputs and its outputs; empty for a module.
    pub fn spec(&self) -> Result<String> {
        // SAFETY: the model lives; the callback gets the Vec of its type.
        let spec: Vec<String> = collected(|list, message| unsafe {
            toolpool_shim_model_spec(self.0.as_ptr(), on_text, list, message)
        })?;
        Ok(spec.concat())
    }

    /// The outputs for `inputs`, which has an entry for each input; `None` leaves one out.
    pub fn run(&self, inputs: &[Option<Tensor>]) -> Result<Vec<(String, Tensor)>> {
        let inputs: Vec<*const C_tensor> = inputs
            .iter()
            .map(|input| input.as_ref().map_or(ptr::null(), Tensor::as_ptr))
            .collect();
        // SAFETY: the model and the tensors live; the callback gets the Vec of its type.
        collected(|list, message| unsafe {
            toolpool_shim_model_run(
                self.0.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                on_output,
                list,
                message,
            )
        })
    }
}

/// libtorch's number of an element type (c10/core/ScalarType.h).
fn scalar_type(kind: Kind) -> c_int {
    match kind {
        Kind::Uint8 => 0,
        Kind::Int8 => 1,
        Kind::Int16 => 2,
        Kind::Int => 3,
        Kind::Int64 => 4,
        Kind::Half => 5,
        Kind::Float => 6,
        Kind::Double => 7,
        Kind::Bool => 11,
        Kind::BFloat16 => 15,
        other => unreachable!("{other:?} is none of the types of toolpool's tensors"),
    }
}

/// A tensor over memory that it does not own: that of `parts`, if each begins where the one before ends.
///
/// # Safety
/// Together the parts must be as long as `sizes` and `kind` say; they must stay while the tensor or a share of it lives,
/// and nobody may write to it.
pub unsafe fn borrow(parts: &[&[u8]], sizes: &[i64], kind: Kind) -> Result<Option<Tensor>> {
    let adjacent = |pair: &[&[u8]]| pair[0].as_ptr_range().end == pair[1].as_ptr();
    let Some(first) = parts.first().filter(|_| parts.windows(2).all(adjacent)) else {
        return Ok(None);
    };
    let bytes = parts.iter().map(|part| part.len()).sum();
    // SAFETY: as required of the caller; the other pointers are valid for the call.
    let borrowed = tensor(|out, message| unsafe {
        toolpool_shim_borrow(
            first.as_ptr().cast(),
            bytes,
            sizes.as_ptr(),
            sizes.len(),
            scalar_type(kind),
            out,
            message,
        )
    });
    borrowed.map(Some)
}

/// A share of `t` that is copied when something writes to it, as long as `t` lives.
pub fn protect(t: &Tensor) -> Result<Tensor> {
    // SAFETY: the tensor lives; the other pointers are writable.
    tensor(|out, message| unsafe { toolpool_shim_protect(t.as_ptr(), out, message) })
}

/// Memory of the host for one input of a model, pinned where it is to be copied to CUDA.
pub struct Staging {
    tensor: Tensor,
    bytes: usize,
}

impl Staging {
    /// Room for a tensor, not initialised.
    pub fn new(sizes: &[i64], kind: Kind, pinned: bool) -> Result<Self> {
        // SAFETY: the sizes live; the other pointers are writable.
        let tensor = tensor(|out, message| unsafe {
            toolpool_shim_staging(
                sizes.as_ptr(),
                sizes.len(),
                scalar_type(kind),
                pinned,
                out,
                message,
            )
        })?;
        let bytes = tensor.numel() * kind.elt_size_in_bytes();
        Ok(Staging { tensor, bytes })
    }

    /// Sets every element to `value`.
    pub fn fill(&mut self, value: f64) -> Result<()> {
        let _filled = self.tensor.f_fill_(value)?;
        Ok(())
    }

    /// Copies `data` to the byte `at`.
    ///
    /// # Panics
    /// If it does not fit.
    pub fn write(&mut self, at: usize, data: &[u8]) {
        assert!(at <= self.bytes && data.len() <= self.bytes - at);
        if data.is_empty() {
            return;
        }
        // SAFETY: the tensor is dense, has so many bytes, and is ours alone.
        unsafe {
            let to = self.tensor.data_ptr().cast::<u8>().add(at);
            ptr::copy_nonoverlapping(data.as_ptr(), to, data.len());
        }
    }

    /// The tensor, filled in.
    pub fn done(self) -> Tensor {
        self.tensor
    }
}

/// The elements of a dense tensor in host memory, as bytes.
///
/// # Panics
/// If it is not dense, or not there.
pub fn bytes_of(t: &Tensor) -> &[u8] {
    assert!(t.device() == Device::Cpu && t.is_contiguous());
    let bytes = t.numel() * t.kind().elt_size_in_bytes();
    if bytes == 0 {
        return &[];
    }
    // SAFETY: a dense tensor on the CPU of so many bytes; the slice borrows the tensor.
    unsafe { std::slice::from_raw_parts(t.data_ptr().cast(), bytes) }
}
