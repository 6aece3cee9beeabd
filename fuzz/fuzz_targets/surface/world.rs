//! The handles of a program, and the calls that it can make with them.

mod items;
mod jobs;
mod queues;

use std::ptr::null_mut;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use toolpool::ffi::device::*;
use toolpool::ffi::options::toolpool_options_t;
use toolpool::ffi::pool::*;
use toolpool::ffi::report::toolpool_report_t;
use toolpool::ffi::results::toolpool_results_t;
use toolpool::ffi::shell::toolpool_t;
use toolpool::ffi::tool::*;
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, make};

use self::items::Items;
use self::jobs::Job;
use self::queues::{Bell, Queue};
use crate::choice::{
    Choice, DEVICES, KINDS, MOST, NAMES, OPTIONS, POOL_OPTIONS, SOURCES, index, pick, pointer,
    remove, size, time,
};
use crate::lend::Loan;
use crate::loose;
use crate::results::read_all;
use crate::tool::{Choices, Tool};

/// The pools of a program. Closed ones stay: the header says that late calls are answered.
#[derive(Default)]
pub struct Pools(Mutex<Vec<usize>>);

impl Pools {
    fn pick(&self, choice: u8) -> *mut toolpool_t {
        let pools = self.0.lock().unwrap();
        let address = pools.get(usize::from(choice) % (pools.len() + 1));
        address.map_or(null_mut(), |&address| {
            std::ptr::with_exposed_provenance_mut(address)
        })
    }

    fn open(&self, devices: u8, out_is_null: bool, err: ErrArg) {
        let mut pools = self.0.lock().unwrap();
        if pools.len() < MOST {
            let devices = pointer(DEVICES[usize::from(devices) % 8]);
            let (_, pool) = make(err, out_is_null, |out, err| {
                c!(toolpool_open(devices, out, err))
            });
            pools.extend(pool.map(|pool: *mut toolpool_t| pool.expose_provenance()));
        }
    }

    fn open_with(&self, p: &mut Choice) {
        let mut pools = self.0.lock().unwrap();
        if pools.len() >= MOST {
            return;
        }
        let devices = pointer(DEVICES[usize::from(p.digit()) % 8]);
        let (n, out_is_null, err) = (p.digit() % 8, p.rarely(), p.err());
        let options: Vec<_> = (0..n)
            .map(|_| {
                let (key, value) = POOL_OPTIONS[usize::from(p.digit()) % 10];
                toolpool_option_t {
                    key: pointer(key),
                    value: pointer(value),
                }
            })
            .collect();
        let (_, pool) = make(err, out_is_null, |out, err| {
            c!(toolpool_open_with(
                devices,
                options.as_ptr(),
                options.len(),
                out,
                err
            ))
        });
        pools.extend(pool.map(|pool: *mut toolpool_t| pool.expose_provenance()));
    }

    pub fn close_all(&self) {
        for &pool in self.0.lock().unwrap().iter() {
            c!(toolpool_close(std::ptr::with_exposed_provenance_mut(pool)));
        }
    }
}

struct NamedTool {
    handle: *mut toolpool_tool_t,
    by_letter: bool,
    /// Its queue may be freed at any time, and all its items fail.
    queued: bool,
}

/// The handles of one thread. Each choice of a handle may also come to NULL.
pub struct World<'a> {
    pools: &'a Pools,
    tools: Vec<NamedTool>,
    items: Vec<Items>,
    options: Vec<*mut toolpool_options_t>,
    queues: Vec<Queue>,
    jobs: Vec<Job>,
    results: Vec<*mut toolpool_results_t>,
    devices: Vec<*mut toolpool_devices_t>,
    /// With the number of items of their jobs.
    reports: Vec<(*mut toolpool_report_t, u64)>,
    /// What the library knows by `user` pointers; kept to the end.
    loans: Vec<(Box<Loan>, bool)>,
    behaviours: Vec<Box<Tool>>,
    bells: Vec<Arc<Bell>>,
}

// SAFETY: any thread may use any handle, as the header says.
unsafe impl Send for World<'_> {}

impl<'a> World<'a> {
    pub fn new(pools: &'a Pools) -> Self {
        Self {
            pools,
            tools: Vec::new(),
            items: Vec::new(),
            options: Vec::new(),
            queues: Vec::new(),
            jobs: Vec::new(),
            results: Vec::new(),
            devices: Vec::new(),
            reports: Vec::new(),
            loans: Vec::new(),
            behaviours: Vec::new(),
            bells: Vec::new(),
        }
    }

