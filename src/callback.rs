//! Whether a thread is inside code of the caller.

use std::cell::Cell;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a callback, where waiting for the pool would be waiting for itself.
#[must_use]
pub fn inside() -> bool {
    INSIDE.get()
}

/// Marks this thread as inside a callback until dropped.
pub struct Inside {
    before: bool,
}

impl Inside {
    /// From here on.
    #[must_use]
    pub fn enter() -> Self {
        Self {
            before: INSIDE.replace(true),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}
