//! The tools that toolpool brings, and how one is opened by kind, source and options.

mod echo;
mod foreign;
mod library;
mod libtorch;

use std::path::Path;
use std::sync::Arc;

use toolpool_abi::toolpool_host_t;

pub use echo::Echo;
pub use foreign::{ForeignTool, describe, user_of};
use library::Entry;

use crate::error::{Error, Result, Status};
use crate::tool::Tool;

/// A kind of tool that can be opened by name.
struct Named {
    kind: &'static str,
    maker: Maker,
}

#[derive(Clone, Copy)]
enum Maker {
    Echo,
    /// The source is `FILE:SYMBOL` or `FILE:SYMBOL:SOURCE`.
    Library,
    /// A symbol of the torch backend.
    Torch(&'static str),
}

const KINDS: [Named; 3] = [
    Named {
        kind: "echo",
        maker: Maker::Echo,
    },
    Named {
        kind: "esm2",
        maker: Maker::Torch("toolpool_torch_esm2"),
    },
    Named {
        kind: "library",
        maker: Maker::Library,
    },
];

/// An opened tool whose options can still be changed: each change makes a new tool, and leaves jobs that were
/// submitted before with the old one.
pub struct Opened {
    name: String,
    made: Made,
    options: Vec<(String, String)>,
    tool: Arc<dyn Tool>,
}

/// What a change of options makes the tool anew from.
enum Made {
    Fixed,
    ByEntry { entry: Entry, source: String },
}

impl Opened {
    /// Opens the tool of a kind from its source, without options.
    pub fn open(kind: &str, source: &str, host: &'static toolpool_host_t) -> Result<Self> {
        let named = KINDS
            .iter()
            .find(|named| named.kind == kind)
            .ok_or_else(|| {
                let known = KINDS.map(|named| named.kind).join(", ");
                Error::new(
                    Status::Tool,
                    format_args!("there is no kind of tool '{kind}'; there are {known}"),
                )
            })?;
        match named.maker {
            Maker::Echo if source.is_empty() => Ok(Self::fixed(kind, Echo::new())),
            Maker::Echo => Err(Error::new(
                Status::Tool,
                format_args!(
                    "the tool 'echo' has no source, so '{source}' means nothing to it; pass NULL"
                ),
            )),
            Maker::Library => {
                let (path, symbol, source) = split_library(source)?;
                // SAFETY: who names a library and a symbol in it vouches for them, as the C surface says.
                let entry = unsafe { Entry::open(path, symbol, host)? };
                Self::by_entry(symbol, entry, source)
            }
            Maker::Torch(symbol) => {
                libtorch::ensure()?;
                // SAFETY: the backend is ours, and the libtorch that it was built for is loaded.
                let entry = unsafe { Entry::open(&libtorch::backend_path()?, symbol, host)? };
                Self::by_entry(kind, entry, source)
            }
        }
    }

    /// A tool made of C functions, which has no options.
    #[must_use]
    pub fn fixed(name: &str, tool: impl Tool) -> Self {
        Self {
            name: name.to_owned(),
            made: Made::Fixed,
            options: Vec::new(),
            tool: Arc::new(tool),
        }
    }

    fn by_entry(name: &str, entry: Entry, source: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            tool: Arc::new(entry.tool(name, source, &[])?),
            made: Made::ByEntry {
                entry,
                source: source.to_owned(),
            },
            options: Vec::new(),
        })
    }

    /// Sets an option; on an error the tool stays as it was.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let Made::ByEntry { entry, source } = &self.made else {
            return Err(Error::new(
                Status::Option,
                format_args!(
                    "the tool '{}' has no option '{key}'; it has none at all",
                    self.name
                ),
            ));
        };
        let mut options = self.options.clone();
        options.retain(|(known, _)| known != key);
        options.push((key.to_owned(), value.to_owned()));
        self.tool = Arc::new(entry.tool(&self.name, source, &options)?);
        self.options = options;
        Ok(())
    }

    /// The tool with the options as they are now.
    #[must_use]
    pub fn tool(&self) -> Arc<dyn Tool> {
        Arc::clone(&self.tool)
    }
}

/// `FILE:SYMBOL` or `FILE:SYMBOL:SOURCE`.
fn split_library(source: &str) -> Result<(&Path, &str, &str)> {
    let mut parts = source.splitn(3, ':');
    match (parts.next(), parts.next()) {
        (Some(path), Some(symbol)) if !path.is_empty() && !symbol.is_empty() => {
            Ok((Path::new(path), symbol, parts.next().unwrap_or("")))
        }
        _ => Err(Error::new(
            Status::Tool,
            format_args!(
                "'{source}' names no tool in a library; write it as \"libmine.so:mytool\""
            ),
        )),
    }
}
