//! What can go wrong in this backend, with the status that the C side sees.

use toolpool_abi as abi;

/// An error with its message; the variant decides the status code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument from the C side is NULL or not UTF-8.
    #[error("{0}")]
    Argument(String),
    /// An option's key or value is not known.
    #[error("{0}")]
    Option(String),
    /// The model's files are absent, damaged or not what their config says.
    #[error("{0}")]
    Model(String),
    /// The device cannot be used by this backend.
    #[error("{0}")]
    Device(String),
    /// The device or the machine has no memory left for this batch.
    #[error("{0}")]
    OutOfMemory(String),
    /// The device is gone for the rest of the process.
    #[error("{0}")]
    DeviceLost(String),
    /// Anything that libtorch reports and that is none of the above.
    #[error("{0}")]
    Failed(String),
    /// toolpool itself refused a call; its status is handed on.
    #[error("{1}")]
    Host(i32, String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// What libtorch and the libraries under it say when memory runs out. The type c10::OutOfMemoryError is known to the shim
/// alone: tch and TorchScript's interpreter hand on its words.
const OUT_OF_MEMORY: [&str; 12] = [
    "CUDA out of memory",
    "would exceed allowed memory", // c10::OutOfMemoryError, of a limit set for the process
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED", // of cuDNN 8; cuDNN 9 has the next two
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "can't allocate memory", // c10's allocator of the CPU
    "std::bad_alloc",
];

/// Errors after which a CUDA context answers every later call with the same error.
const DEVICE_LOST: [&str; 8] = [
    "an illegal memory access was encountered",
    "unspecified launch failure",
    "device-side assert triggered",
    "uncorrectable ECC error",
    "misaligned address",
    "an illegal instruction was encountered",
    "hardware stack error",
    "GPU has fallen off the bus",
];

impl Error {
    /// The status code of the C interface.
    pub fn status(&self) -> abi::toolpool_status_t {
        match self {
            Error::Argument(_) => abi::TOOLPOOL_ERR_ARGUMENT,
            Error::Option(_) => abi::TOOLPOOL_ERR_OPTION,
            Error::Model(_) => abi::TOOLPOOL_ERR_MODEL,
            Error::Device(_) => abi::TOOLPOOL_ERR_DEVICE,
            Error::OutOfMemory(_) => abi::TOOLPOOL_ERR_OUT_OF_MEMORY,
            Error::DeviceLost(_) => abi::TOOLPOOL_ERR_DEVICE_LOST,
            Error::Failed(_) => abi::TOOLPOOL_ERR_FAILED,
            Error::Host(status, _) => *status,
        }
    }

    /// Sorts a message of libtorch into out of memory, device lost or failed, and drops its C++ stack trace.
    pub fn from_torch(message: &str) -> Self {
        let first = heart(message).to_owned();
        let says = |known: &[&str]| known.iter().any(|text| message.contains(text));
        if says(&OUT_OF_MEMORY) {
            Error::OutOfMemory(first)
        } else if says(&DEVICE_LOST) {
            Error::DeviceLost(first)
        } else {
            Error::Failed(first)
        }
    }
}

/// The line that says what is wrong: the first, or what TorchScript's interpreter writes after its own traceback.
fn heart(message: &str) -> &str {
    let mut lines = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    if !first.starts_with("The following operation failed in the TorchScript interpreter") {
        return first;
    }
    // "RuntimeError: …", "torch.jit.Error: …", or the name of the exception that the module raised.
    let raised = lines.find_map(|line| {
        let (class, text) = line.split_once(": ")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        (class.ends_with("Error") && class.chars().all(is_name)).then_some(text)
    });
    raised.unwrap_or(first)
}

impl From<std::collections::TryReserveError> for Error {
    fn from(error: std::collections::TryReserveError) -> Self {
        Error::OutOfMemory(error.to_string())
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        match error {
            tch::TchError::Torch(message) => Error::from_torch(&message),
            other => Error::from_torch(&other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(message: &str) -> i32 {
        Error::from_torch(message).status()
    }

    #[test]
    fn every_form_of_out_of_memory_is_known() {
        for message in [
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.1 GiB",
            "CUDA out of memory. Tried to allocate more than 1EB memory.",
            "Allocation on device 0 would exceed allowed memory. (out of memory)\nCurrently allocated: 7.9 GiB",
            "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
            "CUDA error: out of memory when calling `cusparseCreate(handle)`",
            "CUDA driver error: out of memory",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
            "cuFFT error: CUFFT_ALLOC_FAILED",
            "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
            "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
            "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to \
             allocate 9 bytes. Error code 12 (Cannot allocate memory)",
            "std::bad_alloc",
            "sort: failed to get memory buffer: std::bad_alloc: cudaErrorMemoryAllocation: out of memory",
            "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call \
             last):\nRuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB.\n",
        ] {
            assert_eq!(
                status(message),
                abi::TOOLPOOL_ERR_OUT_OF_MEMORY,
                "{message}"
            );
        }
    }

    #[test]
    fn messages_of_libtorch_get_their_status() {
        assert_eq!(
            status("CUDA error: an illegal memory access was encountered"),
            abi::TOOLPOOL_ERR_DEVICE_LOST
        );
        assert_eq!(
            status("mat1 and mat2 shapes cannot be multiplied"),
            abi::TOOLPOOL_ERR_FAILED
        );
    }

    #[test]
    fn a_module_s_own_words_are_found_behind_the_interpreter_s() {
        let message = "The following operation failed in the TorchScript interpreter.\n\
            Traceback of TorchScript, serialized code (most recent call last):\n  \
            File \"code/__torch__.py\", line 9, in forward\n    return torch.mm(x, self.w)\n           ~~~~ <--- HERE\n\n\
            RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x4)\n\n";
        assert_eq!(
            Error::from_torch(message).to_string(),
            "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x4)"
        );
    }

    #[test]
    fn the_stack_trace_of_libtorch_is_dropped() {
        assert_eq!(
            Error::from_torch("bad shape\nException raised from at::mm\nframe #0").to_string(),
            "bad shape"
        );
    }
}
