//! A piece of the heap that rows are put into one after the other, and that never moves.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

use crate::error::{Error, Result, Status};

/// Blocks start at a multiple of this, enough for any vector instruction.
const ALIGN: usize = 64;

/// Memory for rows, uninitialised until somebody writes to it.
pub struct Block {
    start: NonNull<u8>,
    layout: Layout,
    used: usize,
}

// SAFETY: a Block owns its memory; writing goes through `&mut` or through pointers whose holders agree.
unsafe impl Send for Block {}
// SAFETY: shared access only reads what was written before sharing.
unsafe impl Sync for Block {}

impl Block {
    /// A block of `capacity` bytes.
    pub fn new(capacity: usize) -> Result<Self> {
        let refused = || {
            Error::new(
                Status::OutOfMemory,
                format_args!("no memory for outputs of {capacity} bytes"),
            )
        };
        let layout = Layout::from_size_align(capacity.max(1), ALIGN).map_err(|_| refused())?;
        // SAFETY: the layout's size is not 0.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or_else(refused)?;
        Ok(Self {
            start,
            layout,
            used: 0,
        })
    }

    /// Takes the next `bytes` at a multiple of `align` (a power of two up to 64), if they still fit: their offset.
    pub fn take(&mut self, bytes: usize, align: usize) -> Option<usize> {
        let offset = self.used.next_multiple_of(align);
        let end = offset.checked_add(bytes)?;
        (end <= self.layout.size()).then(|| {
            self.used = end;
            offset
        })
    }

    /// The address of `offset`, which must be one that `take` gave.
    pub fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.layout.size());
        // SAFETY: the offset lies within the allocation, or one past its end.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// Bytes taken so far.
    pub fn used(&self) -> usize {
        self.used
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
