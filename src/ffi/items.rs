use std::ffi::{c_char, c_void};
use std::sync::Arc;

use parking_lot::Mutex;
use toolpool_abi::{TOOLPOOL_OK, toolpool_error_t, toolpool_status_t, toolpool_tensor_t};

use super::tensor::given;
use super::{Handle, array, check_out, export, give, null, quietly, text, text_or_null};
use crate::callback::Inside;
use crate::error::{Error, Result, Status};
use crate::mem::{Field, Items, Offsets, Release};

/// The items of a batch: byte strings (sequences, files) or tensors, of one or more named fields each. Any thread may read them at
/// once; jobs keep what was set when they were submitted.
pub struct toolpool_items_t {
    _opaque: [u8; 0],
}

impl Handle for toolpool_items_t {
    type Inner = Mutex<Arc<Items>>;
    const NOUN: &'static str = "the items";
}

/// Gives borrowed memory back: called exactly once, on any thread, when no worker can read it any more, possibly after the
/// job has ended. Must not throw, and of toolpool's functions may call those that free handles only.
pub type toolpool_release_t = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// The name of the field that items are made with.
const FIRST: &str = "input";

/// The items behind a handle, as they are now.
///
/// # Safety
/// `items` is NULL or live.
pub(super) unsafe fn current(items: *const toolpool_items_t) -> Result<Arc<Items>> {
    // SAFETY: as required of the caller.
    let items = unsafe { toolpool_items_t::get(items) }?;
    Ok(Arc::clone(&items.lock()))
}

/// # Safety
/// `items` is NULL or live.
unsafe fn change(
    items: *mut toolpool_items_t,
    change: impl FnOnce(&mut Items) -> Result<()>,
) -> Result<toolpool_status_t> {
    // SAFETY: as required of the caller.
    let items = unsafe { toolpool_items_t::get(items) }?;
    let mut items = items.lock();
    change(Arc::make_mut(&mut items))?;
    Ok(TOOLPOOL_OK)
}

fn new_items(field: Field) -> *mut toolpool_items_t {
    toolpool_items_t::new(Mutex::new(Arc::new(Items::new(field))))
}

/// Makes items of strings, which are copied. Their one field is called `input`.
///
/// @param strings  `n` pointers
/// @param lengths  `n` lengths in bytes, or NULL if every string is NUL-terminated
/// @param out      receives the items; free them with toolpool_items_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_from_strings(
    strings: *const *const c_char,
    lengths: *const usize,
    n: usize,
    out: *mut *mut toolpool_items_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let strings = array(strings, n, "the array of strings")?;
            let lengths = if lengths.is_null() {
                None
            } else {
                Some(array(lengths, n, "the array of lengths")?)
            };
            let mut items = Vec::with_capacity(n);
            for (index, &string) in strings.iter().enumerate() {
                let item = match lengths {
                    Some(lengths) => array(string.cast::<u8>(), lengths[index], "the string")
                        .map_err(|error| error.at(index))?,
                    None if string.is_null() => return Err(null("the string").at(index)),
                    None => std::ffi::CStr::from_ptr(string).to_bytes(),
                };
                items.push(item);
            }
            let field = Field::copied(FIRST, items.into_iter())?;
            give(out, || new_items(field))
        })
    }
}

/// Makes items of one piece of memory and the offsets where each begins, as in Arrow's `large_string` and `large_binary`
/// arrays, with no copy: item `i` lies from `data[offsets[i]]` to `data[offsets[i + 1]]`. Their one field is
/// called `input`.
///
/// Data and offsets must not change until `release(user)` is called. Without `release`, they are lent: only
/// toolpool_run() takes such items, and they must stay until it returns. On failure `release` is not called.
///
/// @param data     the bytes; may be NULL if there are none
/// @param offsets  `n + 1` offsets in bytes, which never fall
/// @param release  called once when nothing reads the memory any more, or NULL
/// @param user     handed to `release`
/// @param out      receives the items; free them with toolpool_items_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_borrow(
    data: *const c_void,
    offsets: *const i64,
    n: usize,
    release: toolpool_release_t,
    user: *mut c_void,
    out: *mut *mut toolpool_items_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let field = borrow(
                FIRST,
                data,
                Offsets::Wide(offsets),
                offsets.is_null(),
                n,
                release,
                user,
            )?;
            give(out, || new_items(field))
        })
    }
}

/// toolpool_items_borrow() with offsets of 32 bits, as in Arrow's `string` and `binary` arrays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_borrow32(
    data: *const c_void,
    offsets: *const i32,
    n: usize,
    release: toolpool_release_t,
    user: *mut c_void,
    out: *mut *mut toolpool_items_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let field = borrow(
                FIRST,
                data,
                Offsets::Narrow(offsets),
                offsets.is_null(),
                n,
                release,
                user,
            )?;
            give(out, || new_items(field))
        })
    }
}

/// Adds a field to items, borrowed as in toolpool_items_borrow(): one more byte string for each of them. Duplicates are
/// items whose fields are all equal; costs and extents are judged by the first field.
///
/// @param name  NUL-terminated, copied; no other field of the items has it
/// @param n     how many items the field has: toolpool_items_len()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_add_field(
    items: *mut toolpool_items_t,
    name: *const c_char,
    data: *const c_void,
    offsets: *const i64,
    n: usize,
    release: toolpool_release_t,
    user: *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let name = text(name, "the field's name")?;
            change(items, |items| {
                items.check_new(name, n)?;
                items.add(borrow(
                    name,
                    data,
                    Offsets::Wide(offsets),
                    offsets.is_null(),
                    n,
                    release,
                    user,
                )?)
            })
        })
    }
}

