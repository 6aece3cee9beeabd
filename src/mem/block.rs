//! A piece of memory that rows are put into one after the other, and that never moves.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;

use super::segment::Segment;
use crate::error::{Error, Result, Status};

/// Blocks start at a multiple of this, enough for any vector instruction.
pub(super) const ALIGN: usize = 64;

/// Memory for rows, uninitialised until somebody writes to it.
pub struct Block {
    start: NonNull<u8>,
    capacity: usize,
    used: usize,
    memory: Memory,
}

/// Whose the memory is, and how it is given back.
enum Memory {
    Heap(Layout),
    Shared(Arc<Segment>),
}

/// Where in shared memory a block lies.
pub struct Shared {
    /// The number of its segment.
    pub segment: u32,
    /// Of its first byte in that segment.
    pub offset: usize,
}

// SAFETY: a Block owns its memory; writing goes through `&mut` or through pointers whose holders agree.
unsafe impl Send for Block {}
// SAFETY: shared access only reads what was written before sharing.
unsafe impl Sync for Block {}

impl Block {
    /// A block of `capacity` bytes on the heap.
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
            capacity,
            used: 0,
            memory: Memory::Heap(layout),
        })
    }

    /// The block of `capacity` bytes from `offset` on of shared memory, in which nothing else may lie.
    ///
    /// # Panics
    /// If the segment ends before.
    pub fn within(segment: Arc<Segment>, offset: usize, capacity: usize) -> Self {
        assert!(offset <= segment.size() && capacity <= segment.size() - offset);
        Self {
            // SAFETY: the offset lies within the segment, or one past its end.
            start: unsafe { segment.start().add(offset) },
            capacity,
            used: 0,
            memory: Memory::Shared(segment),
        }
    }

    /// Takes the next `bytes` at a multiple of `align` (a power of two up to 64), if they still fit: their offset.
    pub fn take(&mut self, bytes: usize, align: usize) -> Option<usize> {
        let offset = self.used.next_multiple_of(align);
        let end = offset.checked_add(bytes)?;
        (end <= self.capacity).then(|| {
            self.used = end;
            offset
        })
    }

    /// The address of `offset`, which must be one that `take` gave.
    pub fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.capacity);
        // SAFETY: the offset lies within the block, or one past its end.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// Bytes taken so far.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Where it lies, if another process can see it.
    pub fn place(&self) -> Option<Shared> {
        match &self.memory {
            Memory::Heap(_) => None,
            Memory::Shared(segment) => Some(Shared {
                segment: segment.id(),
                offset: self.start.addr().get() - segment.start().addr().get(),
            }),
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Memory::Heap(layout) = self.memory {
            // SAFETY: allocated in `new` with this layout, freed once.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}
