//! Jobs, from their options to their results and reports.

use std::ptr::null_mut;
use std::sync::Arc;

use toolpool::ffi::items::toolpool_items_t;
use toolpool::ffi::job::*;
use toolpool::ffi::options::*;
use toolpool::ffi::report::*;
use toolpool::ffi::results::*;
use toolpool_abi::*;
use toolpool_fuzz::{ErrArg, c, check, make};

use super::queues::Bell;
use super::{NamedTool, World};
use crate::choice::{
    Choice, MOST, NAMES, OPTIONS, index, pick, pick_mut, pointer, remove, size, time,
};
use crate::report;
use crate::results::{Facts, check_fresh, read_all, view_one};

pub(super) struct Job {
    pub(super) handle: *mut toolpool_job_t,
    pub(super) facts: Facts,
    pub(super) bell: Arc<Bell>,
}

impl World<'_> {
    pub(super) fn new_options(&mut self, p: &mut Choice) {
        if self.options.len() < MOST {
            let (_, options) = make(p.err(), p.rarely(), |out, err| {
                c!(toolpool_options_new(out, err))
            });
            self.options.extend(options);
        }
    }

    pub(super) fn set_option(&mut self, p: &mut Choice) {
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

    pub(super) fn free_options(&mut self, choice: u8) {
        c!(toolpool_options_free(
            remove(&mut self.options, choice).unwrap_or(null_mut())
        ));
    }

    pub(super) fn run_job(&mut self, p: &mut Choice) {
        let pool = self.pools.pick(p.digit());
        let tool = self.tool(p.digit());
        let (items, mut facts) = self.facts(p.digit(), tool);
        let tool = tool.map_or(null_mut(), |tool| tool.handle);
        let (status, results) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_run(pool, tool, items, out, err))
        });
        if let Some(results) = results {
            check_fresh(results, status, &mut facts);
            assert!(facts.all_seen());
            self.keep_results(results);
        }
    }

    pub(super) fn submit(&mut self, p: &mut Choice) {
        if self.jobs.len() >= MOST {
            return;
        }
        let pool = self.pools.pick(p.digit());
        let tool = self.tool(p.digit());
        let (items, facts) = self.facts(p.digit(), tool);
        let tool = tool.map_or(null_mut(), |tool| tool.handle);
        let options = *pick(&self.options, p.digit()).unwrap_or(&null_mut());
        let (_, job) = make(p.err(), p.rarely(), |out, err| {
            c!(toolpool_submit(pool, tool, items, options, out, err))
        });
        self.jobs.extend(job.map(|handle| Job {
            handle,
            facts,
            bell: Arc::default(),
        }));
    }

    fn facts(&self, choice: u8, tool: Option<&NamedTool>) -> (*mut toolpool_items_t, Facts) {
        let items = pick(&self.items, choice);
        let content = items.map_or(Vec::new(), |items| items.content.clone());
        let facts = Facts {
            seen: vec![false; content.len()],
            items: content,
            by_letter: tool.is_some_and(|tool| tool.by_letter),
            queued: tool.is_some_and(|tool| tool.queued),
        };
        (items.map_or(null_mut(), |items| items.handle), facts)
    }

    pub(super) fn next(&mut self, p: &mut Choice) {
        let (choice, time, err, out_is_null) = (p.digit(), time(p), p.err(), p.rarely());
        self.hand_out(choice, err, out_is_null, |job, out, err| {
            c!(toolpool_job_next(job, time, out, err))
        });
    }

    pub(super) fn take_results(&mut self, p: &mut Choice) {
        let (choice, err, out_is_null) = (p.digit(), p.err(), p.rarely());
        self.hand_out(choice, err, out_is_null, |job, out, err| {
            c!(toolpool_job_results(job, out, err))
        });
    }

    /// A call that takes finished items out of a job.
    pub(super) fn hand_out(
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

    pub(super) fn keep_results(&mut self, results: *mut toolpool_results_t) {
        self.results.push(results);
        if self.results.len() > MOST {
            self.free_results(0);
        }
    }

    pub(super) fn wait(&mut self, p: &mut Choice) {
        let (job, time) = (self.job(p.digit()), time(p));
        let status = check(p.err(), |err| c!(toolpool_job_wait(job, time, err)));
        if status == TOOLPOOL_OK {
            assert_eq!(
                check(ErrArg::Empty, |err| c!(toolpool_job_poll(job, err))),
                TOOLPOOL_OK
            );
        }
    }

    pub(super) fn progress(&mut self, p: &mut Choice) {
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
    pub(super) fn take_report(&mut self, p: &mut Choice) {
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

    pub(super) fn free_reports(&mut self) {
        for (report, len) in self.reports.drain(..) {
            report::read(report, len);
            c!(toolpool_report_free(report));
        }
        c!(toolpool_report_free(null_mut()));
    }

    pub(super) fn cancel(&mut self, p: &mut Choice) {
        let job = self.job(p.digit());
        check(p.err(), |err| c!(toolpool_job_cancel(job, err)));
    }

    pub(super) fn free_job(&mut self, choice: u8) {
        let job = remove(&mut self.jobs, choice);
        c!(toolpool_job_free(
            job.as_ref().map_or(null_mut(), |job| job.handle)
        ));
        if let Some(job) = job {
            job.bell.freed();
        }
    }

    pub(super) fn view(&mut self, p: &mut Choice) {
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

    pub(super) fn free_results(&mut self, choice: u8) {
        c!(toolpool_results_free(
            remove(&mut self.results, choice).unwrap_or(null_mut())
        ));
    }

    pub(super) fn job(&self, choice: u8) -> *mut toolpool_job_t {
        pick(&self.jobs, choice).map_or(null_mut(), |job| job.handle)
    }
}
