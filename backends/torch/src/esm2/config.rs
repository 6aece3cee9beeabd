//! The `config.json` of a transformers ESM-2 checkpoint.

use super::alphabet;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::path::Path;

/// The published keys that the forward pass depends on. Defaults are those of transformers' `EsmConfig`.
#[derive(Debug, Clone, Deserialize)]
struct Raw {
    model_type: Option<String>,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    layer_norm_eps: Option<f64>,
    position_embedding_type: Option<String>,
    rope_theta: Option<f64>,
    token_dropout: Option<bool>,
    emb_layer_norm_before: Option<bool>,
    is_folding_model: Option<bool>,
    is_decoder: Option<bool>,
    hidden_act: Option<String>,
}

/// The shape of an ESM-2 model and the constants of its forward pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Width d of a hidden state.
    pub hidden: usize,
    /// Number of transformer layers.
    pub layers: usize,
    /// Number of attention heads per layer.
    pub heads: usize,
    /// Width of the feed-forward layer (4·d in the published models).
    pub intermediate: usize,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
    /// Base of the rotary embedding, for checkpoints without `inv_freq`.
    pub rope_theta: f64,
    /// Whether embeddings are rescaled for masked tokens.
    pub token_dropout: bool,
}

impl Config {
    /// Width of one attention head.
    pub fn head_width(&self) -> usize {
        self.hidden / self.heads
    }

    /// Reads and checks `config.json` at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::Model(format!(
                "{} cannot be read ({e}); an ESM-2 checkpoint is a directory with config.json and model.safetensors",
                path.display()
            ))
        })?;
        Self::parse(&text).map_err(|e| Error::Model(format!("{}: {e}", path.display())))
    }

    /// Reads and checks the text of a `config.json`; an error is the reason alone.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let raw: Raw = serde_json::from_str(text)
            .map_err(|e| format!("not the config of an ESM-2 model ({e})"))?;
        refuse_other_models(&raw)?;
        for (key, value) in [
            ("hidden_size", raw.hidden_size),
            ("num_hidden_layers", raw.num_hidden_layers),
            ("num_attention_heads", raw.num_attention_heads),
            ("intermediate_size", raw.intermediate_size),
        ] {
            if value == 0 || value > 1 << 20 {
                return Err(format!("{key} is {value}, which no model can have"));
            }
        }
        if raw.vocab_size != alphabet::SIZE {
            return Err(format!(
                "vocab_size is {}, but ESM-2's alphabet has {} tokens",
                raw.vocab_size,
                alphabet::SIZE
            ));
        }
        if !raw.hidden_size.is_multiple_of(2 * raw.num_attention_heads) {
            return Err(format!(
                "hidden_size {} does not give {} heads of an even width",
                raw.hidden_size, raw.num_attention_heads
            ));
        }
        let layer_norm_eps = raw.layer_norm_eps.unwrap_or(1e-12);
        if !(0.0..1.0).contains(&layer_norm_eps) {
            return Err(format!(
                "layer_norm_eps is {layer_norm_eps}; it must be at least 0 and below 1"
            ));
        }
        let rope_theta = raw.rope_theta.unwrap_or(10_000.0);
        if !(rope_theta.is_finite() && rope_theta > 0.0) {
            return Err(format!("rope_theta is {rope_theta}; it must be positive"));
        }
        Ok(Config {
            hidden: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            intermediate: raw.intermediate_size,
            layer_norm_eps,
            rope_theta,
            token_dropout: raw.token_dropout.unwrap_or(false),
        })
    }
}

/// ESM-1b, ESM-1v, ESMFold and decoders share the model type `esm`, but not the forward pass.
fn refuse_other_models(raw: &Raw) -> std::result::Result<(), String> {
    match raw.model_type.as_deref() {
        Some("esm") => {}
        Some(other) => {
            return Err(format!(
                "model_type is {other:?}; this tool runs ESM-2 (model_type \"esm\")"
            ));
        }
        None => return Err("there is no model_type; ESM-2 checkpoints say \"esm\"".into()),
    }
    let positions = raw.position_embedding_type.as_deref().unwrap_or("absolute");
    if positions != "rotary" || raw.emb_layer_norm_before == Some(true) {
        return Err(format!(
            "this is an ESM-1b or ESM-1v model (position_embedding_type {positions:?}, emb_layer_norm_before {}), \
             which this tool does not run; use an ESM-2 checkpoint such as facebook/esm2_t33_650M_UR50D",
            raw.emb_layer_norm_before.unwrap_or(false)
        ));
    }
    if raw.is_folding_model == Some(true) {
        return Err(
            "this is an ESMFold model; use the ESM-2 checkpoint facebook/esm2_t36_3B_UR50D".into(),
        );
    }
    if raw.is_decoder == Some(true) {
        return Err("is_decoder is true; ESM-2 is an encoder".into());
    }
    match raw.hidden_act.as_deref() {
        None | Some("gelu") => Ok(()),
        Some(other) => Err(format!("hidden_act is {other:?}; ESM-2 uses \"gelu\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"model_type": "esm", "hidden_size": 320, "num_hidden_layers": 6, "num_attention_heads": 20,
        "intermediate_size": 1280, "vocab_size": 33, "layer_norm_eps": 1e-05, "position_embedding_type": "rotary",
        "token_dropout": true, "emb_layer_norm_before": false, "hidden_act": "gelu"}"#;

    fn reason(text: &str) -> String {
        Config::parse(text).expect_err("this config must be refused")
    }

    #[test]
    fn reads_the_published_8m_config() {
        let config = Config::parse(GOOD).unwrap();
        assert_eq!(
            (
                config.layers,
                config.hidden,
                config.heads,
                config.head_width()
            ),
            (6, 320, 20, 16)
        );
        assert_eq!(
            (
                config.layer_norm_eps,
                config.rope_theta,
                config.token_dropout
            ),
            (1e-5, 1e4, true)
        );
    }

    #[test]
    fn takes_the_class_defaults_of_transformers_for_absent_keys() {
        let config = Config::parse(&GOOD.replace(r#""layer_norm_eps": 1e-05, "#, "")).unwrap();
        assert_eq!(config.layer_norm_eps, 1e-12);
    }

    #[test]
    fn refuses_other_models_by_name() {
        assert!(reason(&GOOD.replace("rotary", "absolute")).contains("ESM-1b or ESM-1v"));
        assert!(
            reason(&GOOD.replace(r#"before": false"#, r#"before": true"#))
                .contains("ESM-1b or ESM-1v")
        );
        assert!(reason(&GOOD.replace(r#""esm""#, r#""bert""#)).contains("bert"));
        assert!(
            reason(&GOOD.replace(r#""esm","#, r#""esm", "is_folding_model": true,"#))
                .contains("ESMFold")
        );
    }

    #[test]
    fn refuses_shapes_that_make_no_model() {
        assert!(reason(&GOOD.replace("320", "321")).contains("321"));
        assert!(
            reason(&GOOD.replace(r#"heads": 20"#, r#"heads": 0"#))
                .contains("num_attention_heads is 0")
        );
        assert!(reason(&GOOD.replace("33", "34")).contains("34"));
        assert!(reason("{").contains("not the config"));
        assert!(reason("{}").contains("hidden_size"));
    }
}
