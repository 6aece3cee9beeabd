use toolpool_abi::{TOOLPOOL_OK, toolpool_error_t, toolpool_status_t};

use super::{array, check_out, export, null};
use crate::error::{Error, Result, Status};
use crate::plan::lpt::{SlotSpec, assign};

/// Assigns items to slots beforehand, longest first, each to the slot that would finish it first (LPT: R. L. Graham, SIAM
/// J. Appl. Math. 17, 1969). A pool needs no such plan, for its workers pull; this is for shards, for several machines, for
/// comparison.
///
/// Items of cost 0 and of infinite cost are spread by number; NaN and negative costs, and an item that no slot can take,
/// are ::TOOLPOOL_ERR_ARGUMENT, with the item's index.
///
/// @param costs      `n_items` costs, in any unit
/// @param weights    `n_slots` relative speeds above 0; NULL if all are equal
/// @param max_costs  `n_slots` largest costs that each slot can take; NULL for any
/// @param slot_of    receives the slot of each item
/// @param finish     receives when each slot is done, in cost / weight; or NULL
/// @param bound      receives the time below which no assignment can end; or NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_plan(
    costs: *const f64,
    n_items: usize,
    weights: *const f64,
    max_costs: *const f64,
    n_slots: usize,
    slot_of: *mut u32,
    finish: *mut f64,
    bound: *mut f64,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let costs = array(costs, n_items, "the array of costs")?;
            if n_items > 0 {
                check_out(slot_of).map_err(|_| null("slot_of"))?;
            }
            if n_items.max(n_slots) >= u32::MAX as usize {
                return Err(Error::new(
                    Status::Argument,
                    format_args!(
                        "{n_items} items on {n_slots} slots; at most {} of each are possible",
                        u32::MAX - 1
                    ),
                ));
            }
            let plan = assign(costs, &slots(weights, max_costs, n_slots)?)?;
            std::ptr::copy_nonoverlapping(
                plan.slot_of.as_ptr(),
                slot_of,
                if n_items > 0 { n_items } else { 0 },
            );
            if !finish.is_null() {
                std::ptr::copy_nonoverlapping(plan.finish.as_ptr(), finish, n_slots);
            }
            if !bound.is_null() {
                bound.write(plan.lower_bound);
            }
            Ok(TOOLPOOL_OK)
        })
    }
}

/// # Safety
/// Each array is NULL or has `n` elements.
unsafe fn slots(weights: *const f64, max_costs: *const f64, n: usize) -> Result<Vec<SlotSpec>> {
    // SAFETY: as required of the caller.
    let given = |values: *const f64, what: &str| unsafe {
        if values.is_null() {
            Ok(None)
        } else {
            array(values, n, what).map(Some)
        }
    };
    let weights = given(weights, "the array of weights")?;
    let max_costs = given(max_costs, "the array of largest costs")?;
    let slot = |slot: usize| SlotSpec {
        weight: weights.map_or(1.0, |weights| weights[slot]),
        max_cost: max_costs.map_or(f64::INFINITY, |max_costs| max_costs[slot]),
    };
    Ok((0..n).map(slot).collect())
}
