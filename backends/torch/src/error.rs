//! What can go wrong in this backend, with the status that the C side sees.

use tch::Device;
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
    /// The error of another device, which libtorch has kept for whoever calls it next.
    #[error("{0}")]
    Elsewhere(String),
    /// Anything that libtorch reports and that is none of the above.
    #[error("{0}")]
    Failed(String),
    /// toolpool itself refused a call; its status is handed on.
    #[error("{1}")]
    Host(i32, String),
    /// A defect of this backend.
    #[error("the torch backend panicked: {0}")]
    Panicked(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// What libtorch and the libraries under it say when memory runs out. The type c10::OutOfMemoryError is known to the shim
/// alone: tch and TorchScript's interpreter hand on its words.
const OUT_OF_MEMORY: [&str; 13] = [
    "CUDA out of memory",
    "would exceed allowed memory", // c10::OutOfMemoryError, of a limit set for the process
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate", // what a full device often answers
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED", // of cuDNN 8; cuDNN 9 has the next two
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "can't allocate memory", // c10's allocator of the CPU
    "std::bad_alloc",
];

/// The errors of CUDA (cudaError_t, in the words of cudaGetErrorString) after which a device is lost to this process.
///
/// Documented so ("any further CUDA work will return the same error … the process must be terminated and relaunched"):
/// all but the last four. Of these, the first two mean that memory or links lost data, for which the driver ends the
/// context; the third, that the context is gone which libtorch goes on to use; the fourth, that the driver is.
///
/// Not here, for they do not say whether the device is lost, and it can be asked ([`Error::on`]): `unknown error`,
/// `initialization error`, `invalid device context`, MPS's connections, and cuBLAS's or cuDNN's EXECUTION_FAILED. Nor
/// `CUDA-capable device(s) is/are busy or unavailable`, which is so "at the current time".
const DEVICE_LOST: [&str; 17] = [
    "Invalid access of peer GPU memory over nvlink or a hardware error", // 226, cudaErrorContained
    "an illegal memory access was encountered",                          // 700
    "the launch timed out and was terminated",                           // 702
    "device-side assert triggered",                                      // 710
    "hardware stack error",                                              // 714
    "an illegal instruction was encountered",                            // 715
    "misaligned address",                                                // 716
    "operation not supported on global/shared address space",            // 717
    "invalid program counter",                                           // 718
    "unspecified launch failure", // 719, and 53, of a prior launch
    "tensor memory not completely freed", // 721
    "the MPS client has been terminated by the server", // 810
    "an async error has occured in external entity outside of CUDA", // 911, CUDA's spelling
    "uncorrectable ECC error",    // 214
    "uncorrectable NVLink error", // 220
    "context is destroyed",       // 709
    "driver shutting down",       // 4
];

/// What CUDA answered when a device was asked how it is.
#[derive(Debug)]
pub struct Trouble {
    /// A cudaError_t.
    pub code: i32,
    pub message: String,
}

impl Trouble {
    /// Whether every later call will be answered so. A question that queues nothing fails only where the context cannot
    /// be used, or there is none yet: then for want of memory (2), of a driver (3, 35), or of a device that may be had
    /// (46, 100, 101). And a stream that the host program records a graph of (900 to 909) must not be asked.
    fn stays(&self) -> bool {
        !matches!(self.code, 2 | 3 | 35 | 46 | 100 | 101 | 900..=909)
    }
}

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
            Error::Elsewhere(_) => abi::TOOLPOOL_ERR_TRANSIENT,
            Error::Failed(_) => abi::TOOLPOOL_ERR_FAILED,
            Error::Host(status, _) => *status,
            Error::Panicked(_) => abi::TOOLPOOL_ERR_INTERNAL,
        }
    }

    /// What an error of work on `device` comes to there. A CUDA device is asked how it is, whatever the error says;
    /// `trouble` asks the one of that number. A CPU is not lost, whatever words a model raises.
    pub fn on(self, device: Device, trouble: impl FnOnce(usize) -> Option<Trouble>) -> Self {
        match (device, self) {
            (Device::Cuda(index), error) => error.on_cuda(index, trouble(index)),
            (_, Error::DeviceLost(message)) => Error::Failed(message),
            (_, error) => error,
        }
    }

    fn on_cuda(self, index: usize, trouble: Option<Trouble>) -> Self {
        match (self, trouble.filter(Trouble::stays)) {
            (Error::DeviceLost(message), Some(_)) => Error::DeviceLost(message),
            (error, Some(trouble)) => Error::DeviceLost(format!(
                "{error}; asked after that, cuda:{index} answers: {}",
                heart(&trouble.message)
            )),
            (Error::DeviceLost(message), None) => Error::Elsewhere(format!(
                "{message}; but cuda:{index}, asked after that, is well: it is the error of another device"
            )),
            (error, None) => error,
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
            "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
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
    fn an_error_that_poisons_a_context_is_a_lost_device() {
        for message in [
            "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' in",
            "CUDA driver error: an illegal memory access was encountered",
            "radix_sort: failed on 1st step: cudaErrorIllegalAddress: an illegal memory access was encountered",
            "CUDA error: Invalid access of peer GPU memory over nvlink or a hardware error",
            "CUDA error: the launch timed out and was terminated",
            "CUDA error: device-side assert triggered",
            "CUDA error: hardware stack error",
            "CUDA error: an illegal instruction was encountered",
            "CUDA error: misaligned address",
            "CUDA error: operation not supported on global/shared address space",
            "CUDA error: invalid program counter",
            "CUDA error: unspecified launch failure",
            "CUDA error: unspecified launch failure in prior launch",
            "CUDA error: tensor memory not completely freed",
            "CUDA error: the MPS client has been terminated by the server",
            "CUDA error: an async error has occured in external entity outside of CUDA",
            "CUDA error: uncorrectable ECC error encountered",
            "CUDA error: uncorrectable NVLink error detected during the execution",
            "CUDA error: context is destroyed",
            "CUDA error: driver shutting down",
        ] {
            assert_eq!(status(message), abi::TOOLPOOL_ERR_DEVICE_LOST, "{message}");
        }
    }

    #[test]
    fn other_messages_are_failures() {
        for message in [
            "mat1 and mat2 shapes cannot be multiplied",
            "CUDA error: unknown error",
            "CUDA error: too many resources requested for launch",
            "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
            "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(…)`",
        ] {
            assert_eq!(status(message), abi::TOOLPOOL_ERR_FAILED, "{message}");
        }
    }

    /// The status of `error` on cuda:1, which answers with `code`.
    fn status_on_cuda(error: Error, code: Option<i32>) -> i32 {
        let answer = |index| {
            assert_eq!(index, 1);
            let message = "CUDA error: some error\nand advice".to_owned();
            code.map(|code| Trouble { code, message })
        };
        error.on(Device::Cuda(1), answer).status()
    }

    #[test]
    fn a_device_that_answers_every_question_with_an_error_is_lost() {
        let failed = || Error::from_torch("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED");
        assert_eq!(status_on_cuda(failed(), None), abi::TOOLPOOL_ERR_FAILED);
        // An illegal address, an unknown error, and one that is not in the documents yet.
        for code in [700, 999, 5000] {
            assert_eq!(
                status_on_cuda(failed(), Some(code)),
                abi::TOOLPOOL_ERR_DEVICE_LOST,
                "{code}"
            );
        }
        for code in [2, 3, 35, 46, 100, 101, 900, 906] {
            assert_eq!(
                status_on_cuda(failed(), Some(code)),
                abi::TOOLPOOL_ERR_FAILED,
                "{code}"
            );
        }
    }

    #[test]
    fn whatever_the_error_is_the_device_is_asked() {
        for error in [
            Error::Argument("a".into()),
            Error::Host(abi::TOOLPOOL_ERR_CONTRACT, "b".into()),
            Error::Panicked("c".into()),
        ] {
            assert_eq!(
                status_on_cuda(error, Some(700)),
                abi::TOOLPOOL_ERR_DEVICE_LOST
            );
        }
    }

    #[test]
    fn a_lost_device_has_both_messages() {
        let answer = |_| {
            let message = "CUDA error: unknown error\nand advice".to_owned();
            Some(Trouble { code: 999, message })
        };
        assert_eq!(
            Error::Failed("no result".into())
                .on(Device::Cuda(1), answer)
                .to_string(),
            "no result; asked after that, cuda:1 answers: CUDA error: unknown error"
        );
    }

    #[test]
    fn a_lost_device_is_believed_to_be_this_one_only_if_it_says_so() {
        let error = || Error::from_torch("CUDA error: misaligned address");
        assert_eq!(
            status_on_cuda(error(), Some(716)),
            abi::TOOLPOOL_ERR_DEVICE_LOST
        );
        assert_eq!(status_on_cuda(error(), None), abi::TOOLPOOL_ERR_TRANSIENT);
    }

    #[test]
    fn memory_that_a_device_lacks_is_no_loss_of_it() {
        let full = || Error::from_torch("CUDA error: out of memory");
        for code in [None, Some(2)] {
            assert_eq!(
                status_on_cuda(full(), code),
                abi::TOOLPOOL_ERR_OUT_OF_MEMORY
            );
        }
        assert_eq!(
            status_on_cuda(full(), Some(700)),
            abi::TOOLPOOL_ERR_DEVICE_LOST
        );
    }

    #[test]
    fn a_cpu_is_not_asked_and_not_lost() {
        let nobody = |_| panic!("asked");
        for message in ["misaligned address", "no result"] {
            let error = Error::from_torch(message).on(Device::Cpu, nobody);
            assert_eq!(error.status(), abi::TOOLPOOL_ERR_FAILED);
        }
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
