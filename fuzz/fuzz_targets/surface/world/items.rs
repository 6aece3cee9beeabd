//! Items: strings that are copied, and strings and tensors that are lent.

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};

use toolpool::ffi::items::*;
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, make};

use super::World;
use crate::choice::{COSTS, Choice, MOST, NAMES, pick, pick_mut, pointer, remove};
use crate::lend::{Loan, release};
use crate::results::empty_tensor;

pub(super) struct Items {
    pub(super) handle: *mut toolpool_items_t,
    pub(super) content: Vec<Vec<u8>>,
    /// Numbers of loans without `release`, which the caller may take back once the items are freed.
    pub(super) lent: Vec<usize>,
}

impl World<'_> {
    pub(super) fn copy_items(&mut self, p: &mut Choice) {
        if self.items.len() >= MOST {
            return;
        }
        let content = p.items();
        let pointers: Vec<*const c_char> = match p.digit() % 16 {
            14 => vec![null(); content.len()],
            15 => Vec::new(),
            _ => content.iter().map(|item| item.as_ptr().cast()).collect(),
        };
        let mut lengths: Vec<usize> = content.iter().map(Vec::len).collect();
        if p.rarely() && !lengths.is_empty() {
            lengths[0] = usize::MAX;
        }
        let strings = if pointers.is_empty() {
            null()
        } else {
            pointers.as_ptr()
        };
        let (_, items) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_items_from_strings(
                strings,
                lengths.as_ptr(),
                content.len(),
                out,
                err
            ))
        });
        self.items.extend(items.map(|handle| Items {
            handle,
            content,
            lent: Vec::new(),
        }));
    }

    pub(super) fn borrow_items(&mut self, p: &mut Choice) {
        if self.items.len() >= MOST {
            return;
        }
        let (loan, with_release, n) = loan(p, None);
        let (narrow, no_offsets) = (p.rarely(), p.rarely());
        let (data, user, call) = (loan.data(), loan.user(), release(with_release));
        let (out_is_null, err) = (p.rarely(), p.err());
        let (_, items) = make(err, out_is_null, |out, err| match (narrow, no_offsets) {
            (_, true) => c!(toolpool_items_borrow(data, null(), n, call, user, out, err)),
            (true, _) => c!(toolpool_items_borrow32(
                data,
                loan.narrow(),
                n,
                call,
                user,
                out,
                err
            )),
            _ => c!(toolpool_items_borrow(
                data,
                loan.wide(),
                n,
                call,
                user,
                out,
                err
            )),
        });
        let content = loan.items();
        if !(out_is_null || no_offsets || err == ErrArg::Taken || n > MOST * 16) {
            assert_eq!(items.is_some(), content.is_some());
        }
        let number = self.keep(loan, with_release, items.is_some(), null_mut(), p);
        self.items.extend(items.map(|handle| Items {
            handle,
            content: content.unwrap_or_default(),
            lent: if with_release {
                Vec::new()
            } else {
                vec![number]
            },
        }));
    }

    pub(super) fn add_field(&mut self, p: &mut Choice) {
        let choice = p.digit();
        let Some(items) = pick(&self.items, choice) else {
            return;
        };
        let (handle, len) = (items.handle, items.content.len());
        let (loan, with_release, n) = loan(p, Some(len));
        let name = pointer(NAMES[usize::from(p.digit()) % 8]);
        let status = check(p.err(), |err| {
            c!(toolpool_items_add_field(
                handle,
                name,
                loan.data(),
                loan.wide(),
                n,
                release(with_release),
                loan.user(),
                err
            ))
        });
        let number = self.keep(loan, with_release, status == TOOLPOOL_OK, handle, p);
        if status == TOOLPOOL_OK && !with_release {
            let items = pick_mut(&mut self.items, choice).expect("it was there above");
            items.lent.push(number);
        }
    }

    pub(super) fn lend_tensors(&mut self, p: &mut Choice) {
        if self.items.len() >= MOST {
            return;
        }
        let name = if p.rarely() { c"\xff" } else { c"input" };
        let (loan, with_release, n) = tensor_loan(p, None);
        let given = Tensors::over(&loan, p);
        let (out_is_null, err) = (p.rarely(), p.err());
        let (_, items) = make(err, out_is_null, |out, err| {
            c!(toolpool_items_from_tensors(
                name.as_ptr(),
                given.list.as_ptr(),
                n,
                release(with_release),
                loan.user(),
                out,
                err
            ))
        });
        let plain = !out_is_null && err != ErrArg::Taken && name == c"input" && n <= MOST * 16;
        assert!(!plain || items.is_some() == given.content.is_some());
        let number = self.keep(loan, with_release, items.is_some(), null_mut(), p);
        self.items.extend(items.map(|handle| Items {
            handle,
            content: given.content.unwrap_or_default(),
            lent: if with_release {
                Vec::new()
            } else {
                vec![number]
            },
        }));
    }

    pub(super) fn add_tensors(&mut self, p: &mut Choice) {
        let choice = p.digit();
        let Some(items) = pick(&self.items, choice) else {
            return;
        };
        let (handle, len) = (items.handle, items.content.len());
        let (loan, with_release, n) = tensor_loan(p, Some(len));
        let name = pointer(NAMES[usize::from(p.digit()) % 8]);
        let given = Tensors::over(&loan, p);
        let status = check(p.err(), |err| {
            c!(toolpool_items_add_tensors(
                handle,
                name,
                given.list.as_ptr(),
                n,
                release(with_release),
                loan.user(),
                err
            ))
        });
        assert!(status != TOOLPOOL_OK || given.content.is_some());
        let number = self.keep(loan, with_release, status == TOOLPOOL_OK, handle, p);
        if status == TOOLPOOL_OK && !with_release {
            let items = pick_mut(&mut self.items, choice).expect("it was there above");
            items.lent.push(number);
        }
    }

    /// Keeps a loan to the end, chained to items other than those it is of if the library has taken it.
    pub(super) fn keep(
        &mut self,
        mut loan: Box<Loan>,
        with_release: bool,
        taken: bool,
        of: *mut toolpool_items_t,
        p: &mut Choice,
    ) -> usize {
        if taken {
            let chain = with_release
                && p.rarely()
                && (self.items.last())
                    .is_some_and(|items| items.lent.is_empty() && items.handle != of);
            let chained = if chain { self.items.pop() } else { None };
            loan.take(chained.map_or(null_mut(), |items| items.handle));
        } else {
            loan.take_back();
        }
        self.loans.push((loan, with_release));
        self.loans.len() - 1
    }

    pub(super) fn set_costs(&mut self, p: &mut Choice) {
        let items = pick(&self.items, p.digit());
        let (handle, len) =
            items.map_or((null_mut(), 1), |items| (items.handle, items.content.len()));
        let mut costs: Vec<f64> = (0..len)
            .map(|_| COSTS[usize::from(p.digit()) % 8])
            .collect();
        if p.rarely() {
            costs.push(1.0);
        }
        check(p.err(), |err| {
            c!(toolpool_items_set_costs(
                handle,
                costs.as_ptr(),
                costs.len(),
                err
            ))
        });
    }

    pub(super) fn set_cost(&mut self, p: &mut Choice) {
        let items = pick(&self.items, p.digit());
        let (handle, len) =
            items.map_or((null_mut(), 1), |items| (items.handle, items.content.len()));
        let mut costs: Vec<f64> = (0..len)
            .map(|_| COSTS[usize::from(p.digit()) % 8])
            .collect();
        let callback = (!p.rarely()).then_some(cost_of as _);
        check(p.err(), |err| {
            c!(toolpool_items_set_cost(
                handle,
                callback,
                (&raw mut costs).cast(),
                err
            ))
        });
    }

    pub(super) fn free_items(&mut self, choice: u8) {
        if let Some(items) = remove(&mut self.items, choice) {
            assert_eq!(c!(toolpool_items_len(items.handle)), items.content.len());
            c!(toolpool_items_free(items.handle));
            for lent in items.lent {
                self.loans[lent].0.take_back();
            }
        }
    }
}

