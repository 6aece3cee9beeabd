//! Compiles the C++ shim and keeps everything but `toolpool_*` out of the library's dynamic symbols.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=shim");
    compile_shim(&libtorch());
    // Dependencies export symbols of their own (tch's stream callbacks); they come from archives.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
}

/// The libtorch that torch-sys was built with: the parent of the folder that its build script reports.
fn libtorch() -> PathBuf {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let lib =
        std::env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys reports where libtorch is");
    let lib = PathBuf::from(lib);
    lib.parent().map(Path::to_owned).unwrap_or(lib)
}

fn compile_shim(libtorch: &Path) {
    let include = libtorch.join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(true)
        .flag(format!("-isystem{}", include.display()))
        .flag(format!(
            "-isystem{}",
            include.join("torch/csrc/api/include").display()
        ))
        .file("shim/cuda.cpp")
        .file("shim/model.cpp")
        .compile("toolpool_torch_shim");
}
