//! `isolation = process`: a tool in a child process gives what it gives here, and takes no more than itself along.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Once};
use std::thread;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use toolpool::device::{self, Slot};
use toolpool::error::{Error, Status};
use toolpool::ffi::batch::HOST;
use toolpool::mem::{Field, Items, Part};
use toolpool::pool::{JobOptions, Pool};
use toolpool::tool::{Batch, Loaded, Tool, Work};
use toolpool::tools::{Echo, Opened};

/// The tool `echo`, in a process of its own.
fn isolated_echo() -> Arc<dyn Tool> {
    static BESIDE: Once = Once::new();
    BESIDE.call_once(|| {
        if std::env::var_os("TOOLPOOL_BACKEND_DIR").is_some() {
            return;
        }
        let worker = Path::new(env!("CARGO_BIN_EXE_toolpool-worker"));
        // SAFETY: each test calls this first, and none reads the environment but through Rust's lock.
        unsafe { std::env::set_var("TOOLPOOL_BACKEND_DIR", worker.parent().unwrap()) };
    });
    let mut opened = Opened::open("echo", "", &HOST).unwrap();
    opened.set("isolation", "process").unwrap();
    opened.tool()
}

fn slots(devices: &str) -> Vec<Slot> {
    device::parse(Some(devices), &device::visible()).unwrap()
}

/// A tool in the one child of this thread.
struct Isolated {
    tool: Arc<dyn Tool>,
    loaded: Box<dyn Loaded>,
}

impl Isolated {
    fn load() -> Self {
        let tool = isolated_echo();
        let loaded = tool.load(&slots("cpu")[0], &|_| {}).unwrap();
        Self { tool, loaded }
    }

    fn work(&self, items: &[&[u8]]) -> Box<Work> {
        let field = Field::copied("input", items.iter().copied()).unwrap();
        let positions = (0..items.len() as u32).collect();
        Work::new(Batch::new(
            Arc::clone(&self.tool),
            Arc::new(Items::new(field)),
            positions,
        ))
    }

    fn run(&mut self, items: &[&[u8]]) -> Result<Part, Error> {
        let mut work = self.work(items);
        self.loaded.start(&mut work)?;
        self.loaded.collect(&mut work)?;
        work.outputs.finish()
    }

    /// The outcome of a batch that the child has, but can not begin, while `end` ends it.
    fn die(&mut self, end: impl FnOnce(Pid)) -> Error {
        let child = only_child();
        kill(child, Signal::SIGSTOP).unwrap();
        let mut work = self.work(&[b"item"]);
        self.loaded.start(&mut work).unwrap();
        end(child);
        self.loaded.collect(&mut work).unwrap_err()
    }
}

/// The processes that this thread started and nobody has waited for.
fn children() -> Vec<Pid> {
    let listed = fs::read_to_string("/proc/thread-self/children").unwrap();
    let pids = listed.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.map(Pid::from_raw).collect()
}

fn only_child() -> Pid {
    let children = children();
    assert_eq!(children.len(), 1);
    children[0]
}

fn bytes(part: &Part, row: usize) -> &[u8] {
    let view = part.view(row, "output").unwrap();
    // SAFETY: as many bytes as the shape says, as long as the part lives.
    unsafe { std::slice::from_raw_parts(view.data, view.shape.dims()[0] as usize) }
}

#[test]
fn a_pool_gives_the_same_with_and_without() {
    let inputs: Vec<Vec<u8>> = (0..3000_usize)
        .map(|i| vec![i as u8; i % 61 + i % 7])
        .collect();
    let run = |tool: Arc<dyn Tool>| {
        let pool = Pool::open(slots("cpu*2")).unwrap();
        let field = Field::copied("input", inputs.iter().map(Vec::as_slice)).unwrap();
        let items = Arc::new(Items::new(field));
        let job = pool.submit(tool, items, &JobOptions::default()).unwrap();
        assert!(job.wait(None));
        let results = job.results().unwrap().unwrap();
        let output = |i| {
            let view = results.view(i, "output").unwrap();
            // SAFETY: as many bytes as the shape says, as long as the results live.
            unsafe { std::slice::from_raw_parts(view.data, view.shape.dims()[0] as usize) }.to_vec()
        };
        (0..inputs.len()).map(output).collect::<Vec<_>>()
    };
    let isolated = run(isolated_echo());
    assert_eq!(isolated, inputs);
    assert_eq!(isolated, run(Arc::new(Echo::new())));
}

#[test]
fn outputs_of_many_sizes_stay_as_they_were_while_others_are_written() {
    let mut isolated = Isolated::load();
    let items: Vec<Vec<u8>> = (0..60).map(|i| vec![i; 1 << (i % 23)]).collect();
    let parts: Vec<Part> = items
        .iter()
        .map(|item| isolated.run(&[item, b"", item]).unwrap())
        .collect();
    for (item, part) in items.iter().zip(&parts) {
        assert!(bytes(part, 0) == item && bytes(part, 1).is_empty() && bytes(part, 2) == item);
    }
    drop(isolated);
    assert!(
        items
            .iter()
            .zip(&parts)
            .all(|(item, part)| bytes(part, 2) == item),
        "outputs outlive the process that wrote them"
    );
}

