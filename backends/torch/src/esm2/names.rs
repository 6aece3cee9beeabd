//! Names of tensors: fair-esm's and every form that transformers has written, brought to one.

/// The canonical name of the tensor `name`: transformers' for `EsmForMaskedLM`, without the leading `esm.`, layer norms
/// as `weight` and `bias`, one `rotary_embeddings.inv_freq`. None for tensors that the forward pass does not use.
pub fn canonical(name: &str) -> Option<String> {
    if name.ends_with("inv_freq") {
        return Some("rotary_embeddings.inv_freq".to_owned());
    }
    let name = name.strip_prefix("esm.").unwrap_or(name);
    let name = match name.strip_suffix(".gamma") {
        Some(stem) => format!("{stem}.weight"),
        None => match name.strip_suffix(".beta") {
            Some(stem) => format!("{stem}.bias"),
            None => name.to_owned(),
        },
    };
    if is_transformers(&name) {
        Some(name)
    } else {
        from_fair(&name)
    }
}

fn is_transformers(name: &str) -> bool {
    const PREFIXES: [&str; 6] = [
        "embeddings.word_embeddings.",
        "encoder.layer.",
        "encoder.emb_layer_norm_after.",
        "contact_head.regression.",
        "lm_head.dense.",
        "lm_head.layer_norm.",
    ];
    name == "lm_head.bias" || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// fair-esm's name in transformers' words, as `fair-esm/esm/model/esm2.py` and the conversion script of transformers
/// pair them.
fn from_fair(name: &str) -> Option<String> {
    const PREFIXES: [&str; 4] = ["model.", "encoder.", "sentence_encoder.", "decoder."];
    const LAYER_PARTS: [(&str, &str); 8] = [
        ("self_attn.q_proj", "attention.self.query"),
        ("self_attn.k_proj", "attention.self.key"),
        ("self_attn.v_proj", "attention.self.value"),
        ("self_attn.out_proj", "attention.output.dense"),
        ("self_attn_layer_norm", "attention.LayerNorm"),
        ("fc1", "intermediate.dense"),
        ("fc2", "output.dense"),
        ("final_layer_norm", "LayerNorm"),
    ];
    let mut name = name;
    for prefix in PREFIXES {
        name = name.strip_prefix(prefix).unwrap_or(name);
    }
    if is_transformers(name) {
        return Some(name.to_owned());
    }
    if name == "embed_tokens.weight" {
        return Some("embeddings.word_embeddings.weight".to_owned());
    }
    if name.starts_with("emb_layer_norm_after.") {
        return Some(format!("encoder.{name}"));
    }
    let (layer, rest) = name.strip_prefix("layers.")?.split_once('.')?;
    let (part, leaf) = rest.rsplit_once('.')?;
    let (_, known) = LAYER_PARTS.iter().find(|(fair, _)| *fair == part)?;
    Some(format!("encoder.layer.{layer}.{known}.{leaf}"))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn every_naming_in_use_gives_the_same_name() {
        for (names, expected) in [
            (
                vec![
                    "esm.encoder.layer.3.attention.LayerNorm.weight",
                    "esm.encoder.layer.3.attention.LayerNorm.gamma",
                    "encoder.layer.3.attention.LayerNorm.weight",
                    "layers.3.self_attn_layer_norm.weight",
                    "encoder.sentence_encoder.layers.3.self_attn_layer_norm.weight",
                ],
                "encoder.layer.3.attention.LayerNorm.weight",
            ),
            (
                vec![
                    "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq",
                    "esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq",
                    "esm.rotary_embeddings.inv_freq",
                    "layers.0.self_attn.rot_emb.inv_freq",
                ],
                "rotary_embeddings.inv_freq",
            ),
            (
                vec![
                    "esm.encoder.layer.11.LayerNorm.beta",
                    "layers.11.final_layer_norm.bias",
                ],
                "encoder.layer.11.LayerNorm.bias",
            ),
            (vec!["encoder.lm_head.bias", "lm_head.bias"], "lm_head.bias"),
            (
                vec!["encoder.sentence_encoder.embed_tokens.weight"],
                "embeddings.word_embeddings.weight",
            ),
            (
                vec!["encoder.layers.0.self_attn.q_proj.bias"],
                "encoder.layer.0.attention.self.query.bias",
            ),
        ] {
            for name in names {
                assert_eq!(canonical(name).as_deref(), Some(expected), "{name}");
            }
        }
    }

    #[test]
    fn tensors_without_a_part_in_the_forward_pass_are_left_out() {
        for name in [
            "pooler.dense.weight",
            "esm.embeddings.position_ids",
            "lm_head.decoder.weight",
            "lm_head.weight",
        ] {
            assert_eq!(canonical(name), None, "{name}");
        }
    }
}
