//! Memory that two processes see at once: the outputs that one writes are those that the other keeps.
//!
//! A segment is a piece of anonymous shared memory (`memfd_create(2)`), which lives as long as somebody has it mapped.
//! Its size is sealed, so that nobody who maps it can be killed by another's cutting it short. Its *content* stays
//! writable for both: what a process has handed over it must not write to again, and a defect in it might.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use super::block::{ALIGN, Block};
use crate::error::{Error, Result, Status};

/// Blocks of at most this many bytes lie in one segment, so that a run of many small batches takes few mappings, of
/// which a process can have some 65,000.
const SMALL: usize = 1 << 20;

/// Bytes of a segment of small blocks. What is not written to is not taken.
const SEGMENT: usize = 16 << 20;

/// A piece of shared memory, mapped into this process.
pub struct Segment {
    id: u32,
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: a Segment owns its mapping; who reads and writes which part of it is agreed on outside.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// A new segment of `size` bytes, all zero, and the descriptor by which another process opens it.
    pub fn create(id: u32, size: usize) -> Result<(Self, OwnedFd)> {
        let refused = |errno: Errno| {
            Error::new(
                Status::OutOfMemory,
                format_args!(
                    "no shared memory of {size} bytes: {}",
                    std::io::Error::from(errno)
                ),
            )
        };
        let length = i64::try_from(size).map_err(|_| refused(Errno::EFBIG))?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let fd = memfd_create(c"toolpool", flags).map_err(refused)?;
        ftruncate(&fd, length).map_err(refused)?;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(size_seals())).map_err(refused)?;
        let segment = Self::map(id, &fd, size).map_err(refused)?;
        Ok((segment, fd))
    }

    /// Maps a segment that another process has created. Anything else is refused: a file could be cut short later.
    pub fn open(id: u32, fd: &OwnedFd, size: usize) -> Result<Self> {
        let refused = |why: &dyn std::fmt::Display| {
            Error::new(
                Status::OutOfMemory,
                format_args!("cannot map {size} bytes that another process shares: {why}"),
            )
        };
        let seals = fcntl(fd, FcntlArg::F_GET_SEALS).map_err(|errno| refused(&errno))?;
        if !SealFlag::from_bits_truncate(seals).contains(size_seals()) {
            return Err(refused(&"its size is not sealed"));
        }
        let status = fstat(fd).map_err(|errno| refused(&errno))?;
        if u64::try_from(status.st_size) != Ok(size as u64) {
            return Err(refused(&format_args!("it has {}", status.st_size)));
        }
        Self::map(id, fd, size).map_err(|errno| refused(&errno))
    }

    fn map(id: u32, fd: impl AsFd, size: usize) -> nix::Result<Self> {
        let length = NonZeroUsize::new(size).ok_or(Errno::EINVAL)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self {
            id,
            start: start.cast(),
            size,
        })
    }

    /// Its number among the segments of its maker.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The address of its first byte.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// If the segment ends before.
    ///
    /// # Safety
    /// Nobody may read or write there meanwhile.
    pub unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.size && bytes.len() <= self.size - offset);
        // SAFETY: within the segment; the rest is required of the caller.
        unsafe {
            let to = self.start.add(offset).as_ptr();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// The bytes from `start` to `end`, or `None` if it has no such bytes.
    ///
    /// # Safety
    /// Nobody may write there while the result is in use.
    #[must_use]
    pub unsafe fn read(&self, start: usize, end: usize) -> Option<&[u8]> {
        let len = end.checked_sub(start).filter(|_| end <= self.size)?;
        // SAFETY: within the segment; the rest is required of the caller.
        Some(unsafe { std::slice::from_raw_parts(self.start.add(start).as_ptr(), len) })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this size, unmapped once, and whoever used it held it.
        let _ = unsafe { munmap(self.start.cast(), self.size) };
    }
}

fn size_seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

/// Where a process takes the memory of outputs that it writes for another.
#[derive(Default)]
pub struct SharedHeap {
    /// Those that blocks lie in, but for the current one.
    segments: Vec<Arc<Segment>>,
    /// The segment that small blocks are taken from, and how much of it is.
    current: Option<(Arc<Segment>, usize)>,
    /// Those that the other process has not been told of.
    fresh: Vec<Fresh>,
    created: u32,
}

/// A new segment, for the other process to open.
pub struct Fresh {
    /// Its number.
    pub id: u32,
    /// Bytes.
    pub size: usize,
    /// By which it is opened.
    pub fd: OwnedFd,
}

impl SharedHeap {
    /// A block of `capacity` bytes.
    pub fn block(&mut self, capacity: usize) -> Result<Block> {
        if capacity > SMALL {
            let segment = self.create(capacity)?;
            let block = Block::within(Arc::clone(&segment), 0, capacity);
            self.segments.push(segment);
            return Ok(block);
        }
        let (segment, used) = match self.current.take() {
            Some((segment, used)) if capacity <= segment.size() - used => (segment, used),
            full => {
                self.segments.extend(full.map(|(segment, _)| segment));
                (self.create(SEGMENT)?, 0)
            }
        };
        let block = Block::within(Arc::clone(&segment), used, capacity);
        let end = (used + capacity).next_multiple_of(ALIGN);
        self.current = Some((segment, end));
        Ok(block)
    }