    pub fn run(&mut self, program: &[u8]) {
        for word in program.split(u8::is_ascii_whitespace) {
            if let Some((&call, choices)) = word.split_first() {
                self.call(call, &mut Choice(choices.iter()));
            }
        }
    }

    /// The letters of programs.
    fn call(&mut self, call: u8, p: &mut Choice) {
        match call {
            b'o' => self.pools.open(p.digit(), p.rarely(), p.err()),
            b'u' => self.pools.open_with(p),
            b'c' => c!(toolpool_close(self.pools.pick(p.digit()))),
            b'd' => self.drain(p),
            b'w' => self.warm(p),
            b'S' => self.slots(p),
            b'l' => self.list_devices(p),
            b'g' => self.get_device(p),
            b'L' => self.free_devices(p.digit()),
            b'e' => self.open_tool(p),
            b't' => self.make_tool(p),
            b'z' => self.make_queue(p),
            b'X' => self.take_call(p),
            b'Z' => self.free_queue(p.digit()),
            b's' => self.set_tool(p),
            b'T' => self.free_tool(p.digit()),
            b'i' => self.copy_items(p),
            b'b' => self.borrow_items(p),
            b'a' => self.add_field(p),
            b'f' => self.lend_tensors(p),
            b'A' => self.add_tensors(p),
            b'k' => self.set_costs(p),
            b'K' => self.set_cost(p),
            b'I' => self.free_items(p.digit()),
            b'O' => self.new_options(p),
            b'q' => self.set_option(p),
            b'Q' => self.free_options(p.digit()),
            b'r' => self.run_job(p),
            b'j' => self.submit(p),
            b'n' => self.next(p),
            b'x' => self.take_results(p),
            b'W' => self.wait(p),
            b'p' => self.progress(p),
            b'm' => self.notify_job(p),
            b'C' => self.cancel(p),
            b'J' => self.free_job(p.digit()),
            b'y' => self.take_report(p),
            b'Y' => self.free_reports(),
            b'v' => self.view(p),
            b'R' => self.free_results(p.digit()),
            b'P' => loose::plan(p),
            b'E' => loose::set_error(p),
            b'G' => loose::set_log(p),
            b'N' => loose::call_all_with_null(),
            _ => {}
        }
    }

    fn drain(&mut self, p: &mut Choice) {
        let (pool, time) = (self.pools.pick(p.digit()), time(p));
        check(p.err(), |err| c!(toolpool_drain(pool, time, err)));
    }

    fn warm(&mut self, p: &mut Choice) {
        let (pool, tool) = (
            self.pools.pick(p.digit()),
            self.tool(p.digit()).map_or(null_mut(), |tool| tool.handle),
        );
        check(p.err(), |err| c!(toolpool_warm(pool, tool, err)));
    }

