use std::ffi::c_char;

use toolpool_abi::{TOOLPOOL_OK, toolpool_device_t, toolpool_error_t, toolpool_status_t};

use super::{Handle, check_out, check_size, export, give, quietly, text_or_null};
use crate::device;
use crate::error::{Error, Status};
use crate::tools::describe;

/// A list of devices. Immutable; any thread may read it.
pub struct toolpool_devices_t {
    _opaque: [u8; 0],
}

impl Handle for toolpool_devices_t {
    type Inner = Vec<toolpool_device_t>;
    const NOUN: &'static str = "the list of devices";
}

/// Lists the devices that a pool opened with `devices` would work on, a row for each slot; NULL lists every visible GPU
/// and then the CPU. CUDA is not touched: what is said of GPUs comes from the driver's management library.
///
/// @param devices  as in toolpool_open(), or NULL
/// @param out      receives the list; free it with toolpool_devices_free()
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_devices_list(
    devices: *const c_char,
    out: *mut *mut toolpool_devices_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            check_out(out)?;
            let inventory = device::visible();
            let list = match text_or_null(devices, "the device string")? {
                None => {
                    let all = inventory.gpus.iter().chain([&inventory.cpu]);
                    all.map(|device| describe(device, None)).collect()
                }
                Some(spec) => {
                    let slots = device::parse(Some(spec), &inventory)?;
                    slots
                        .iter()
                        .map(|slot| describe(&slot.device, Some(slot)))
                        .collect()
                }
            };
            give(out, || toolpool_devices_t::new(list))
        })
    }
}

/// How many devices are in a list; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_devices_len(devices: *const toolpool_devices_t) -> usize {
    // SAFETY: NULL or a live list, as the header says.
    unsafe { toolpool_devices_t::get(devices) }.map_or(0, Vec::len)
}

/// Copies one device of a list into `*device`, which starts from TOOLPOOL_DEVICE_INIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_devices_get(
    devices: *const toolpool_devices_t,
    index: usize,
    device: *mut toolpool_device_t,
    err: *mut *mut toolpool_error_t,
) -> toolpool_status_t {
    // SAFETY: the pointers are as the header says.
    unsafe {
        export(err, || {
            let devices = toolpool_devices_t::get(devices)?;
            check_size(device, "the device", "TOOLPOOL_DEVICE_INIT")?;
            let found = devices.get(index).ok_or_else(|| {
                Error::new(
                    Status::NotFound,
                    format_args!("there is no device {index}; the list has {}", devices.len()),
                )
            })?;
            device.write(*found);
            Ok(TOOLPOOL_OK)
        })
    }
}

/// Frees a list of devices. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn toolpool_devices_free(devices: *mut toolpool_devices_t) {
    // SAFETY: NULL or a list that is not used again, as the header says.
    quietly((), || drop(unsafe { toolpool_devices_t::take(devices) }));
}
