//! `toolpool --version`.

use std::fmt::Write;

use toolpool::device;
use toolpool::tools::libtorch;

/// The versions of what is part of the work; finding them loads nothing.
#[must_use]
pub fn text() -> String {
    let mut text = format!("toolpool {}\n", env!("CARGO_PKG_VERSION"));
    match libtorch::find() {
        Some(found) => {
            let version = found.version.as_deref().unwrap_or("of unknown version");
            let _ = writeln!(text, "libtorch {version} ({})", found.directory.display());
            if let Some(cuda) = cuda(version) {
                let _ = writeln!(text, "CUDA {cuda}, as that libtorch was built for");
            }
        }
        None => text.push_str(
            "libtorch: not found (pip install torch, and name it in TOOLPOOL_LIBTORCH)\n",
        ),
    }
    if let Some(gpu) = device::visible().gpus.first() {
        let _ = writeln!(text, "NVIDIA driver {}", gpu.driver);
    }
    text
}

/// `13.0` of `2.11.0+cu130`.
fn cuda(version: &str) -> Option<String> {
    let digits = version.split_once("+cu")?.1;
    let (major, minor) = digits.split_at_checked(digits.len().checked_sub(1)?)?;
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (numeric(major) && numeric(minor)).then(|| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_is_read_from_the_version_of_libtorch() {
        assert_eq!(cuda("2.11.0+cu130").as_deref(), Some("13.0"));
        for none in [
            "2.11.0+cpu",
            "2.11.0",
            "2.11.0+cu",
            "2.11.0+cu1x",
            "2.11.0+cu1",
        ] {
            assert_eq!(cuda(none), None, "{none}");
        }
    }
}