/// Memory to lend, whether with `release`, and the number of items to claim.
fn loan(p: &mut Choice, like: Option<usize>) -> (Box<Loan>, bool, usize) {
    let content = content(p, like);
    let offsets = p.rarely().then(|| {
        let mut offset = || i64::from(p.digit()) - 1;
        (0..=content.len()).map(|_| offset()).collect()
    });
    let loan = Loan::new(&content, offsets, p.rarely());
    let n = claim(p, content.len());
    (loan, !p.rarely(), n)
}

/// The same for tensors, which need no offsets.
fn tensor_loan(p: &mut Choice, like: Option<usize>) -> (Box<Loan>, bool, usize) {
    let content = content(p, like);
    let n = claim(p, content.len());
    (Loan::new(&content, None, false), !p.rarely(), n)
}

/// Items, mostly as many as others that they are to go with.
fn content(p: &mut Choice, like: Option<usize>) -> Vec<Vec<u8>> {
    let mut content = p.items();
    if let Some(len) = like.filter(|_| !p.rarely()) {
        content.resize(len, b"field".to_vec());
    }
    content
}

/// The true number, or rarely one that no memory has room for.
fn claim(p: &mut Choice, len: usize) -> usize {
    if p.rarely() {
        usize::MAX - usize::from(p.digit())
    } else {
        len
    }
}

