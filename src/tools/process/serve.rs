//! What a child process does: it follows the orders of its worker until there are no more.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::dup2_stdin;
use parking_lot::Mutex;
use toolpool_abi::toolpool_host_t;

use super::inputs;
use super::link::{Link, Message};
use super::message::{Answer, Order, Recipe, Run, VERSION};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::mem::{Outputs, Segment, SharedHeap};
use crate::tool::{Batch, Loaded, Tool, Work, panic_error};
use crate::tools::Opened;
use crate::wire::Writer;

/// Serves the worker at the other end of the standard input, and returns when it needs no more.
///
/// # Errors
/// Where the standard input is not such a line, or it fails.
pub fn serve(host: &'static toolpool_host_t) -> io::Result<()> {
    let line = become_a_child()?;
    let mut server = Server {
        link: Link::new(line),
        host,
        tools: HashMap::new(),
        loaded: None,
        regions: HashMap::new(),
        heap: Arc::default(),
        flights: VecDeque::new(),
    };
    server.say(&Answer::Hello { version: VERSION })?;
    server.follow()
}

/// Leaves behind what a program gets from its parent and this one must not have.
fn become_a_child() -> io::Result<OwnedFd> {
    // A worker, which is a thread, that is gone needs no child; the end of its line is not seen inside a tool.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let line = io::stdin().as_fd().try_clone_to_owned()?;
    // What the program opened without O_CLOEXEC would stay open for as long as this process lives.
    close_all_after(&line)?;
    dup2_stdin(File::open("/dev/null")?)?;
    // A worker blocks signals, and a thread inherits that from its maker.
    SigSet::empty().thread_set_mask()?;
    // Meant for the program, which decides what becomes of its children.
    for meant_for_parent in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: ignoring a signal runs no code.
        unsafe { signal(meant_for_parent, SigHandler::SigIgn) }?;
    }
    Ok(line)
}

