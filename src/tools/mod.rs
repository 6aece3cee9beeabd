//! The tools that toolpool brings, and how one is opened by kind, source and options.

mod beside;
mod echo;
mod foreign;
mod library;
pub mod libtorch;
mod process;
mod queued;

use std::ffi::c_void;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::Arc;

use toolpool_abi::toolpool_host_t;

pub use echo::Echo;
pub use foreign::{ForeignTool, describe};
use library::Entry;
pub use process::serve;
use process::{Isolated, Recipe};
pub use queued::{Call, Calls, Next, Notify, QueuedTool, Request};

use crate::error::{Error, Result, Status};
use crate::tool::{Batch, Tool};

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

const KINDS: [Named; 6] = [
    Named {
        kind: "aoti",
        maker: Maker::Torch("toolpool_torch_aoti"),
    },
    Named {
        kind: "auto",
        maker: Maker::Torch("toolpool_torch_auto"),
    },
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
    Named {
        kind: "torchscript",
        maker: Maker::Torch("toolpool_torch_torchscript"),
    },
];

/// An opened tool whose options can still be changed: each change makes a new tool, and leaves jobs that were
/// submitted before with the old one.
pub struct Opened {
    name: String,
    made: Made,
    /// As whoever opened it named it; `None` if there is no name for it, and no other process can open it.
    recipe: Option<Recipe>,
    /// Whether it is loaded and run in processes of its own.
    isolated: bool,
    tool: Arc<dyn Tool>,
}

/// What a change of options makes the tool anew from.
enum Made {
    Fixed(Arc<dyn Tool>),
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
            Maker::Echo if source.is_empty() => Ok(Self {
                recipe: Some(recipe(kind, source)),
                ..Self::fixed(kind, Echo::new())
            }),
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
                // Where it was found: another process may look elsewhere for a name without a path.
                let file = entry.file().unwrap_or_else(|| path.to_owned());
                let found = format!("{}:{symbol}:{source}", file.display());
                Self::by_entry(symbol, entry, source, recipe(kind, &found))
            }
            Maker::Torch(symbol) => {
                libtorch::ensure()?;
                // SAFETY: the backend is ours, and the libtorch that it was built for is loaded.
                let entry = unsafe { Entry::open(&libtorch::backend_path()?, symbol, host)? };
                Self::by_entry(kind, entry, source, recipe(kind, source))
            }
        }
    }

    /// A tool made of C functions, which has no options.
    #[must_use]
    pub fn fixed(name: &str, tool: impl Tool) -> Self {
        let tool: Arc<dyn Tool> = Arc::new(tool);
        Self {
            name: name.to_owned(),
            made: Made::Fixed(Arc::clone(&tool)),
            recipe: None,
            isolated: false,
            tool,
        }
    }

    fn by_entry(name: &str, entry: Entry, source: &str, recipe: Recipe) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            tool: Arc::new(entry.tool(name, source, &[])?),
            made: Made::ByEntry {
                entry,
                source: source.to_owned(),
            },
            recipe: Some(recipe),
            isolated: false,
        })
    }

    /// Sets an option; on an error the tool stays as it was.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if key == "isolation" {
            return self.isolate(value);
        }
        let (Made::ByEntry { .. }, Some(recipe)) = (&self.made, &self.recipe) else {
            return Err(Error::new(
                Status::Option,
                format_args!(
                    "the tool '{}' has no option '{key}'; it has isolation alone",
                    self.name
                ),
            ));
        };
        let mut recipe = recipe.clone();
        recipe.options.retain(|(known, _)| known != key);
        recipe.options.push((key.to_owned(), value.to_owned()));
        self.make(Some(recipe), self.isolated)
    }

    fn isolate(&mut self, value: &str) -> Result<()> {
        let isolated = match value {
            "process" => true,
            "none" => false,
            _ => {
                return Err(Error::new(
                    Status::Option,
                    format_args!("isolation is 'process' or 'none', not '{value}'"),
                ));
            }
        };
        if isolated && self.recipe.is_none() {
            return Err(Error::new(
                Status::Option,
                format_args!(
                    "the tool '{}' is made of functions of this program, which no other process has; only a tool that \
                     can be opened by name can be isolated: put the functions into a library (kind 'library')",
                    self.name
                ),
            ));
        }
        self.make(self.recipe.clone(), isolated)
    }

    /// Makes the tool anew from what it is now to be.
    fn make(&mut self, recipe: Option<Recipe>, isolated: bool) -> Result<()> {
        let options = recipe.as_ref().map_or(&[][..], |recipe| &recipe.options);
        let plain: Arc<dyn Tool> = match &self.made {
            Made::Fixed(tool) => Arc::clone(tool),
            Made::ByEntry { entry, source } => Arc::new(entry.tool(&self.name, source, options)?),
        };
        self.tool = match &recipe {
            Some(recipe) if isolated => Arc::new(Isolated::new(plain, recipe.clone())?),
            _ => plain,
        };
        self.recipe = recipe;
        self.isolated = isolated;
        Ok(())
    }

    /// The tool with the options as they are now.
    #[must_use]
    pub fn tool(&self) -> Arc<dyn Tool> {
        Arc::clone(&self.tool)
    }
}

/// The user pointer of the tool that a batch belongs to; NULL for tools that have none.
#[must_use]
pub fn user_of(batch: &Batch) -> *mut c_void {
    let tool: &dyn std::any::Any = batch.tool();
    let foreign = tool.downcast_ref::<ForeignTool>().map(ForeignTool::user);
    let queued = || tool.downcast_ref::<QueuedTool>().map(QueuedTool::user);
    foreign.or_else(queued).unwrap_or(null_mut())
}

/// What another process opens a tool from, as it has no options yet.
fn recipe(kind: &str, source: &str) -> Recipe {
    Recipe {
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: Vec::new(),
        directory: std::env::current_dir().unwrap_or_default(),
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
