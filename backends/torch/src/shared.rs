//! Weights that several threads read.

use tch::Tensor;

/// A tensor that nobody writes to after it was wrapped.
pub struct Shared(Tensor);

// SAFETY: libtorch allows any number of threads to read one tensor and counts references atomically; nothing in this
// crate writes to a tensor behind a Shared.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Takes a tensor that nobody writes to any more.
    pub fn new(tensor: Tensor) -> Self {
        Shared(tensor)
    }

    /// Bytes of its elements.
    pub fn bytes(&self) -> u64 {
        (self.numel() * self.kind().elt_size_in_bytes()) as u64
    }
}

impl std::ops::Deref for Shared {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}
