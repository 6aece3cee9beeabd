//! What the bytes of a program choose: arguments, plain and odd.

use std::ffi::{CStr, c_char};
use std::ptr::null;

use toolpool_fuzz::ErrArg;

/// So many handles of a kind at a time, and so many pools in all; calls that would make more are left out.
pub const MOST: usize = 6;

pub const DEVICES: [Option<&CStr>; 8] = [
    Some(c"cpu"),
    Some(c"cpu*2"),
    Some(c"cpu*3"),
    None,
    Some(c"auto"),
    Some(c"cuda:0"),
    Some(c"\xff"),
    Some(c""),
];

pub const NAMES: [Option<&CStr>; 8] = [
    Some(c"output"),
    Some(c"input"),
    Some(c"vector"),
    Some(c"zero"),
    Some(c"more"),
    None,
    Some(c""),
    Some(c"\xc3("),
];

pub const KINDS: [Option<&CStr>; 6] = [
    Some(c"echo"),
    Some(c"esm2"),
    Some(c"library"),
    None,
    Some(c"\xfe"),
    Some(c""),
];

pub const SOURCES: [Option<&CStr>; 8] = [
    None,
    Some(c""),
    Some(c"facebook/esm2_t6_8M_UR50D"),
    Some(c":"),
    Some(c"/nonexistent.so:tool"),
    Some(c"libc.so.6:toolpool_no_such_tool:source"),
    Some(c"no_colon"),
    Some(c"\xff:\xff"),
];

pub const OPTIONS: [(Option<&CStr>, Option<&CStr>); 20] = [
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

pub const POOL_OPTIONS: [(Option<&CStr>, Option<&CStr>); 10] = [
    (Some(c"threads"), Some(c"1")),
    (Some(c"threads"), Some(c"1024")),
    (Some(c"memory_limit"), Some(c"1")),
    (Some(c"memory_limit"), Some(c"1e12")),
    (Some(c"trust"), Some(c"data")),
    (Some(c"trust"), Some(c"code")),
    (Some(c"threads"), Some(c"0")),
    (Some(c"trust"), None),
    (None, Some(c"1")),
    (Some(c"\xff"), Some(c"\xff")),
];

/// Milliseconds; a call without limit must end too.
pub const TIMES: [i64; 6] = [-1, 0, 1, 3, i64::MAX, i64::MIN];

pub const COSTS: [f64; 8] = [
    0.0,
    1.0,
    2.5,
    f64::INFINITY,
    -0.0,
    f64::MIN_POSITIVE,
    -1.0,
    f64::NAN,
];

pub fn pointer(text: Option<&CStr>) -> *const c_char {
    text.map_or(null(), CStr::as_ptr)
}

/// The choices behind a call's letter, read one by one; after the end, zeros.
pub struct Choice<'a>(pub std::slice::Iter<'a, u8>);

impl Choice<'_> {
    /// A choice: '0' is 0.
    pub fn digit(&mut self) -> u8 {
        self.0.next().map_or(0, |byte| byte.wrapping_sub(b'0'))
    }

    pub fn err(&mut self) -> ErrArg {
        self.digit().into()
    }

    /// True for one byte in eight, and not for '0'.
    pub fn rarely(&mut self) -> bool {
        self.digit() % 8 == 7
    }

    /// Items of a letter each, repeated by its upper bits; `_` is an empty one.
    pub fn items(&mut self) -> Vec<Vec<u8>> {
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

/// One of a list, or none of it.
pub fn pick<T>(list: &[T], choice: u8) -> Option<&T> {
    list.get(usize::from(choice) % (list.len() + 1))
}

pub fn pick_mut<T>(list: &mut [T], choice: u8) -> Option<&mut T> {
    let index = usize::from(choice) % (list.len() + 1);
    list.get_mut(index)
}

pub fn remove<T>(list: &mut Vec<T>, choice: u8) -> Option<T> {
    let index = usize::from(choice) % (list.len() + 1);
    (index < list.len()).then(|| list.remove(index))
}

pub fn time(p: &mut Choice) -> i64 {
    TIMES[usize::from(p.digit()) % 6]
}

pub fn index(p: &mut Choice) -> usize {
    let digit = p.digit();
    if digit == u8::MAX {
        usize::MAX
    } else {
        usize::from(digit)
    }
}

/// The size of a struct, or rarely one that is not.
pub fn size<T>(p: &mut Choice) -> usize {
    if p.rarely() {
        usize::from(p.digit())
    } else {
        size_of::<T>()
    }
}
