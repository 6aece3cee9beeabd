//! Where the Hugging Face cache is, and what of a model lies in it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The cache that `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` or the home directory give, in that order, as for
/// `huggingface_hub` and toolpool's torch tools.
pub fn cache() -> Result<PathBuf> {
    let variable = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .ok_or_else(|| {
            Error::usage("the Hugging Face cache cannot be found: none of HF_HUB_CACHE, HF_HOME and HOME is set")
        })
}

/// The directory of a model: `source` itself, or the snapshot that the cache has of a hub id.
pub fn directory(source: &str) -> Result<PathBuf> {
    let path = Path::new(source);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let missing = || {
        Error::usage(format!(
            "there is no model {source}: it is no directory, and not in the Hugging Face cache; fetch it once with \
             `toolpool fetch {source}`, or give a directory with config.json and model.safetensors"
        ))
    };
    let folder = cache()?.join(format!("models--{}", source.replace('/', "--")));
    let revision = fs::read_to_string(folder.join("refs/main")).map_err(|_| missing())?;
    let snapshot = folder.join("snapshots").join(revision.trim());
    if snapshot.is_dir() {
        Ok(snapshot)
    } else {
        Err(missing())
    }
}
