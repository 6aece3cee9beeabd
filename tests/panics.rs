//! A defect in tool code is an error of what it was doing; the process, the pool and other jobs go on.

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use toolpool::device::{self, Slot};
use toolpool::error::{Error, Result, Status};
use toolpool::ffi::{error, items, job, pool, results, tool};
use toolpool::mem::{Field, Items, Results};
use toolpool::plan::batch::Cut;
use toolpool::pool::{JobOptions, Pool};
use toolpool::tool::{DEFAULT_LIMITS, Identity, Killer, Loaded, Tool, Work};
use toolpool::tools::{Echo, Opened};
use toolpool::value::{Dtype, Shape};
use toolpool_abi::{TOOLPOOL_ERR_INTERNAL, TOOLPOOL_OK};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Where {
    Cost,
    Extent,
    Load,
    Depth,
    Killer,
    Start,
    Collect,
    Unload,
    Leak,
}

/// Echoes, but panics in one place: in batches only over item `13`. Where it panics in leaking, that item costs the device.
struct Panicking {
    identity: Identity,
    place: Where,
    loads: AtomicUsize,
}

impl Panicking {
    fn new(place: Where) -> Self {
        Self {
            identity: Identity::own(&format!("panicking#{place:?}")),
            place,
            loads: AtomicUsize::new(0),
        }
    }

    fn at(&self, place: Where) {
        assert!(self.place != place, "the defect in {place:?}");
    }
}

impl Tool for Panicking {
    fn name(&self) -> &str {
        "panicking"
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn cost(&self, item: &[u8]) -> f64 {
        self.at(Where::Cost);
        item.len() as f64
    }

    fn extent(&self, item: &[u8]) -> u64 {
        self.at(Where::Extent);
        item.len() as u64
    }

    fn limits(&self) -> Cut {
        DEFAULT_LIMITS
    }

    fn load(&self, _: &Slot, _: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.at(Where::Load);
        Ok(Box::new(LoadedPanicking { place: self.place }))
    }
}

struct LoadedPanicking {
    place: Where,
}

impl LoadedPanicking {
    fn at(&self, place: Where, work: &Work) {
        let wrong = unlucky(work) && self.place == place;
        assert!(!wrong, "the defect in {place:?}");
    }
}

fn unlucky(work: &Work) -> bool {
    (0..work.batch.len()).any(|i| work.batch.bytes(i) == Some(b"13"))
}

impl Loaded for LoadedPanicking {
    fn depth(&self) -> usize {
        assert!(self.place != Where::Depth, "the defect in Depth");
        2
    }

    fn killer(&self) -> Option<Killer> {
        assert!(self.place != Where::Killer, "the defect in Killer");
        None
    }

    fn start(&mut self, work: &mut Work) -> Result<()> {
        for index in 0..work.batch.len() {
            let shape = Shape::new(&[])?;
            let row = work.outputs.alloc(index, "output", Dtype::UInt8, shape)?;
            // SAFETY: `alloc` gave one byte.
            unsafe { row.write(7) };
        }
        self.at(Where::Start, work);
        Ok(())
    }

    fn collect(&mut self, work: &mut Work) -> Result<()> {
        self.at(Where::Collect, work);
        if self.place == Where::Leak && unlucky(work) {
            return Err(Error::new(Status::DeviceLost, "fell off the bus"));
        }
        Ok(())
    }

