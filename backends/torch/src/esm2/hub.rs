//! Where a model is: a directory, or a hub id in the local Hugging Face cache. Nothing is ever downloaded.

use crate::error::{Error, Result};
use std::env;
use std::path::{Path, PathBuf};

/// The checkpoint directory that `source` names, as a canonical path.
///
/// `source` is the path of a directory, or a hub id `organisation/name`, looked up in the cache that `HF_HUB_CACHE`,
/// `HF_HOME`, `XDG_CACHE_HOME` or the home directory give, in that order (as `huggingface_hub` does).
pub fn resolve(source: &str) -> Result<PathBuf> {
    if source.is_empty() {
        return Err(Error::Model(
            "no model is named; give a checkpoint directory or a hub id".into(),
        ));
    }
    let path = Path::new(source);
    if path.is_dir() {
        return canonical(path);
    }
    let is_pt = path.extension().is_some_and(|e| e == "pt");
    if path.exists() {
        return Err(Error::Model(match is_pt {
            true => explain_pt(source),
            false => format!(
                "{source} is a file; give the directory that holds config.json and model.safetensors"
            ),
        }));
    }
    match hub_id(source).filter(|_| !is_pt) {
        Some((organisation, name)) => cached(source, organisation, name),
        None => Err(Error::Model(format!(
            "{source} does not exist; give a checkpoint directory or a hub id such as facebook/esm2_t6_8M_UR50D"
        ))),
    }
}

fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(|e| Error::Model(format!("{} cannot be opened: {e}", path.display())))
}

/// fair-esm's files are Python pickles that hold Python classes, which libtorch does not read.
fn explain_pt(source: &str) -> String {
    let model = Path::new(source)
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or("esm2_t6_8M_UR50D");
    format!(
        "{source} is a .pt file. A TorchScript model is opened as the tool torchscript (or auto). A fair-esm checkpoint is a \
         Python pickle, which this library does not read: the same weights are on the Hugging Face hub as \
         facebook/{model}; or convert the file once in Python: \
         `import torch, safetensors.torch as st; m = torch.load(\"{source}\", weights_only=False)[\"model\"]; \
         st.save_file({{k: v.clone() for k, v in m.items()}}, \"DIR/model.safetensors\")` \
         (update m with the \"model\" of the -contact-regression.pt beside it for contacts), \
         with the config.json of facebook/{model} in DIR"
    )
}

/// Both halves of `organisation/name`, if `source` looks like a hub id.
fn hub_id(source: &str) -> Option<(&str, &str)> {
    let (organisation, name) = source.split_once('/')?;
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    (plain(organisation) && plain(name)).then_some((organisation, name))
}

fn cached(source: &str, organisation: &str, name: &str) -> Result<PathBuf> {
    let cache = cache_directory()?;
    let model = cache.join(format!("models--{organisation}--{name}"));
    let reference = model.join("refs").join("main");
    let missing = |what: &Path| {
        Error::Model(format!(
            "{source} is not in the Hugging Face cache ({} is not there); fetch it once with \
             `toolpool fetch {source}`, or give a checkpoint directory. \
             HF_HUB_CACHE and HF_HOME say where the cache is",
            what.display()
        ))
    };
    let revision = std::fs::read_to_string(&reference).map_err(|_| missing(&reference))?;
    let snapshot = model.join("snapshots").join(revision.trim());
    if !snapshot.is_dir() {
        return Err(missing(&snapshot));
    }
    canonical(&snapshot)
}

fn cache_directory() -> Result<PathBuf> {
    let variable = |key| {
        env::var_os(key)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let hub = variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("huggingface").join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")));
    hub.ok_or_else(|| {
        Error::Model(
            "the Hugging Face cache cannot be found: none of HF_HUB_CACHE, HF_HOME and HOME is set"
                .into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_have_one_slash_and_plain_halves() {
        assert_eq!(
            hub_id("facebook/esm2_t6_8M_UR50D"),
            Some(("facebook", "esm2_t6_8M_UR50D"))
        );
        for other in ["esm2", "a/b/c", "/a", "a/", "./a", "../a", "a b/c"] {
            assert_eq!(hub_id(other), None, "{other}");
        }
    }

    #[test]
    fn a_pickle_is_refused_with_the_way_to_convert_it() {
        let folder = tempfile::tempdir().unwrap();
        let pickle = folder.path().join("esm2_t6_8M_UR50D.pt");
        std::fs::write(&pickle, b"PK").unwrap();
        let message = resolve(pickle.to_str().unwrap()).unwrap_err().to_string();
        assert!(
            message.contains("facebook/esm2_t6_8M_UR50D") && message.contains("torch.load"),
            "{message}"
        );
    }

    #[test]
    fn an_absent_path_says_what_to_give() {
        for absent in ["/nowhere/at/all", "somewhere/esm2_t6_8M_UR50D.pt"] {
            let message = resolve(absent).unwrap_err().to_string();
            assert!(message.contains("does not exist"), "{message}");
        }
    }
}
