//! `include/toolpool.h` is what cbindgen makes of `abi` and `src/ffi`; with `TOOLPOOL_WRITE_HEADER=1` it is made so.

use std::path::Path;

fn generate(root: &Path) -> String {
    let sources = ["abi/src/lib.rs"]
        .into_iter()
        .map(String::from)
        .chain(ffi_files(root));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let builder = sources.fold(
        cbindgen::Builder::new().with_config(config),
        |builder, source| builder.with_src(root.join(source)),
    );
    let mut header = Vec::new();
    builder
        .generate()
        .expect("the sources parse")
        .write(&mut header);
    String::from_utf8(header).expect("UTF-8")
}

/// The files of `src/ffi` in the order in which a reader wants them.
fn ffi_files(root: &Path) -> impl Iterator<Item = String> {
    const ORDER: [&str; 16] = [
        "version", "error", "log", "device", "shell", "pool", "tool", "queue", "tensor", "items",
        "options", "job", "results", "report", "batch", "plan",
    ];
    let here = std::fs::read_dir(root.join("src/ffi"))
        .expect("src/ffi")
        .count();
    assert_eq!(
        here,
        ORDER.len() + 1,
        "a file of src/ffi is missing from the order of the header"
    );
    ORDER.into_iter().map(|name| format!("src/ffi/{name}.rs"))
}

#[test]
fn the_committed_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("include/toolpool.h");
    let generated = generate(root);
    if std::env::var_os("TOOLPOOL_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("include/toolpool.h is writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "include/toolpool.h differs from its sources; run `make header` and commit"
    );
}