#[test]
fn a_large_output_is_the_memory_that_the_child_wrote() {
    let mut isolated = Isolated::load();
    let item = vec![7; 100 << 20];
    let before = anonymous_memory();
    let part = isolated.run(&[&item]).unwrap();
    assert!(bytes(&part, 0) == item);
    assert!(
        anonymous_memory() < before + (50 << 20),
        "no copy of it in memory of this process"
    );
    let address = bytes(&part, 0).as_ptr().addr();
    let mapping = mappings()
        .into_iter()
        .find(|mapping| mapping.range.contains(&address))
        .unwrap();
    assert!(mapping.file.contains("memfd:toolpool"), "{}", mapping.file);
    drop(part);
    assert!(
        mappings().iter().all(|other| other.file != mapping.file),
        "it is given back at once"
    );
}

/// Bytes of this process that are no file's and shared with none. Tests beside this one take some.
fn anonymous_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.unwrap().parse::<u64>().unwrap() << 10
}

struct Mapping {
    range: Range<usize>,
    /// Device, inode and name.
    file: String,
}

fn mappings() -> Vec<Mapping> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
    let mapping = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (start, end) = fields[0].split_once('-').unwrap();
        Mapping {
            range: number(start)..number(end),
            file: fields[3..].join(" "),
        }
    };
    maps.lines().map(mapping).collect()
}

#[test]
fn a_killed_child_costs_its_batch_and_is_replaced() {
    let mut isolated = Isolated::load();
    let error = isolated.die(|child| kill(child, Signal::SIGKILL).unwrap());
    assert_eq!(error.status(), Status::Crashed);
    let message = error.message();
    assert!(
        message.contains("process of echo") && message.contains("SIGKILL (signal 9)"),
        "{message}"
    );
    assert_eq!(children(), [], "it has been waited for");
    assert_eq!(bytes(&isolated.run(&[b"next"]).unwrap(), 0), b"next");
}

#[test]
fn a_child_that_dies_idle_is_replaced_without_blame() {
    let mut isolated = Isolated::load();
    isolated.run(&[b"first"]).unwrap();
    let first = only_child();
    kill(first, Signal::SIGABRT).unwrap();
    while fs::read_to_string(format!("/proc/{first}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    {
        thread::yield_now();
    }
    assert_eq!(bytes(&isolated.run(&[b"second"]).unwrap(), 0), b"second");
    assert_ne!(only_child(), first);
}

#[test]
fn the_killer_ends_a_call_under_way() {
    let mut isolated = Isolated::load();
    let killer = isolated.loaded.killer().unwrap();
    let error = isolated.die(|_| thread::spawn(move || killer()).join().unwrap());
    assert_eq!(error.status(), Status::Crashed);
    assert!(error.message().contains("ended in the middle"), "{error}");
    assert!(isolated.run(&[b"next"]).is_ok());
}

#[test]
fn a_child_ends_with_its_state_and_by_no_signal_meant_for_the_program() {
    SigSet::all().thread_block().unwrap(); // as workers do
    let mut isolated = Isolated::load();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        kill(only_child(), signal).unwrap();
    }
    let child = only_child();
    isolated.run(&[b"still there"]).unwrap();
    assert_eq!(only_child(), child);
    let blocked = fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    assert!(blocked.contains("SigBlk:\t0000000000000000"), "{blocked}");
    drop(isolated);
    assert_eq!(children(), []);
}

#[test]
fn a_child_has_no_file_of_the_program() {
    // SAFETY: opens a file that this test alone knows of; without O_CLOEXEC, as C programs do.
    let inherited = unsafe { libc::open(c"/etc/passwd".as_ptr(), libc::O_RDONLY) };
    let _isolated = Isolated::load();
    let files = fs::read_dir(format!("/proc/{}/fd", only_child())).unwrap();
    let names: Vec<_> = files
        .map(|file| fs::read_link(file.unwrap().path()).unwrap())
        .collect();
    assert!(
        !names.iter().any(|name| name == Path::new("/etc/passwd")),
        "{names:?}"
    );
    // SAFETY: opened above.
    unsafe { libc::close(inherited) };
}

#[test]
fn what_the_option_may_be_is_said() {
    let mut opened = Opened::open("echo", "", &HOST).unwrap();
    let refusal = |opened: &mut Opened, key, value| {
        let error = opened.set(key, value).unwrap_err();
        assert_eq!(error.status(), Status::Option);
        error.to_string()
    };
    assert!(refusal(&mut opened, "isolation", "thread").contains("'process' or 'none'"));
    assert!(refusal(&mut opened, "speed", "high").contains("isolation alone"));
    let mut fixed = Opened::fixed("mine", Echo::new());
    assert!(refusal(&mut fixed, "isolation", "process").contains("library"));
    fixed.set("isolation", "none").unwrap();
    assert_eq!(&**fixed.tool().identity().key(), "echo");
}