    fn slots(&mut self, p: &mut Choice) {
        let pool = self.pools.pick(p.digit());
        let (_, list) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_slots(pool, out, err))
        });
        self.devices.extend(list);
        self.limit_devices();
    }

    fn list_devices(&mut self, p: &mut Choice) {
        let spec = pointer(DEVICES[usize::from(p.digit()) % 8]);
        let (_, list) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_devices_list(spec, out, err))
        });
        self.devices.extend(list);
        self.limit_devices();
    }

    fn limit_devices(&mut self) {
        if self.devices.len() > MOST {
            self.free_devices(0);
        }
    }

    fn get_device(&mut self, p: &mut Choice) {
        let list = *pick(&self.devices, p.digit()).unwrap_or(&null_mut());
        let index = index(p);
        // SAFETY: zeros are a device of no name.
        let mut device: toolpool_device_t = unsafe { std::mem::zeroed() };
        device.size = size::<toolpool_device_t>(p);
        device.threads = -1;
        let status = check(p.err(), |err| {
            c!(toolpool_devices_get(list, index, &raw mut device, err))
        });
        assert_eq!(status == TOOLPOOL_OK, device.threads >= 1);
        assert!(status != TOOLPOOL_OK || index < c!(toolpool_devices_len(list)));
    }

    fn free_devices(&mut self, choice: u8) {
        c!(toolpool_devices_free(
            remove(&mut self.devices, choice).unwrap_or(null_mut())
        ));
    }

    fn open_tool(&mut self, p: &mut Choice) {
        if self.tools.len() >= MOST {
            return;
        }
        let kind = pointer(KINDS[usize::from(p.digit()) % 6]);
        let source = pointer(SOURCES[usize::from(p.digit()) % 8]);
        let (_, tool) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_tool_open(kind, source, out, err))
        });
        self.tools.extend(tool.map(|handle| NamedTool {
            handle,
            by_letter: false,
            queued: false,
        }));
    }

    fn make_tool(&mut self, p: &mut Choice) {
        if self.tools.len() >= MOST {
            return;
        }
        let choices = Choices {
            engine: p.digit(),
            load: p.digit(),
            cost: p.digit(),
            limits: p.digit(),
            identity: p.digit(),
            size: p.digit(),
        };
        let chained = if p.rarely() && choices.has_destroy() {
            remove(&mut self.tools, 0)
        } else {
            None
        };
        let chained = chained.map_or(null_mut(), |tool| tool.handle);
        let tool = Tool::new(choices, self.pools.pick(p.digit()), chained);
        let table = tool.table();
        let name = pointer(NAMES[usize::from(p.digit()) % 8]);
        let (_, made) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_tool_from_callbacks(
                name,
                table.callbacks(),
                tool.user(),
                out,
                err
            ))
        });
        if made.is_some() {
            tool.made();
        } else {
            c!(toolpool_tool_free(tool.unchain()));
        }
        self.behaviours.push(tool);
        self.tools.extend(made.map(|handle| NamedTool {
            handle,
            by_letter: true,
            queued: false,
        }));
    }

    /// No tool here has options.
    fn set_tool(&mut self, p: &mut Choice) {
        let tool = self.tool(p.digit()).map_or(null_mut(), |tool| tool.handle);
        let (key, value) = OPTIONS[usize::from(p.digit()) % 20];
        let status = check(p.err(), |err| {
            c!(toolpool_tool_set(tool, pointer(key), pointer(value), err))
        });
        assert!([TOOLPOOL_ERR_OPTION, TOOLPOOL_ERR_ARGUMENT].contains(&status));
    }

    fn free_tool(&mut self, choice: u8) {
        let tool = remove(&mut self.tools, choice).map_or(null_mut(), |tool| tool.handle);
        c!(toolpool_tool_free(tool));
    }

    fn tool(&self, choice: u8) -> Option<&NamedTool> {
        pick(&self.tools, choice)
    }

    /// Frees what the program has left.
    pub fn free_all(&mut self) {
        while !self.jobs.is_empty() {
            self.free_job(0);
        }
        while !self.tools.is_empty() {
            self.free_tool(0);
        }
        while !self.items.is_empty() {
            self.free_items(0);
        }
        while !self.options.is_empty() {
            self.free_options(0);
        }
        while !self.devices.is_empty() {
            self.free_devices(0);
        }
        self.free_reports();
        while !self.results.is_empty() {
            read_all(self.results[0]);
            self.free_results(0);
        }
    }

    fn has_ended(&self) -> bool {
        let (mut loans, mut tools) = (self.loans.iter(), self.behaviours.iter());
        loans.all(|(loan, with_release)| loan.is_back(*with_release))
            && tools.all(|tool| tool.has_ended())
    }

    /// After everything was freed and closed: what was lent is back, and no tool is in use. Workers that were inside a
    /// tool past a time limit were left behind, and are waited for.
    pub fn check_end(worlds: &mut [World]) {
        let closed = Instant::now();
        while !worlds.iter().all(World::has_ended) && closed.elapsed() < LEFT_BEHIND {
            std::thread::sleep(Duration::from_millis(1));
        }
        for queue in worlds.iter_mut().flat_map(|world| &mut world.queues) {
            queue.end();
        }
        for (loan, with_release) in worlds.iter().flat_map(|world| &world.loans) {
            loan.check_end(*with_release);
        }
        let tools = || worlds.iter().flat_map(|world| &world.behaviours);
        tools().for_each(|tool| tool.check_end());
        if !tools().any(|tool| tool.lost_a_device()) {
            assert!(
                tools().all(|tool| tool.kept_count()),
                "a load without its unload"
            );
        }
    }

    /// A worker may still be inside a tool of which it does not tell when it is through with it: those are kept.
    pub fn leave_behind(self) {
        static KEPT: Mutex<Vec<Box<Tool>>> = Mutex::new(Vec::new());
        let silent = self.behaviours.into_iter().filter(|tool| tool.is_silent());
        KEPT.lock().unwrap().extend(silent);
    }
}

/// How long a worker may stay inside a tool.
const LEFT_BEHIND: Duration = Duration::from_secs(30);
