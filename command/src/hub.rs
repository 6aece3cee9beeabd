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
        let fetch = match is_id(source) {
            true => format!("fetch it once with `toolpool fetch {source}`"),
            false => "give the id of one that is, such as facebook/esm2_t6_8M_UR50D".to_owned(),
        };
        Error::usage(format!(
            "there is no model `{source}`: it is no directory, and not in the Hugging Face cache; {fetch}, or a directory \
             with config.json and model.safetensors"
        ))
    };
    if !is_id(source) {
        return Err(missing());
    }
    let folder = cache()?.join(format!("models--{}", source.replace('/', "--")));
    let revision = fs::read_to_string(folder.join("refs/main")).map_err(|_| missing())?;
    let snapshot = folder.join("snapshots").join(revision.trim());
    if snapshot.is_dir() {
        Ok(snapshot)
    } else {
        Err(missing())
    }
}

/// Whether a text may be the id of a model on the hub: two names of letters, digits, `-`, `_` and `.`, the last two of
/// which neither begin nor end one.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let ends = [name.bytes().next(), name.bytes().last()];
        let good = |end: Option<u8>| end.is_some_and(|byte| byte != b'-' && byte != b'.');
        name.bytes().all(plain) && ends.into_iter().all(good)
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_the_hub_has_an_owner_and_a_name() {
        assert!(is_id("facebook/esm2_t6_8M_UR50D"));
        for wrong in [
            "", "/", "a/", "/b", "a", "../x", "x/..", "a/b/c", "a /b", "a/b ", "a/.b", "-a/b",
            "a/b?",
        ] {
            assert!(!is_id(wrong), "{wrong}");
        }
    }
}
