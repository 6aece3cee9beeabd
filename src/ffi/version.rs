use std::ffi::c_char;

use toolpool_abi::TOOLPOOL_ABI;

/// Version of this header: major. Versions below 1.0 may break the ABI with each minor version, which the SONAME tells.
pub const TOOLPOOL_VERSION_MAJOR: u32 = 0;
/// Version of this header: minor.
pub const TOOLPOOL_VERSION_MINOR: u32 = 1;
/// Version of this header: patch.
pub const TOOLPOOL_VERSION_PATCH: u32 = 0;

/// The version of the loaded library, as "0.1.0". Static memory; any thread, any time.
#[unsafe(no_mangle)]
pub extern "C" fn toolpool_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The version of the tables in the loaded library: equal to ::TOOLPOOL_ABI if this header fits it.
#[unsafe(no_mangle)]
pub extern "C" fn toolpool_abi() -> u32 {
    TOOLPOOL_ABI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macros_are_the_version_of_the_crate() {
        let macros =
            format!("{TOOLPOOL_VERSION_MAJOR}.{TOOLPOOL_VERSION_MINOR}.{TOOLPOOL_VERSION_PATCH}");
        assert_eq!(macros, env!("CARGO_PKG_VERSION"));
    }
}
