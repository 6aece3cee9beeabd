//! Memory that is lent to the library. It is freed when the library gives it back, so that a later read is caught.

use std::ffi::c_void;
use std::ptr::{from_ref, null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

use toolpool::ffi::items::{toolpool_items_free, toolpool_items_t, toolpool_release_t};
use toolpool_fuzz::c;

/// Data and offsets of one field. The Loan itself lives until the end of the program.
pub struct Loan {
    memory: Mutex<Option<Memory>>,
    /// Freed by `release`.
    chained: AtomicPtr<toolpool_items_t>,
    taken: bool,
    released: AtomicUsize,
}

struct Memory {
    data: Option<Box<[u8]>>,
    wide: Box<[i64]>,
    narrow: Box<[i32]>,
}

impl Loan {
    /// Items one after the other; `offsets` in place of theirs, where given, kept within the data if they never fall.
    pub fn new(items: &[Vec<u8>], offsets: Option<Vec<i64>>, no_data: bool) -> Box<Self> {
        let data = items.concat();
        let mut ends = vec![0];
        for item in items {
            ends.push(ends.last().unwrap() + item.len() as i64);
        }
        let mut wide = offsets.unwrap_or(ends);
        if wide[0] >= 0 && wide.is_sorted() && !no_data {
            for offset in &mut wide {
                *offset = (*offset).min(data.len() as i64);
            }
        }
        let narrow = wide.iter().map(|&offset| offset as i32).collect();
        let memory = Memory {
            data: (!no_data).then(|| data.into()),
            wide: wide.into(),
            narrow,
        };
        Box::new(Self {
            memory: Mutex::new(Some(memory)),
            chained: AtomicPtr::new(null_mut()),
            taken: false,
            released: AtomicUsize::new(0),
        })
    }

    /// The items as the offsets cut them, if the library may take them.
    pub fn items(&self) -> Option<Vec<Vec<u8>>> {
        self.with(|memory| {
            let data = memory.data.as_deref().unwrap_or(&[]);
            let cut = |pair: &[i64]| {
                let range = usize::try_from(pair[0]).ok()?..usize::try_from(pair[1]).ok()?;
                data.get(range).map(<[u8]>::to_vec)
            };
            cut(&[memory.wide[0]; 2])?; // which is looked at also where there are no items
            memory.wide.windows(2).map(cut).collect()
        })
    }

    pub fn data(&self) -> *const c_void {
        self.with(|memory| {
            memory
                .data
                .as_ref()
                .map_or(null(), |data| data.as_ptr().cast())
        })
    }

    pub fn wide(&self) -> *const i64 {
        self.with(|memory| memory.wide.as_ptr())
    }

    pub fn narrow(&self) -> *const i32 {
        self.with(|memory| memory.narrow.as_ptr())
    }

    fn with<T>(&self, read: impl FnOnce(&Memory) -> T) -> T {
        read(
            self.memory
                .lock()
                .unwrap()
                .as_ref()
                .expect("not released yet"),
        )
    }

    pub fn user(&self) -> *mut c_void {
        from_ref(self).cast_mut().cast()
    }

    /// The library has it, and will free `chained` with it.
    pub fn take(&mut self, chained: *mut toolpool_items_t) {
        self.taken = true;
        self.chained = AtomicPtr::new(chained);
    }

    /// What was lent without `release` is taken back once the items are freed.
    pub fn take_back(&self) {
        self.memory.lock().unwrap().take();
    }

    /// After everything was freed and closed.
    /// Whether no worker that was left behind inside a tool reads it any more.
    pub fn is_back(&self, with_release: bool) -> bool {
        self.released.load(SeqCst) >= usize::from(self.taken && with_release)
    }

    pub fn check_end(&self, with_release: bool) {
        let expected = usize::from(self.taken && with_release);
        assert_eq!(
            self.released.load(SeqCst),
            expected,
            "release is called exactly once"
        );
    }
}

/// What is passed as `release`.
pub fn release(with_release: bool) -> toolpool_release_t {
    with_release.then_some(give_back)
}

unsafe extern "C" fn give_back(user: *mut c_void) {
    // SAFETY: `user` is a Loan's, which lives until the end of the program.
    let loan = unsafe { &*user.cast::<Loan>() };
    loan.released.fetch_add(1, SeqCst);
    assert!(
        loan.memory.lock().unwrap().take().is_some(),
        "released twice"
    );
    c!(toolpool_items_free(loan.chained.swap(null_mut(), SeqCst)));
}
