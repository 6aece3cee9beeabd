//! The handles of a program, and the calls that it can make with them.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use toolpool::ffi::batch::*;
use toolpool::ffi::device::*;
use toolpool::ffi::error::*;
use toolpool::ffi::items::*;
use toolpool::ffi::job::*;
use toolpool::ffi::log::toolpool_set_log;
use toolpool::ffi::options::*;
use toolpool::ffi::plan::toolpool_plan;
use toolpool::ffi::pool::*;
use toolpool::ffi::report::*;
use toolpool::ffi::results::*;
use toolpool::ffi::shell::toolpool_t;
use toolpool::ffi::tool::*;
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, make, text};

use crate::lend::{Loan, release};
use crate::report;
use crate::results::{Facts, check_fresh, read_all, view_one};
use crate::tool::{Choices, Tool};

/// So many handles of a kind at a time, and so many pools in all; calls that would make more are left out.
const MOST: usize = 6;

const DEVICES: [Option<&CStr>; 8] = [
    Some(c"cpu"),
    Some(c"cpu*2"),
    Some(c"cpu*3"),
    None,
    Some(c"auto"),
    Some(c"cuda:0"),
    Some(c"\xff"),
    Some(c""),
];

const NAMES: [Option<&CStr>; 8] = [
    Some(c"output"),
    Some(c"input"),
    Some(c"vector"),
    Some(c"zero"),
    Some(c"more"),
    None,
    Some(c""),
    Some(c"\xc3("),
];

const KINDS: [Option<&CStr>; 6] = [
    Some(c"echo"),
    Some(c"esm2"),
    Some(c"library"),
    None,
    Some(c"\xfe"),
    Some(c""),
];

const SOURCES: [Option<&CStr>; 8] = [
    None,
    Some(c""),
    Some(c"facebook/esm2_t6_8M_UR50D"),
    Some(c":"),
    Some(c"/nonexistent.so:tool"),
    Some(c"libc.so.6:toolpool_no_such_tool:source"),
    Some(c"no_colon"),
    Some(c"\xff:\xff"),
];

const OPTIONS: [(Option<&CStr>, Option<&CStr>); 20] = [
    (Some(c"dedup"), Some(c"false")),
    (Some(c"dedup"), Some(c"true")),
    (Some(c"pending_bytes"), Some(c"0")),
    (Some(c"pending_bytes"), Some(c"3")),
    (Some(c"deterministic"), Some(c"true")),
    (Some(c"time_limit"), Some(c"0.001")),
    (Some(c"time_limit"), Some(c"1e-9")),
    (Some(c"batch_time_limit"), Some(c"0.0005")),
    (Some(c"batch_time_limit"), Some(c"1e300")),
    (Some(c"retries"), Some(c"0")),
    (Some(c"retries"), Some(c"4294967295")),
    (Some(c"on_device_lost"), Some(c"fail")),
    (Some(c"on_device_lost"), Some(c"continue")),
    (Some(c"pending_bytes"), Some(c"-1")),
    (Some(c"time_limit"), Some(c"NaN")),
    (Some(c"dedup"), Some(c"")),
    (Some(c"no_such"), Some(c"1")),
    (None, Some(c"1")),
    (Some(c"dedup"), None),
    (Some(c"\xff"), Some(c"\xff")),
];

/// Milliseconds; a call without limit must end too.
const TIMES: [i64; 6] = [-1, 0, 1, 3, i64::MAX, i64::MIN];

const COSTS: [f64; 8] = [
    0.0,
    1.0,
    2.5,
    f64::INFINITY,
    -0.0,
    f64::MIN_POSITIVE,
    -1.0,
    f64::NAN,
];

fn pointer(text: Option<&CStr>) -> *const c_char {
    text.map_or(null(), CStr::as_ptr)
}

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

    pub fn close_all(&self) {
        for &pool in self.0.lock().unwrap().iter() {
            c!(toolpool_close(std::ptr::with_exposed_provenance_mut(pool)));
        }
    }
}

