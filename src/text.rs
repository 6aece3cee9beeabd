//! Text that Rust reads as `str` and C as a NUL-terminated string, without a copy.

use std::ffi::c_char;
use std::ops::Deref;
use std::sync::Arc;

/// Immutable text, shared when cloned. NUL characters in it are replaced by spaces.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// With a NUL at the end.
    terminated: Arc<str>,
}

impl Text {
    /// The text for C: NUL-terminated UTF-8 that lives as long as `self` or a clone of it.
    #[must_use]
    pub fn as_ptr(&self) -> *const c_char {
        self.terminated.as_ptr().cast()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut terminated = text.replace('\0', " ");
        terminated.push('\0');
        Self {
            terminated: terminated.into(),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.terminated[..self.terminated.len() - 1]
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_nuls_cannot_cut_the_text_short_for_c() {
        let text = Text::from("a\0b");
        assert_eq!(&*text, "a b");
        assert_eq!(&*text.terminated, "a b\0");
    }
}
