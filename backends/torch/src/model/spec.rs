//! Names of a package's inputs and outputs, from its call specification (torch.utils._pytree, protocol 1).

use crate::error::{Error, Result};
use serde::Deserialize;

/// A tree of containers; a leaf stands for a tensor and has no children.
#[derive(Deserialize)]
struct Node {
    #[serde(rename = "type")]
    class: Option<String>,
    /// JSON of its own: for a dict, the list of its keys.
    context: Option<String>,
    children_spec: Vec<Node>,
}

/// What a package is called with and what it returns.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

impl Spec {
    /// From two lines of JSON, of inputs and outputs.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &dyn std::fmt::Display| {
            Error::Model(format!(
                "the package's call specification is not understood: {why}"
            ))
        };
        let trees: Vec<(u32, Node)> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| bad(&e))?;
        let [(_, inputs), (_, outputs)] = &trees[..] else {
            return Err(bad(&"it has not two parts"));
        };
        let [arguments, keywords] = &inputs.children_spec[..] else {
            return Err(bad(&"its inputs are not a tuple and a dict"));
        };
        let mut spec = Spec {
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        arguments.name_leaves("", &mut spec.inputs);
        keywords.name_leaves("", &mut spec.inputs);
        outputs.name_leaves("", &mut spec.outputs);
        Ok(spec)
    }
}

impl Node {
    fn name_leaves(&self, path: &str, names: &mut Vec<String>) {
        if self.class.is_none() {
            let name = if path.is_empty() { "output" } else { path };
            names.push(name.to_owned());
            return;
        }
        let keys = self.keys();
        for (position, child) in self.children_spec.iter().enumerate() {
            let key = match keys.get(position) {
                Some(key) => key.clone(),
                None => position.to_string(),
            };
            let path = match path {
                "" => key,
                path => format!("{path}.{key}"),
            };
            child.name_leaves(&path, names);
        }
    }

    /// The names of the children, where the container gives them: dicts, and dataclasses as transformers' outputs are.
    fn keys(&self) -> Vec<String> {
        let context = self.context.as_deref().unwrap_or("");
        let keys: Vec<String> = serde_json::from_str(context).unwrap_or_default();
        match keys.len() == self.children_spec.len() {
            true => keys,
            false => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAF: &str = r#"{"type": null, "context": null, "children_spec": []}"#;

    fn parsed(keywords: &str, outputs: &str) -> Spec {
        let inputs = format!(
            r#"[1, {{"type": "builtins.tuple", "context": "null", "children_spec": [{{"type": "builtins.tuple",
            "context": "null", "children_spec": [{LEAF}, {LEAF}]}}, {keywords}]}}]"#
        );
        let one_line = format!("{}\n[1, {outputs}]", inputs.replace('\n', " "));
        Spec::parse(&one_line).unwrap()
    }

    #[test]
    fn positions_keys_and_what_is_nested_become_names() {
        let none = r#"{"type": "builtins.dict", "context": "[]", "children_spec": []}"#;
        assert_eq!(parsed(none, LEAF).outputs, ["output"]);
        let pair = format!(
            r#"{{"type": "builtins.tuple", "context": "null", "children_spec": [{LEAF}, {LEAF}]}}"#
        );
        assert_eq!(parsed(none, &pair).outputs, ["0", "1"]);
        let mask = format!(
            r#"{{"type": "builtins.dict", "context": "[\"mask\"]", "children_spec": [{LEAF}]}}"#
        );
        let nested = format!(
            r#"{{"type": "builtins.dict", "context": "[\"mean\", \"pair\"]", "children_spec": [{LEAF}, {pair}]}}"#
        );
        let spec = parsed(&mask, &nested);
        assert_eq!(spec.inputs, ["0", "1", "mask"]);
        assert_eq!(spec.outputs, ["mean", "pair.0", "pair.1"]);
    }

    #[test]
    fn what_is_no_specification_is_an_error() {
        for text in ["", "[]", "{}\n{}", "[1, null]\n[1, null]"] {
            assert!(Spec::parse(text).is_err(), "{text}");
        }
    }
}
