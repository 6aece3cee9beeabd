//! The C surface as sequences of calls with arbitrary arguments.
//!
//! An input is a program of words: the first letter is a call (the table is in `world.rs`), the bytes after it choose its
//! arguments ('0' and whatever is missing: the plain choice), and words that are no call are skipped. What comes after a
//! `|` runs on a second thread, with handles of its own but the same pools. Programs keep to what the header asks of callers — no handle is used after it was freed,
//! arrays are as long as they are said to be — and to nothing else.
#![no_main]

mod choice;
mod lend;
mod letters;
mod loose;
mod report;
mod results;
mod tool;
mod world;

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use world::{Pools, World};

fuzz_target!(|program: &[u8]| {
    static ENVIRONMENT: Once = Once::new();
    ENVIRONMENT.call_once(leave_torch_out);

    let pools = Pools::default();
    let (first, second) = match program.iter().position(|&byte| byte == b'|') {
        Some(bar) => (&program[..bar], &program[bar + 1..]),
        None => (program, &[][..]),
    };
    let mut worlds = [World::new(&pools), World::new(&pools)];
    let [here, beside] = &mut worlds;
    std::thread::scope(|scope| {
        if !second.is_empty() {
            scope.spawn(|| beside.run(second));
        }
        here.run(first);
    });
    worlds.iter_mut().for_each(World::free_all);
    pools.close_all();
    World::check_end(&mut worlds);
    worlds.into_iter().for_each(World::leave_behind);
});

/// The backend has targets of its own; here its absence is one more error.
fn leave_torch_out() {
    // SAFETY: no other thread has been started.
    unsafe {
        std::env::set_var("TOOLPOOL_LIBTORCH", "/nonexistent");
        std::env::set_var("TOOLPOOL_BACKEND_DIR", "/nonexistent");
    }
}