unsafe extern "C" fn cost_of(user: *mut c_void, index: usize) -> f64 {
    // SAFETY: `set_cost` hands over its costs, and waits.
    let costs = unsafe { &*user.cast::<Vec<f64>>() };
    costs[index]
}

/// A tensor over each item of a loan, and what the library must make of them.
struct Tensors {
    list: Vec<toolpool_tensor_t>,
    /// What the tensors read, densely; `None` if the library must refuse one.
    content: Option<Vec<Vec<u8>>>,
    /// What the list's tensors point to.
    _strides: Vec<Box<[i64; 2]>>,
}

impl Tensors {
    fn over(loan: &Loan, p: &mut Choice) -> Self {
        let mut made = Self {
            list: Vec::new(),
            content: Some(Vec::new()),
            _strides: Vec::new(),
        };
        let mut data = loan.data().cast::<u8>();
        for item in loan.items().unwrap_or_default() {
            let dense = made.push(data, &item, p.digit());
            match (&mut made.content, dense) {
                (Some(content), Some(dense)) => content.push(dense),
                _ => made.content = None,
            }
            data = data.wrapping_add(item.len());
        }
        made
    }

    /// A tensor over the bytes of `item` at `data`, and its elements one after the other.
    fn push(&mut self, data: *const u8, item: &[u8], choice: u8) -> Option<Vec<u8>> {
        let (len, choice) = (item.len() as i64, choice % 16);
        let as_it_is = Some(item.to_vec());
        let (dtype, dims, strides, dense): (_, &[i64], _, _) = match choice {
            6 => (TOOLPOOL_UINT8, &[len, 1], None, as_it_is),
            7 => (
                TOOLPOOL_UINT8,
                &[3, len],
                Some([0, 1]),
                Some(item.repeat(3)),
            ),
            8 if len % 2 == 0 => {
                let even_first = (0..2).flat_map(|k| item.iter().skip(k).step_by(2).copied());
                (
                    TOOLPOOL_UINT8,
                    &[2, len / 2],
                    Some([1, 2]),
                    Some(even_first.collect()),
                )
            }
            9 if len % 2 == 0 => (TOOLPOOL_INT16, &[len / 2], None, as_it_is),
            10 if len % 4 == 0 => (TOOLPOOL_FLOAT32, &[len / 4], None, as_it_is),
            11 => (TOOLPOOL_UINT8, &[len + 1], None, None),
            12 => (TOOLPOOL_UINT8, &[-1], None, None),
            13 => (77, &[len], None, None),
            14 => (TOOLPOOL_INT16, &[i64::MAX, i64::MAX], None, None),
            15 => (TOOLPOOL_UINT8, &[2, len + 1], Some([i64::MAX, 1]), None),
            _ => (TOOLPOOL_UINT8, &[len], None, as_it_is),
        };
        let mut tensor = empty_tensor();
        (tensor.data, tensor.bytes, tensor.dtype) = (data.cast(), item.len(), dtype);
        tensor.ndim = dims.len() as i32;
        tensor.shape[..dims.len()].copy_from_slice(dims);
        if let Some(strides) = strides {
            let strides = Box::new(strides);
            tensor.strides = strides.as_ptr();
            self._strides.push(strides);
        }
        self.list.push(tensor);
        dense
    }
}
