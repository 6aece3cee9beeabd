//! A matrix that the threads of one worker fill together, each its own rows.

use crate::error::Result;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Rows × columns numbers in single precision, row by row, as a tensor of libtorch and as slices.
pub struct Matrix {
    tensor: Tensor,
    data: *mut f32,
    rows: usize,
    columns: usize,
}

// SAFETY: the tensor is on the CPU and owned by this value. Through a shared reference it is only narrowed, which
// reads its sizes and counts references atomically; the memory is reached through `slice` and the views of `rows`,
// whose callers see to it that no two threads touch the same rows.
unsafe impl Send for Matrix {}
// SAFETY: as above.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// A matrix of undefined contents, with `slack` readable numbers behind its last row.
    pub fn new(rows: usize, columns: usize, slack: usize) -> Result<Self> {
        let memory = Tensor::f_zeros(
            [(rows * columns + slack) as i64],
            (Kind::Float, Device::Cpu),
        )?;
        let tensor = memory
            .f_narrow(0, 0, (rows * columns) as i64)?
            .f_view([rows as i64, columns as i64])?;
        let data = tensor.data_ptr().cast();
        Ok(Matrix {
            tensor,
            data,
            rows,
            columns,
        })
    }

    /// Makes room for `rows` rows; contents are lost where there was none.
    pub fn reserve(&mut self, rows: usize, slack: usize) -> Result<()> {
        if self.rows < rows {
            *self = Matrix::new(rows.next_multiple_of(256), self.columns, slack)?;
        }
        Ok(())
    }

    /// The given rows as a tensor that shares this memory.
    pub fn rows(&self, rows: Range<usize>) -> Result<Tensor> {
        Ok(self
            .tensor
            .f_narrow(0, rows.start as i64, rows.len() as i64)?)
    }

    /// The given rows as numbers.
    ///
    /// # Safety
    /// While the slice lives, nothing else reads or writes these rows.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, rows: Range<usize>) -> &mut [f32] {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        // SAFETY: in bounds; exclusive by the contract above.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.data.add(rows.start * self.columns),
                rows.len() * self.columns,
            )
        }
    }

    /// First number of row `row`.
    pub fn row(&self, row: usize) -> *mut f32 {
        assert!(row < self.rows);
        self.data.wrapping_add(row * self.columns)
    }
}