    /// Takes small blocks from the beginning of their segment again, unless some lie in it here: the other process has
    /// let go of all.
    pub fn rewind(&mut self) {
        if let Some((segment, used)) = &mut self.current
            && Arc::get_mut(segment).is_some()
        {
            *used = 0;
        }
    }

    /// The segments that are new since the last call.
    pub fn fresh(&mut self) -> Vec<Fresh> {
        std::mem::take(&mut self.fresh)
    }

    /// The numbers of the segments that blocks to come may lie in, or blocks that were not handed over. Lets go of the
    /// others.
    pub fn live(&mut self) -> Vec<u32> {
        self.segments
            .retain_mut(|segment| Arc::get_mut(segment).is_none());
        let current = self.current.iter().map(|(segment, _)| segment);
        current
            .chain(&self.segments)
            .map(|segment| segment.id())
            .collect()
    }

    fn create(&mut self, size: usize) -> Result<Arc<Segment>> {
        let (segment, fd) = Segment::create(self.created, size)?;
        self.fresh.push(Fresh {
            id: self.created,
            size,
            fd,
        });
        self.created += 1;
        Ok(Arc::new(segment))
    }
}

/// The segments of another process's [`SharedHeap`] in which it still may hand over blocks.
#[derive(Default)]
pub struct Segments {
    by_id: HashMap<u32, Arc<Segment>>,
}

impl Segments {
    /// Opens one that the other process has told of.
    pub fn open(&mut self, id: u32, fd: &OwnedFd, size: usize) -> Result<()> {
        self.by_id
            .insert(id, Arc::new(Segment::open(id, fd, size)?));
        Ok(())
    }

    /// The segment of a number.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Arc<Segment>> {
        self.by_id.get(&id)
    }

    /// Forgets all others: their memory goes with the last result in them.
    pub fn keep(&mut self, live: &[u32]) {
        self.by_id.retain(|id, _| live.contains(id));
    }

    /// Whether no block lies in any.
    pub fn unused(&mut self) -> bool {
        self.by_id
            .values_mut()
            .all(|segment| Arc::get_mut(segment).is_some())
    }
}

#[cfg(test)]
#[cfg(not(miri))] // which has no memfd_create
mod tests {
    use super::*;

    #[test]
    fn what_one_mapping_writes_another_reads() {
        let (written, fd) = Segment::create(3, 5000).unwrap();
        let read = Segment::open(3, &fd, 5000).unwrap();
        // SAFETY: both mappings have 5,000 bytes.
        unsafe {
            written.start().add(4999).write(42);
            assert_eq!(read.start().add(4999).read(), 42);
        }
    }

    #[test]
    fn only_memory_of_sealed_and_told_size_is_mapped() {
        let (_, fd) = Segment::create(0, 4096).unwrap();
        assert!(ftruncate(&fd, 0).is_err(), "the size is sealed");
        let refusal = |fd: &OwnedFd, size| Segment::open(0, fd, size).err().unwrap().to_string();
        assert!(refusal(&fd, 8192).contains("it has 4096"));
        let unsealed = memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        assert!(refusal(&unsealed, 4096).contains("not sealed"));
        let file: OwnedFd = std::fs::File::open("/proc/self/exe").unwrap().into();
        assert!(Segment::open(0, &file, 4096).is_err());
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        let error = Segment::create(0, isize::MAX as usize).err().unwrap();
        assert_eq!(error.status(), Status::OutOfMemory);
    }

    #[test]
    fn small_blocks_share_a_segment_and_large_ones_have_their_own() {
        let mut heap = SharedHeap::default();
        let small = [heap.block(1).unwrap(), heap.block(100).unwrap()];
        let large = heap.block(SMALL + 1).unwrap();
        assert_eq!(heap.fresh().len(), 2);
        assert_eq!(
            small[0].place().map(|place| place.segment),
            small[1].place().map(|place| place.segment)
        );
        assert_eq!(small[1].place().map(|place| place.offset), Some(ALIGN));
        assert_eq!(heap.live().len(), 2);
        drop(large);
        assert_eq!(heap.live().len(), 1);
        for _ in 0..=SEGMENT / SMALL {
            drop(heap.block(SMALL).unwrap());
        }
        assert_eq!(
            heap.fresh().len(),
            1,
            "a full segment is followed by another"
        );
    }

    #[test]
    fn a_segment_is_used_anew_only_when_nothing_lies_in_it() {
        let mut heap = SharedHeap::default();
        let offset = |block: &Block| block.place().map(|place| place.offset);
        let first = heap.block(10).unwrap();
        heap.rewind();
        assert_eq!(offset(&heap.block(10).unwrap()), Some(ALIGN));
        drop(first);
        heap.rewind();
        assert_eq!(offset(&heap.block(10).unwrap()), Some(0));
    }
}