struct Items {
    handle: *mut toolpool_items_t,
    content: Vec<Vec<u8>>,
    /// Numbers of loans without `release`, which the caller may take back once the items are freed.
    lent: Vec<usize>,
}

struct NamedTool {
    handle: *mut toolpool_tool_t,
    by_letter: bool,
}

struct Job {
    handle: *mut toolpool_job_t,
    facts: Facts,
}

/// The handles of one thread. Each choice of a handle may also come to NULL.
pub struct World<'a> {
    pools: &'a Pools,
    tools: Vec<NamedTool>,
    items: Vec<Items>,
    options: Vec<*mut toolpool_options_t>,
    jobs: Vec<Job>,
    results: Vec<*mut toolpool_results_t>,
    devices: Vec<*mut toolpool_devices_t>,
    /// With the number of items of their jobs.
    reports: Vec<(*mut toolpool_report_t, u64)>,
    /// What the library knows by `user` pointers; kept to the end.
    loans: Vec<(Box<Loan>, bool)>,
    behaviours: Vec<Box<Tool>>,
}

// SAFETY: any thread may use any handle, as the header says.
unsafe impl Send for World<'_> {}

/// The choices behind a call's letter, read one by one; after the end, zeros.
struct Choice<'a>(std::slice::Iter<'a, u8>);

impl Choice<'_> {
    /// A choice: '0' is 0.
    fn digit(&mut self) -> u8 {
        self.0.next().map_or(0, |byte| byte.wrapping_sub(b'0'))
    }

    fn err(&mut self) -> ErrArg {
        self.digit().into()
    }

    /// True for one byte in eight, and not for '0'.
    fn rarely(&mut self) -> bool {
        self.digit() % 8 == 7
    }

    /// Items of a letter each, repeated by its upper bits; `_` is an empty one.
    fn items(&mut self) -> Vec<Vec<u8>> {
        let count = match self.digit() % 64 {
            few @ 0..16 => usize::from(few),
            many => usize::from(many),
        };
        let letters: Vec<u8> = self.0.by_ref().take(count.min(15)).copied().collect();
        let letters = letters
            .iter()
            .cycle()
            .take(if letters.is_empty() { 0 } else { count });
        letters
            .enumerate()
            .map(|(index, &letter)| item(index, letter))
            .collect()
    }
}

/// The first fifteen items are short and may repeat; later ones are as long as their number.
fn item(index: usize, letter: u8) -> Vec<u8> {
    match (index, letter) {
        (..15, b'_') => Vec::new(),
        (..15, _) => vec![letter; 1 + usize::from(letter % 3)],
        _ => vec![letter; index],
    }
}

impl<'a> World<'a> {
    pub fn new(pools: &'a Pools) -> Self {
        Self {
            pools,
            tools: Vec::new(),
            items: Vec::new(),
            options: Vec::new(),
            jobs: Vec::new(),
            results: Vec::new(),
            devices: Vec::new(),
            reports: Vec::new(),
            loans: Vec::new(),
            behaviours: Vec::new(),
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
            b'c' => c!(toolpool_close(self.pools.pick(p.digit()))),
            b'd' => self.drain(p),
            b'w' => self.warm(p),
            b'S' => self.slots(p),
            b'l' => self.list_devices(p),
            b'g' => self.get_device(p),
            b'L' => self.free_devices(p.digit()),
            b'e' => self.open_tool(p),
            b't' => self.make_tool(p),
            b's' => self.set_tool(p),
            b'T' => self.free_tool(p.digit()),
            b'i' => self.copy_items(p),
            b'b' => self.borrow_items(p),
            b'a' => self.add_field(p),
            b'k' => self.set_costs(p),
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
            b'C' => self.cancel(p),
            b'J' => self.free_job(p.digit()),
            b'y' => self.take_report(p),
            b'Y' => self.free_reports(),
            b'v' => self.view(p),
            b'R' => self.free_results(p.digit()),
            b'P' => plan(p),
            b'E' => set_error(p),
            b'G' => set_log(p),
            b'N' => call_all_with_null(),
            _ => {}
        }
    }