    fn leak(self: Box<Self>) {
        assert!(self.place != Where::Leak, "the defect in Leak");
    }
}

impl Drop for LoadedPanicking {
    fn drop(&mut self) {
        assert!(self.place != Where::Unload, "the defect in Unload");
    }
}

fn open() -> Pool {
    open_with(2)
}

fn open_with(slots: usize) -> Pool {
    let slots = device::parse(Some(&format!("cpu*{slots}")), &device::visible());
    Pool::open(slots.unwrap()).unwrap()
}

fn numbered(n: usize) -> Arc<Items> {
    let texts: Vec<_> = (0..n).map(|i| i.to_string()).collect();
    let field = Field::copied("input", texts.iter().map(|text| text.as_bytes()));
    Arc::new(Items::new(field.unwrap()))
}

fn run(pool: &Pool, tool: Arc<dyn Tool>, n: usize) -> Result<Results> {
    let job = pool.submit(tool, numbered(n), &JobOptions::default())?;
    assert!(job.wait(Some(Duration::from_secs(60))), "the job hangs");
    Ok(job.results()?.expect("nobody else takes them"))
}

fn works_on(pool: &Pool) {
    let results = run(pool, Arc::new(Echo::new()), 20).unwrap();
    assert!((0..20).all(|index| results.error(index).is_none()));
}

#[test]
fn a_panic_over_an_item_is_that_items_error() {
    for place in [Where::Start, Where::Collect] {
        let (pool, tool) = (open(), Arc::new(Panicking::new(place)));
        let results = run(&pool, Arc::clone(&tool) as Arc<dyn Tool>, 200).unwrap();
        for index in 0..200 {
            let error = results.error(index);
            assert_eq!(error.is_some(), index == 13, "{place:?}, item {index}");
            if let Some(error) = error {
                assert_eq!(error.status(), Status::Internal);
                assert!(error.message().contains("panicking panicked: the defect"));
            }
        }
        // What a panic left behind is not used again.
        assert!(tool.loads.load(Ordering::SeqCst) > 2, "{place:?}");
        works_on(&pool);
    }
}

#[test]
fn a_panic_in_load_fails_the_job_and_no_other() {
    let pool = open();
    let error = run(&pool, Arc::new(Panicking::new(Where::Load)), 50).err();
    let error = error.expect("it loads nowhere");
    assert_eq!(error.status(), Status::Internal);
    assert!(error.message().contains("the defect in Load"), "{error}");
    let error = pool.warm(Arc::new(Panicking::new(Where::Load)));
    assert_eq!(error.unwrap_err().status(), Status::Internal);
    works_on(&pool);
}

#[test]
fn a_panic_before_each_batch_fails_the_job_and_no_other() {
    for place in [Where::Depth, Where::Killer] {
        let pool = open();
        let error = run(&pool, Arc::new(Panicking::new(place)), 50).err();
        let error = error.expect("no batch begins");
        assert_eq!(error.status(), Status::Internal, "{place:?}");
        let defect = format!("panicking panicked: the defect in {place:?}");
        assert!(error.message().contains(&defect), "{error}");
        works_on(&pool);
    }
}

/// An item takes two of three devices, and each time the tool panics when it is leaked.
#[test]
fn a_panic_in_leak_costs_no_more_than_the_device() {
    let (pool, tool) = (open_with(3), Arc::new(Panicking::new(Where::Leak)));
    let results = run(&pool, tool, 200).unwrap();
    for index in 0..200 {
        let status = results.error(index).map(Error::status);
        let expected = (index == 13).then_some(Status::DeviceLost);
        assert_eq!(status, expected, "item {index}");
    }
    works_on(&pool);
}

#[test]
fn a_panic_in_unload_does_not_keep_a_pool_from_closing() {
    let (pool, tool) = (open(), Arc::new(Panicking::new(Where::Unload)));
    assert!(run(&pool, Arc::clone(&tool) as Arc<dyn Tool>, 50).is_ok());
    pool.close();
    assert!(tool.loads.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_panic_does_not_cross_the_c_surface() {
    for place in [Where::Cost, Where::Extent] {
        let opened = Opened::fixed("panicking", Panicking::new(place));
        // The C surface has no way to make a tool of Rust code; this is what its handle points to.
        let tool: *mut tool::toolpool_tool_t = Box::into_raw(Box::new(Mutex::new(opened))).cast();
        let (mut pool, mut items, mut results, mut job) =
            (null_mut(), null_mut(), null_mut(), null_mut());
        let strings = [c"1".as_ptr(), c"2".as_ptr()];
        // SAFETY: every pointer is valid, every handle live until it is freed, once, at the end.
        unsafe {
            assert_eq!(
                pool::toolpool_open(c"cpu*2".as_ptr(), &raw mut pool, null_mut()),
                TOOLPOOL_OK
            );
            assert_eq!(
                items::toolpool_items_from_strings(
                    strings.as_ptr(),
                    std::ptr::null(),
                    2,
                    &raw mut items,
                    null_mut()
                ),
                TOOLPOOL_OK
            );
            let mut err = null_mut();
            let status = job::toolpool_run(pool, tool, items, &raw mut results, &raw mut err);
            assert_eq!(status, TOOLPOOL_ERR_INTERNAL);
            let message = std::ffi::CStr::from_ptr(error::toolpool_error_message(err));
            assert!(
                message
                    .to_string_lossy()
                    .contains("toolpool panicked: the defect"),
                "{message:?}"
            );
            error::toolpool_error_free(err);
            let submitted = job::toolpool_submit(
                pool,
                tool,
                items,
                std::ptr::null(),
                &raw mut job,
                null_mut(),
            );
            assert_eq!(submitted, TOOLPOOL_ERR_INTERNAL);
            assert!(job.is_null() && results.is_null());
            assert_eq!(pool::toolpool_drain(pool, -1, null_mut()), TOOLPOOL_OK);

            let mut echo = null_mut();
            assert_eq!(
                tool::toolpool_tool_open(
                    c"echo".as_ptr(),
                    std::ptr::null(),
                    &raw mut echo,
                    null_mut()
                ),
                TOOLPOOL_OK
            );
            assert_eq!(
                job::toolpool_run(pool, echo, items, &raw mut results, null_mut()),
                TOOLPOOL_OK
            );
            results::toolpool_results_free(results);
            tool::toolpool_tool_free(echo);
            tool::toolpool_tool_free(tool);
            items::toolpool_items_free(items);
            pool::toolpool_close(pool);
        }
    }
}
