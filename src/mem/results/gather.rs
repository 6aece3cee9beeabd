//! Rows that lie anywhere, copied one after the other into one piece of memory, about as fast as if they lay together.
//!
//! A row of some kilobytes ends before the processor has noticed that it is read from front to back, so it waits for the
//! memory row by row. Hence several rows are copied at once, a cache line of each in turn: their reads wait together. What
//! is written goes past the caches, as `memcpy` does with large pieces, for a plain store would first read what it
//! overwrites (Intel's optimization manual, "Non-temporal stores"). `benches/stack.rs` measures it.

use std::ptr;

/// Copies `rows`, each of `row_bytes`, to `to`.
///
/// # Safety
/// Each row must be readable for `row_bytes`, and `to` writable for as many for each row; they must not overlap.
pub unsafe fn gather(rows: &[*const u8], row_bytes: usize, to: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    if rows.len() * row_bytes >= streamed::LARGE
        && row_bytes >= streamed::SHORTEST
        && is_x86_feature_detected!("avx")
    {
        // SAFETY: as required of the caller; the processor was asked.
        return unsafe { streamed::gather(rows, row_bytes, to) };
    }
    // SAFETY: as required of the caller.
    unsafe { one_by_one(rows, row_bytes, to) };
}

/// # Safety
/// As of [`gather`].
unsafe fn one_by_one(rows: &[*const u8], row_bytes: usize, to: *mut u8) {
    for (index, &row) in rows.iter().enumerate() {
        // SAFETY: as required of the caller.
        unsafe { ptr::copy_nonoverlapping(row, to.add(index * row_bytes), row_bytes) };
    }
}

#[cfg(target_arch = "x86_64")]
mod streamed {
    use std::arch::x86_64::{__m256i, _mm_sfence, _mm256_loadu_si256, _mm256_stream_si256};
    use std::array::from_fn;
    use std::ptr;

    /// From this many bytes on nothing of the result would be left in a cache anyway.
    pub const LARGE: usize = 16 << 20;
    /// Below, there would be little between a row's first whole line and its last.
    pub const SHORTEST: usize = 8 * LINE;
    /// What a processor reads and writes at once.
    const LINE: usize = 64;
    /// Rows copied at once: from 8 to 12 measured alike, fewer wait longer, more are too many open lines.
    const ROWS: usize = 10;

    /// # Safety
    /// As of [`super::gather`]; the processor must have AVX.
    #[target_feature(enable = "avx")]
    pub unsafe fn gather(rows: &[*const u8], row_bytes: usize, to: *mut u8) {
        let (groups, rest) = rows.as_chunks::<ROWS>();
        for (index, group) in groups.iter().enumerate() {
            // SAFETY: as required of the caller.
            unsafe { together(group, row_bytes, to.add(index * ROWS * row_bytes)) };
        }
        // SAFETY: as required of the caller.
        unsafe { super::one_by_one(rest, row_bytes, to.add(groups.len() * ROWS * row_bytes)) };
        _mm_sfence(); // makes the streamed stores visible to other threads in order, as plain ones are
    }

    /// # Safety
    /// As of [`gather`].
    #[target_feature(enable = "avx")]
    unsafe fn together(rows: &[*const u8; ROWS], row_bytes: usize, to: *mut u8) {
        // SAFETY: within the place of the rows.
        let places: [*mut u8; ROWS] = from_fn(|row| unsafe { to.add(row * row_bytes) });
        // A row's place begins and ends within a line that its neighbours share.
        let heads = places.map(|place| place.align_offset(LINE));
        let lines = heads
            .map(|head| (row_bytes - head) / LINE)
            .into_iter()
            .min()
            .unwrap_or(0);
        for (row, head) in heads.into_iter().enumerate() {
            let tail = head + lines * LINE;
            // SAFETY: within the row and its place.
            unsafe {
                ptr::copy_nonoverlapping(rows[row], places[row], head);
                ptr::copy_nonoverlapping(
                    rows[row].add(tail),
                    places[row].add(tail),
                    row_bytes - tail,
                );
            }
        }
        for line in 0..lines {
            for (row, head) in heads.into_iter().enumerate() {
                let at = head + line * LINE;
                // SAFETY: a whole line of the row and of its place, which is aligned from `head` on.
                unsafe { copy_line(rows[row].add(at).cast(), places[row].add(at).cast()) };
            }
        }
    }

    /// # Safety
    /// Both must be good for a line, and `to` aligned to it.
    #[target_feature(enable = "avx")]
    unsafe fn copy_line(from: *const __m256i, to: *mut __m256i) {
        // SAFETY: as required of the caller.
        unsafe {
            let halves = (_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1)));
            _mm256_stream_si256(to, halves.0);
            _mm256_stream_si256(to.add(1), halves.1);
        }
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
        for row_bytes in [16, 512, 519, 1280, 5120, 5136, 5000, 1 << 20] {
            for shift in [0, 4, 16] {
                compare(large / row_bytes + 1, row_bytes, shift);
            }
        }
    }
}