    fn drain(&mut self, p: &mut Choice) {
        let (pool, time) = (self.pools.pick(p.digit()), time(p));
        check(p.err(), |err| c!(toolpool_drain(pool, time, err)));
    }

    fn warm(&mut self, p: &mut Choice) {
        let (pool, tool) = (self.pools.pick(p.digit()), self.tool(p.digit()).0);
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
        }));
    }

    /// No tool here has options.
    fn set_tool(&mut self, p: &mut Choice) {
        let tool = self.tool(p.digit()).0;
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

    fn copy_items(&mut self, p: &mut Choice) {
        if self.items.len() >= MOST {
            return;
        }
        let content = p.items();
        let pointers: Vec<*const c_char> = match p.digit() % 16 {
            14 => vec![null(); content.len()],
            15 => Vec::new(),
            _ => content.iter().map(|item| item.as_ptr().cast()).collect(),
        };
        let mut lengths: Vec<usize> = content.iter().map(Vec::len).collect();
        if p.rarely() && !lengths.is_empty() {
            lengths[0] = usize::MAX;
        }
        let strings = if pointers.is_empty() {
            null()
        } else {
            pointers.as_ptr()
        };
        let (_, items) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_items_from_strings(
                strings,
                lengths.as_ptr(),
                content.len(),
                out,
                err
            ))
        });
        self.items.extend(items.map(|handle| Items {
            handle,
            content,
            lent: Vec::new(),
        }));
    }

    fn borrow_items(&mut self, p: &mut Choice) {
        if self.items.len() >= MOST {
            return;
        }
        let (loan, with_release, n) = self.loan(p, None);
        let (narrow, no_offsets) = (p.rarely(), p.rarely());
        let (data, user, call) = (loan.data(), loan.user(), release(with_release));
        let (out_is_null, err) = (p.rarely(), p.err());
        let (_, items) = make(err, out_is_null, |out, err| match (narrow, no_offsets) {
            (_, true) => c!(toolpool_items_borrow(data, null(), n, call, user, out, err)),
            (true, _) => c!(toolpool_items_borrow32(
                data,
                loan.narrow(),
                n,
                call,
                user,
                out,
                err
            )),
            _ => c!(toolpool_items_borrow(
                data,
                loan.wide(),
                n,
                call,
                user,
                out,
                err
            )),
        });
        let content = loan.items();
        if !(out_is_null || no_offsets || err == ErrArg::Taken || n > MOST * 16) {
            assert_eq!(items.is_some(), content.is_some());
        }
        let number = self.keep(loan, with_release, items.is_some(), p);
        self.items.extend(items.map(|handle| Items {
            handle,
            content: content.unwrap_or_default(),
            lent: if with_release {
                Vec::new()
            } else {
                vec![number]
            },
        }));
    }

    fn add_field(&mut self, p: &mut Choice) {
        let choice = p.digit();
        let Some(items) = pick(&self.items, choice) else {
            return;
        };
        let (handle, len) = (items.handle, items.content.len());
        let (loan, with_release, n) = self.loan(p, Some(len));
        let name = pointer(NAMES[usize::from(p.digit()) % 8]);
        let status = check(p.err(), |err| {
            c!(toolpool_items_add_field(
                handle,
                name,
                loan.data(),
                loan.wide(),
                n,
                release(with_release),
                loan.user(),
                err
            ))
        });
        let number = self.keep(loan, with_release, status == TOOLPOOL_OK, p);
        if status == TOOLPOOL_OK && !with_release {
            let items = pick_mut(&mut self.items, choice).expect("it was there above");
            items.lent.push(number);
        }
    }

    /// Memory to lend, whether with `release`, and the number of items to claim.
    fn loan(&self, p: &mut Choice, like: Option<usize>) -> (Box<Loan>, bool, usize) {
        let mut content = p.items();
        if let Some(len) = like.filter(|_| !p.rarely()) {
            content.resize(len, b"field".to_vec());
        }
        let offsets = p.rarely().then(|| {
            let mut offset = || i64::from(p.digit()) - 1;
            (0..=content.len()).map(|_| offset()).collect()
        });
        let loan = Loan::new(&content, offsets, p.rarely());
        let n = if p.rarely() {
            usize::MAX - usize::from(p.digit())
        } else {
            content.len()
        };
        (loan, !p.rarely(), n)
    }

    /// Keeps a loan to the end, chained to other items if the library has taken it.
    fn keep(
        &mut self,
        mut loan: Box<Loan>,
        with_release: bool,
        taken: bool,
        p: &mut Choice,
    ) -> usize {
        if taken {
            let chain = with_release
                && p.rarely()
                && self.items.last().is_some_and(|items| items.lent.is_empty());
            let chained = if chain { self.items.pop() } else { None };
            loan.take(chained.map_or(null_mut(), |items| items.handle));
        } else {
            loan.take_back();
        }
        self.loans.push((loan, with_release));
        self.loans.len() - 1
    }

    fn set_costs(&mut self, p: &mut Choice) {
        let items = pick(&self.items, p.digit());
        let (handle, len) =
            items.map_or((null_mut(), 1), |items| (items.handle, items.content.len()));
        let mut costs: Vec<f64> = (0..len)
            .map(|_| COSTS[usize::from(p.digit()) % 8])
            .collect();
        if p.rarely() {
            costs.push(1.0);
        }
        check(p.err(), |err| {
            c!(toolpool_items_set_costs(
                handle,
                costs.as_ptr(),
                costs.len(),
                err
            ))
        });
    }

    fn free_items(&mut self, choice: u8) {
        if let Some(items) = remove(&mut self.items, choice) {
            assert_eq!(c!(toolpool_items_len(items.handle)), items.content.len());
            c!(toolpool_items_free(items.handle));
            for lent in items.lent {
                self.loans[lent].0.take_back();
            }
        }
    }

    fn new_options(&mut self, p: &mut Choice) {
        if self.options.len() < MOST {
            let (_, options) = make(p.err(), p.rarely(), |out, err| {
                c!(toolpool_options_new(out, err))
            });
            self.options.extend(options);
        }
    }

    fn set_option(&mut self, p: &mut Choice) {
        let options = *pick(&self.options, p.digit()).unwrap_or(&null_mut());
        let (key, value) = OPTIONS[usize::from(p.digit()) % 20];
        check(p.err(), |err| {
            c!(toolpool_options_set(
                options,
                pointer(key),
                pointer(value),
                err
            ))
        });
    }

    fn free_options(&mut self, choice: u8) {
        c!(toolpool_options_free(
            remove(&mut self.options, choice).unwrap_or(null_mut())
        ));
    }

    fn run_job(&mut self, p: &mut Choice) {
        let pool = self.pools.pick(p.digit());
        let (tool, by_letter) = self.tool(p.digit());
        let (items, mut facts) = self.facts(p.digit(), by_letter);
        let (status, results) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_run(pool, tool, items, out, err))
        });
        if let Some(results) = results {
            check_fresh(results, status, &mut facts);
            assert!(facts.all_seen());
            self.keep_results(results);
        }
    }

    fn submit(&mut self, p: &mut Choice) {
        if self.jobs.len() >= MOST {
            return;
        }
        let pool = self.pools.pick(p.digit());
        let (tool, by_letter) = self.tool(p.digit());
        let (items, facts) = self.facts(p.digit(), by_letter);
        let options = *pick(&self.options, p.digit()).unwrap_or(&null_mut());
        let (_, job) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_submit(pool, tool, items, options, out, err))
        });
        self.jobs.extend(job.map(|handle| Job { handle, facts }));
    }

    fn facts(&self, choice: u8, by_letter: bool) -> (*mut toolpool_items_t, Facts) {
        let items = pick(&self.items, choice);
        let content = items.map_or(Vec::new(), |items| items.content.clone());
        let facts = Facts {
            seen: vec![false; content.len()],
            items: content,
            by_letter,
        };
        (items.map_or(null_mut(), |items| items.handle), facts)
    }

    fn next(&mut self, p: &mut Choice) {
        let (choice, time, err, out_is_null) = (p.digit(), time(p), p.err(), p.rarely());
        self.hand_out(choice, err, out_is_null, |job, out, err| {
            c!(toolpool_job_next(job, time, out, err))
        });
    }

    fn take_results(&mut self, p: &mut Choice) {
        let (choice, err, out_is_null) = (p.digit(), p.err(), p.rarely());
        self.hand_out(choice, err, out_is_null, |job, out, err| {
            c!(toolpool_job_results(job, out, err))
        });
    }

    /// A call that takes finished items out of a job.
    fn hand_out(
        &mut self,
        choice: u8,
        err: ErrArg,
        out_is_null: bool,
        call: impl FnOnce(
            *mut toolpool_job_t,
            *mut *mut toolpool_results_t,
            *mut *mut toolpool_error_t,
        ) -> toolpool_status_t,
    ) {
        let Some(job) = pick_mut(&mut self.jobs, choice) else {
            make(err, out_is_null, |out, err| call(null_mut(), out, err));
            return;
        };
        let (status, results) = make(err, out_is_null, |out, err| call(job.handle, out, err));
        if let Some(results) = results {
            check_fresh(results, status, &mut job.facts);
            self.keep_results(results);
        } else if status == TOOLPOOL_DONE {
            assert!(job.facts.all_seen());
        }
    }

    fn keep_results(&mut self, results: *mut toolpool_results_t) {
        self.results.push(results);
        if self.results.len() > MOST {
            self.free_results(0);
        }
    }

    fn wait(&mut self, p: &mut Choice) {
        let (job, time) = (self.job(p.digit()), time(p));
        let status = check(p.err(), |err| c!(toolpool_job_wait(job, time, err)));
        if status == TOOLPOOL_OK {
            assert_eq!(
                check(ErrArg::Empty, |err| c!(toolpool_job_poll(job, err))),
                TOOLPOOL_OK
            );
        }
    }

    fn progress(&mut self, p: &mut Choice) {
        let job = pick(&self.jobs, p.digit());
        let len = job.map_or(0, |job| job.facts.items.len() as u64);
        let job = job.map_or(null_mut(), |job| job.handle);
        // SAFETY: all zeros are a progress.
        let mut progress: toolpool_progress_t = unsafe { std::mem::zeroed() };
        progress.size = size::<toolpool_progress_t>(p);
        progress.unique = u64::MAX;
        let status = check(p.err(), |err| {
            c!(toolpool_job_progress(job, &raw mut progress, err))
        });
        if status == TOOLPOOL_OK {
            assert!(progress.failed <= progress.done && progress.done <= progress.total);
            assert!(progress.running <= progress.unique && progress.unique <= progress.total);
            assert_eq!(progress.total, len);
        } else {
            assert_eq!(progress.unique, u64::MAX);
        }
    }

    /// A report is read at once, and again when it is freed.
    fn take_report(&mut self, p: &mut Choice) {
        let job = pick(&self.jobs, p.digit());
        let len = job.map_or(0, |job| job.facts.items.len());
        let job = job.map_or(null_mut(), |job| job.handle);
        let (_, report) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_job_report(job, out, err))
        });
        if let Some(report) = report {
            report::read(report, len as u64);
            self.reports.push((report, len as u64));
        }
        report::read_wrongly(
            report.unwrap_or(null_mut()),
            index(p),
            usize::from(p.digit()),
            p.err(),
        );
    }

    fn free_reports(&mut self) {
        for (report, len) in self.reports.drain(..) {
            report::read(report, len);
            c!(toolpool_report_free(report));
        }
        c!(toolpool_report_free(null_mut()));
    }

    fn cancel(&mut self, p: &mut Choice) {
        let job = self.job(p.digit());
        check(p.err(), |err| c!(toolpool_job_cancel(job, err)));
    }

    fn free_job(&mut self, choice: u8) {
        let job = remove(&mut self.jobs, choice).map_or(null_mut(), |job| job.handle);
        c!(toolpool_job_free(job));
    }

    fn view(&mut self, p: &mut Choice) {
        let results = *pick(&self.results, p.digit()).unwrap_or(&null_mut());
        let name = NAMES[usize::from(p.digit()) % 8];
        view_one(
            results,
            index(p),
            name,
            size::<toolpool_tensor_t>(p),
            p.err(),
        );
        read_all(results);
    }

    fn free_results(&mut self, choice: u8) {
        c!(toolpool_results_free(
            remove(&mut self.results, choice).unwrap_or(null_mut())
        ));
    }

    fn tool(&self, choice: u8) -> (*mut toolpool_tool_t, bool) {
        pick(&self.tools, choice).map_or((null_mut(), false), |tool| (tool.handle, tool.by_letter))
    }

    fn job(&self, choice: u8) -> *mut toolpool_job_t {
        pick(&self.jobs, choice).map_or(null_mut(), |job| job.handle)
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
    pub fn check_end(worlds: &[World]) {
        let closed = Instant::now();
        while !worlds.iter().all(World::has_ended) && closed.elapsed() < LEFT_BEHIND {
            std::thread::sleep(Duration::from_millis(1));
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
}

/// How long a worker may stay inside a tool.
const LEFT_BEHIND: Duration = Duration::from_secs(30);

/// One of a list, or none of it.
fn pick<T>(list: &[T], choice: u8) -> Option<&T> {
    list.get(usize::from(choice) % (list.len() + 1))
}

fn pick_mut<T>(list: &mut [T], choice: u8) -> Option<&mut T> {
    let index = usize::from(choice) % (list.len() + 1);
    list.get_mut(index)
}

fn remove<T>(list: &mut Vec<T>, choice: u8) -> Option<T> {
    let index = usize::from(choice) % (list.len() + 1);
    (index < list.len()).then(|| list.remove(index))
}

fn time(p: &mut Choice) -> i64 {
    TIMES[usize::from(p.digit()) % 6]
}

fn index(p: &mut Choice) -> usize {
    let digit = p.digit();
    if digit == u8::MAX {
        usize::MAX
    } else {
        usize::from(digit)
    }
}

/// The size of a struct, or rarely one that is not.
fn size<T>(p: &mut Choice) -> usize {
    if p.rarely() {
        usize::from(p.digit())
    } else {
        size_of::<T>()
    }
}

fn plan(p: &mut Choice) {
    let costs: Vec<f64> = (0..p.digit() % 16)
        .map(|_| COSTS[usize::from(p.digit()) % 8])
        .collect();
    let (n_items, n_slots) = (costs.len(), usize::from(p.digit() % 5));
    let mut perhaps = || {
        let values: Vec<f64> = (0..n_slots)
            .map(|_| COSTS[usize::from(p.digit()) % 8])
            .collect();
        (!p.rarely()).then_some(values)
    };
    let (weights, most) = (perhaps(), perhaps());
    let start =
        |values: &Option<Vec<f64>>| values.as_ref().map_or(null(), |values| values.as_ptr());
    let (mut slot_of, mut finish, mut bound) = (vec![u32::MAX; n_items], vec![-1.0; n_slots], -1.0);
    let huge = p.rarely();
    let status = check(p.err(), |err| {
        c!(toolpool_plan(
            if huge { null() } else { costs.as_ptr() },
            if huge { usize::MAX } else { n_items },
            start(&weights),
            start(&most),
            n_slots,
            slot_of.as_mut_ptr(),
            finish.as_mut_ptr(),
            &raw mut bound,
            err
        ))
    });
    if status == TOOLPOOL_OK {
        assert!(slot_of.iter().all(|&slot| (slot as usize) < n_slots));
        let makespan = finish.iter().copied().fold(0.0, f64::max);
        assert!(finish.iter().all(|&time| time >= 0.0) && (0.0..=makespan).contains(&bound));
    } else {
        assert!(slot_of.iter().all(|&slot| slot == u32::MAX));
        assert!(finish.iter().all(|&time| time == -1.0) && bound == -1.0);
    }
}

/// What tools make errors with serves anybody.
fn set_error(p: &mut Choice) {
    let mut err = null_mut();
    for _ in 0..1 + p.digit() % 2 {
        let status = i32::from(p.digit() as i8);
        let message = pointer(NAMES[usize::from(p.digit()) % 8]);
        let answer = c!(toolpool_error_set(&raw mut err, status, message));
        assert!(answer < 0 && answer == c!(toolpool_error_status(err)));
        text(c!(toolpool_error_message(err)));
        assert_eq!(c!(toolpool_error_item(err)), usize::MAX);
    }
    c!(toolpool_error_set(null_mut(), -1, null()));
    c!(toolpool_error_free(err));
}

unsafe extern "C" fn log_line(_: *mut c_void, level: i32, message: *const c_char) {
    assert!((1..=3).contains(&level));
    assert!(!text(message).contains('\n'), "{:?}", text(message));
}

fn set_log(p: &mut Choice) {
    let level = i32::from(p.digit());
    let callback = if p.rarely() {
        None
    } else {
        Some(log_line as _)
    };
    let status = check(p.err(), |err| {
        c!(toolpool_set_log(callback, null_mut(), level, err))
    });
    assert!(status != TOOLPOOL_OK || (1..=3).contains(&level));
}

/// Every function that programs reach with some handle only, with none.
fn call_all_with_null() {
    c!(toolpool_items_free(null_mut()));
    c!(toolpool_error_free(null_mut()));
    c!(toolpool_job_free(null_mut()));
    assert_eq!(c!(toolpool_items_len(null())), 0);
    assert_eq!(c!(toolpool_devices_len(null())), 0);
    assert_eq!(c!(toolpool_batch_len(null())), 0);
    assert!(c!(toolpool_batch_user(null())).is_null());
    let argument = |status| assert_eq!(status, TOOLPOOL_ERR_ARGUMENT);
    let (mut data, mut len) = (null(), 0);
    argument(c!(toolpool_batch_bytes(
        null(),
        0,
        &raw mut data,
        &raw mut len
    )));
    argument(c!(toolpool_batch_bytes(null(), 0, null_mut(), null_mut())));
    argument(c!(toolpool_batch_field(
        null(),
        0,
        null(),
        &raw mut data,
        &raw mut len
    )));
    argument(c!(toolpool_outputs_fail(null_mut(), 0, 0, null())));
    argument(c!(toolpool_outputs_warn(null_mut(), 0, null())));
    argument(c!(toolpool_outputs_count(null_mut(), null(), 0.0)));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_outputs_alloc(
            null_mut(),
            0,
            null(),
            0,
            null(),
            0,
            null_mut(),
            err
        ))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_items_add_field(
            null_mut(),
            null(),
            null(),
            null(),
            0,
            None,
            null_mut(),
            err
        ))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_job_poll(null(), err))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_job_progress(null(), null_mut(), err))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_tool_from_callbacks(
            c"tool".as_ptr(),
            null(),
            null_mut(),
            null_mut(),
            err
        ))
    }));
    argument(check(ErrArg::Empty, |err| {
        c!(toolpool_plan(
            null(),
            1,
            null(),
            null(),
            1,
            null_mut(),
            null_mut(),
            null_mut(),
            err
        ))
    }));
}