/// # Safety
/// As the header says of toolpool_items_borrow().
unsafe fn borrow(
    name: &str,
    data: *const c_void,
    offsets: Offsets,
    no_offsets: bool,
    n: usize,
    release: toolpool_release_t,
    user: *mut c_void,
) -> Result<Field> {
    if no_offsets {
        return Err(null("the array of offsets"));
    }
    if n >= isize::MAX as usize / 8 {
        return Err(Error::new(
            Status::Argument,
            format_args!("{n} items are impossible"),
        ));
    }
    // SAFETY: the caller's words on `release`, `data` and `offsets`.
    unsafe {
        Field::borrowed(
            name,
            data.cast(),
            offsets,
            n,
            release.map(|release| Release::new(release, user)),
        )
    }
}

/// Makes items of tensors of the caller, one an item, of any types and shapes. Dense, row-major ones are read where they
/// lie; others are copied now. More inputs of the same items: toolpool_items_add_tensors().
///
/// The memory must not change until `release(user)` is called. Without `release`, it is lent: only toolpool_run() takes such
/// items, and it must stay until that returns. On failure `release` is not called.
///
/// A tensor whose shape and strides reach beyond its `bytes`, or that is not in the host's memory, is
/// ::TOOLPOOL_ERR_ARGUMENT, an error about its item. Items count as equal if bytes, types and shapes all are.
///
/// @param name     of the field, NUL-terminated, copied: the input of the model that it is for. NULL: its position among the
///                 fields, `0`
/// @param tensors  `n` tensors, which need not stay; each starts from TOOLPOOL_TENSOR_INIT
/// @param release  called once when nothing reads the memory any more, or NULL
/// @param user     handed to `release`
/// @param out      receives the items; free them with toolpool_items_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_from_tensors(
    name: *const c_char,
    tensors: *const toolpool_tensor_t,
    n: usize,
    release: toolpool_release_t,
    user: *mut c_void,
    out: *mut *mut toolpool_items_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let name = text_or_null(name, "the field's name")?.unwrap_or("0");
            let field = tensor_field(name, tensors, n, release, user)?;
            give(out, || new_items(field))
        })
    }
}

/// Adds a field of tensors to items, one more for each, as in toolpool_items_from_tensors(). Costs and extents are judged by
/// the first field, unless the tool looks at all.
///
/// @param name  no other field of the items has it; NULL: its position among the fields, `1`, `2` …
/// @param n     how many tensors there are: toolpool_items_len()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_add_tensors(
    items: *mut toolpool_items_t,
    name: *const c_char,
    tensors: *const toolpool_tensor_t,
    n: usize,
    release: toolpool_release_t,
    user: *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let name = text_or_null(name, "the field's name")?;
            change(items, |items| {
                let position = items.fields().len().to_string();
                let name = name.unwrap_or(&position);
                items.check_new(name, n)?;
                items.add(tensor_field(name, tensors, n, release, user)?)
            })
        })
    }
}

/// # Safety
/// As the header says of toolpool_items_from_tensors().
unsafe fn tensor_field(
    name: &str,
    tensors: *const toolpool_tensor_t,
    n: usize,
    release: toolpool_release_t,
    user: *mut c_void,
) -> Result<Field> {
    // SAFETY: the caller's words on the tensors, their memory and `release`.
    unsafe {
        let tensors = array(tensors, n, "the array of tensors")?;
        let given = tensors.iter().map(|tensor| given(tensor));
        let release = release.map(|release| Release::new(release, user));
        Field::tensors(name, given, release)
    }
}

/// Estimates what an item costs, in any unit; called by toolpool_items_set_cost() for one item after the other.
pub type toolpool_cost_t = Option<unsafe extern "C" fn(user: *mut c_void, index: usize) -> f64>;

/// toolpool_items_set_costs() with a function in place of an array: it is called for each item, and no more once this
/// returns. It must not use these items.
///
/// @param cost  returns the cost of item `index`
/// @param user  handed to `cost`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_set_cost(
    items: *mut toolpool_items_t,
    cost: toolpool_cost_t,
    user: *mut c_void,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let cost = cost.ok_or_else(|| null("the cost function"))?;
            let n = current(items)?.len();
            let costs: Vec<f64> = {
                let _inside = Inside::enter();
                (0..n).map(|index| cost(user, index)).collect()
            };
            change(items, |items| items.set_costs(&costs))
        })
    }
}

/// Sets what the items cost, in place of the tool's estimate: the largest run first. Any unit; zero and infinite costs are
/// fine, negative ones and NaN are not.
///
/// @param costs  `n` costs, copied
/// @param n      how many: toolpool_items_len()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_set_costs(
    items: *mut toolpool_items_t,
    costs: *const f64,
    n: usize,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let costs = array(costs, n, "the array of costs")?;
            change(items, |items| items.set_costs(costs))
        })
    }
}

/// How many items there are; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_len(items: *const toolpool_items_t) -> usize {
    quietly(0, || {
        // SAFETY: NULL or live, as the header says.
        unsafe { current(items) }.map_or(0, |items| items.len())
    })
}

/// Frees items. NULL is fine; jobs that use them go on. Borrowed memory is released when the last job lets go of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_items_free(items: *mut toolpool_items_t) {
    // SAFETY: NULL or items that are not used again, as the header says.
    quietly((), || drop(unsafe { toolpool_items_t::take(items) }));
}