fn close_all_after(line: &OwnedFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let line = line.as_raw_fd();
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|&fd| fd > 2 && fd != line) {
        // SAFETY: nothing of this process has been opened before the line, but for the listing, which is closed.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

struct Server {
    link: Link,
    host: &'static toolpool_host_t,
    /// Those that are open, or why one could not be opened.
    tools: HashMap<u64, Result<Arc<dyn Tool>>>,
    loaded: Option<Box<dyn Loaded>>,
    regions: HashMap<u32, Arc<Segment>>,
    /// Where outputs are written.
    heap: Arc<Mutex<SharedHeap>>,
    /// Batches that are not answered, oldest first, and those that did not begin.
    flights: VecDeque<Result<Begun>>,
}

/// A batch that has begun. The items before the region that they lie in: that is the order in which they go.
struct Begun {
    work: Box<Work>,
    _region: Arc<Segment>,
}

impl Server {
    fn follow(&mut self) -> io::Result<()> {
        let mut ended = false;
        loop {
            let depth = self.loaded.as_ref().map_or(1, |loaded| loaded.depth());
            let idle = self.flights.is_empty();
            if idle && ended {
                break;
            }
            if !ended && (idle || self.flights.len() < depth && self.link.ready()) {
                match self.link.receive(|| false)? {
                    Some(message) => self.obey(message)?,
                    None => ended = true,
                }
            } else {
                self.answer_oldest()?;
            }
        }
        let loaded = self.loaded.take();
        guarded(|| {
            drop(loaded);
            Ok(())
        })
        .map_err(io::Error::other)
    }

    fn obey(&mut self, message: Message) -> io::Result<()> {
        let order = Order::take(&message.bytes);
        match (order, message.fd) {
            (Some(Order::Region { id, size }), Some(fd)) => {
                let region = Segment::open(id, &fd, size).map_err(io::Error::other)?;
                self.regions.insert(id, Arc::new(region));
            }
            (Some(Order::Open { tool, recipe }), None) => {
                let opened = guarded(|| open(&recipe, self.host));
                self.tools.insert(tool, opened);
            }
            (Some(Order::Forget { tool }), None) => {
                self.tools.remove(&tool);
            }
            (Some(Order::Load { tool, slot }), None) => match self.load(tool, &slot) {
                Ok((depth, memory)) => self.say(&Answer::Loaded { depth, memory })?,
                Err(error) => self.fail(error)?,
            },
            (Some(Order::Run(run)), None) => {
                let begun = self.begin(&run);
                self.flights.push_back(begun);
            }
            _ => return Err(io::Error::other("an order makes no sense")),
        }
        Ok(())
    }

    fn load(&mut self, tool: u64, slot: &Slot) -> Result<(usize, u64)> {
        let tool = self.tool(tool)?;
        let loaded = self.loaded.insert(guarded(|| tool.load(slot, &|_| {}))?);
        Ok((loaded.depth(), loaded.memory()))
    }

    fn begin(&mut self, run: &Run) -> Result<Begun> {
        let missing = |what| Error::new(Status::Internal, format_args!("a batch has no {what}"));
        let tool = self.tool(run.tool)?;
        let region = self.regions.get(&run.region).cloned();
        let region = region.ok_or_else(|| missing("region"))?;
        // SAFETY: the worker wrote it by `Layout::write` before the order, and leaves it until the answer.
        let items = unsafe { inputs::read(&region, run.table, run.items) };
        let items = items.ok_or_else(|| missing("fields"))??;
        if run.rewind {
            self.heap.lock().rewind();
        }
        let positions = (0..run.items as u32).collect();
        let mut work = Box::new(Work {
            batch: Batch::new(tool, Arc::new(items), positions),
            outputs: Outputs::shared(run.items, Arc::clone(&self.heap)),
        });
        let loaded = self.loaded.as_mut().ok_or_else(|| missing("loaded tool"))?;
        guarded(|| loaded.start(&mut work))?;
        Ok(Begun {
            work,
            _region: region,
        })
    }

    /// Ends the oldest batch and tells what came of it.
    fn answer_oldest(&mut self) -> io::Result<()> {
        let Some(begun) = self.flights.pop_front() else {
            return Ok(());
        };
        let (loaded, mut outputs) = (&mut self.loaded, Writer::default());
        let ended = begun.and_then(|mut begun| {
            if let Some(loaded) = loaded {
                guarded(|| loaded.collect(&mut begun.work))?;
            }
            begun.work.outputs.hand_over(&mut outputs)
        });
        match ended {
            Ok(()) => self.done(outputs.bytes()),
            Err(error) => self.fail(error),
        }
    }

    fn done(&mut self, outputs: &[u8]) -> io::Result<()> {
        self.tell_segments()?;
        let live = self.heap.lock().live();
        self.say(&Answer::Done { live, outputs })
    }

    fn fail(&mut self, error: Error) -> io::Result<()> {
        self.tell_segments()?;
        let live = self.heap.lock().live();
        self.say(&Answer::Failed { live, error })
    }

    fn tell_segments(&mut self) -> io::Result<()> {
        let fresh = self.heap.lock().fresh();
        for segment in fresh {
            let (id, size) = (segment.id, segment.size);
            let told = Answer::Segment { id, size };
            self.link
                .send(told.put().bytes(), Some(segment.fd.as_fd()))?;
        }
        Ok(())
    }

    fn say(&self, answer: &Answer) -> io::Result<()> {
        self.link.send(answer.put().bytes(), None)
    }

    fn tool(&self, tool: u64) -> Result<Arc<dyn Tool>> {
        self.tools.get(&tool).cloned().unwrap_or_else(|| {
            Err(Error::new(
                Status::Internal,
                "a tool was not opened in its process",
            ))
        })
    }
}

fn open(recipe: &Recipe, host: &'static toolpool_host_t) -> Result<Arc<dyn Tool>> {
    // Where the program was when it opened the tool; if that is gone, only relative paths miss it.
    let _ = std::env::set_current_dir(&recipe.directory);
    let mut opened = Opened::open(&recipe.kind, &recipe.source, host)?;
    for (key, value) in &recipe.options {
        opened.set(key, value)?;
    }
    Ok(opened.tool())
}

/// Runs tool code, whose panics are errors.
fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|panic| Err(panic_error("the isolated tool", &*panic)))
}
