//! How `libtoolpool.so` is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");

    // Before 1.0, each minor version has an ABI of its own.
    let version =
        |part: &str| std::env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default();
    let soname = format!("libtoolpool.so.{}.{}", version("MAJOR"), version("MINOR"));
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    // Worker threads and their thread-locals may outlive a dlclose.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
