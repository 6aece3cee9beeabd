//! `toolpool fetch`: a model of the Hugging Face hub into its cache.

use std::env;
use std::path::Path;

use hf_hub::api::sync::{ApiBuilder, ApiError};

use crate::args::Fetch;
use crate::error::{Error, Result};
use crate::hub;
use crate::terminal::{self, Ending, Work};

/// Downloads the config and the weights of a model; what is there already is not downloaded again.
pub fn fetch(arguments: &Fetch) -> Result<Work<'_>> {
    let model = &arguments.model;
    let cache = hub::cache()?;
    Ok(Box::new(move || download(model, &cache)))
}

fn download(model: &str, cache: &Path) -> Result<Ending> {
    let failed = |error: ApiError| refusal(model, &error);
    let token = env::var("HF_TOKEN").ok().filter(|token| !token.is_empty());
    let mut builder = ApiBuilder::from_env().with_cache_dir(cache.to_owned());
    if token.is_some() {
        builder = builder.with_token(token);
    }
    let repository = builder.build().map_err(failed)?.model(model.to_owned());
    let files = repository.info().map_err(failed)?.siblings;
    let names: Vec<String> = files.into_iter().map(|file| file.rfilename).collect();
    let wanted = wanted(&names).ok_or_else(|| {
        Error::new(format!(
            "{model} has no safetensors, which is what toolpool reads; look for a model or a revision that has"
        ))
    })?;
    for name in wanted {
        repository.get(name).map_err(failed)?;
    }
    terminal::note(&format!("{model} is in {}", cache.display()));
    Ok(Ending::Whole)
}

/// The files that the tools read: descriptions and weights.
fn wanted(names: &[String]) -> Option<Vec<&str>> {
    let is_weights = |name: &&str| name.ends_with(".safetensors");
    let is_description = |name: &&str| !name.contains('/') && name.ends_with(".json");
    let names = || names.iter().map(String::as_str);
    let weights: Vec<&str> = names().filter(is_weights).collect();
    if weights.is_empty() {
        return None;
    }
    Some(names().filter(is_description).chain(weights).collect())
}

fn refusal(model: &str, error: &ApiError) -> Error {
    let endpoint = env::var("HF_ENDPOINT").unwrap_or_else(|_| "https://huggingface.co".to_owned());
    let status = match error {
        ApiError::RequestError(reason) => match **reason {
            ureq::Error::Status(status, _) => Some(status),
            ureq::Error::Transport(_) => None,
        },
        _ => None,
    };
    let way_out = match status {
        Some(404) => {
            "there is no such model; write its id as on the hub, such as facebook/esm2_t6_8M_UR50D"
        }
        Some(401 | 403) => "it is not open to everyone: set HF_TOKEN to a token that may read it",
        _ => {
            "this machine may have no way out to it: fetch on one that has, and copy the cache; or set HF_ENDPOINT to a mirror"
        }
    };
    Error::new(format!(
        "cannot fetch {model} from {endpoint}: {error}; {way_out}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_and_safetensors_are_wanted_and_pickles_are_not() {
        let names = [
            "config.json",
            "README.md",
            "pytorch_model.bin",
            "model.safetensors",
            "onnx/config.json",
        ];
        let names = names.map(str::to_owned);
        assert_eq!(
            wanted(&names),
            Some(vec!["config.json", "model.safetensors"])
        );
        assert_eq!(wanted(&names[..3]), None);
    }
}
