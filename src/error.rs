//! What can go wrong: one error type, whose status is the code that C sees.

use std::ffi::CStr;
use std::fmt::Display;
use toolpool_abi as abi;

use crate::text::Text;
use crate::wire::{Reader, Writer};

macro_rules! statuses {
    ($($status:ident = $code:ident,)*) => {
        /// The kind of an error; each is one of the negative codes of `toolpool_status_t`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(i32)]
        pub enum Status {
            $($status = abi::$code,)*
        }

        impl Status {
            const ALL: &[Self] = &[$(Self::$status,)*];

            /// The name of its code in the header: `TOOLPOOL_ERR_…`.
            #[must_use]
            pub fn name(self) -> &'static CStr {
                match self {
                    $(Self::$status => c_name(concat!(stringify!($code), "\0")),)*
                }
            }
        }
    };
}

statuses! {
    Internal = TOOLPOOL_ERR_INTERNAL,
    Argument = TOOLPOOL_ERR_ARGUMENT,
    Device = TOOLPOOL_ERR_DEVICE,
    Option = TOOLPOOL_ERR_OPTION,
    Tool = TOOLPOOL_ERR_TOOL,
    Model = TOOLPOOL_ERR_MODEL,
    Backend = TOOLPOOL_ERR_BACKEND,
    Item = TOOLPOOL_ERR_ITEM,
    OutOfMemory = TOOLPOOL_ERR_OUT_OF_MEMORY,
    DeviceLost = TOOLPOOL_ERR_DEVICE_LOST,
    Contract = TOOLPOOL_ERR_CONTRACT,
    Cancelled = TOOLPOOL_ERR_CANCELLED,
    Closed = TOOLPOOL_ERR_CLOSED,
    Reentrant = TOOLPOOL_ERR_REENTRANT,
    Forked = TOOLPOOL_ERR_FORKED,
    NotFound = TOOLPOOL_ERR_NOT_FOUND,
    Failed = TOOLPOOL_ERR_FAILED,
    TimeLimit = TOOLPOOL_ERR_TIME_LIMIT,
    Transient = TOOLPOOL_ERR_TRANSIENT,
    Crashed = TOOLPOOL_ERR_CRASHED,
}

const fn c_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a name ends with its only NUL"),
    }
}

impl Status {
    /// The code of this status in the C surface.
    #[must_use]
    pub fn code(self) -> abi::toolpool_status_t {
        self as i32
    }

    /// The status of a code, or `None` for a number that is no error of ours.
    #[must_use]
    pub fn from_code(code: abi::toolpool_status_t) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|status| status.code() == code)
    }
}

/// An error: its kind, a message that names the thing, the reason and the way out, and the item it concerns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    status: Status,
    message: Text,
    item: Option<usize>,
}

impl Error {
    /// An error about no item in particular.
    pub fn new(status: Status, message: impl Display) -> Self {
        Self {
            status,
            message: message.to_string().as_str().into(),
            item: None,
        }
    }

    /// The same error, about the caller's item `index`.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.item = Some(index);
        self
    }

    /// The same error with `context` put before its message.
    #[must_use]
    pub fn within(mut self, context: impl Display) -> Self {
        self.message = format!("{context}: {}", self.message).as_str().into();
        self
    }

    /// The kind of the error.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The text, without a final full stop.
    #[must_use]
    pub fn message(&self) -> &Text {
        &self.message
    }

    /// The caller's index of the item that the error concerns.
    #[must_use]
    pub fn item(&self) -> Option<usize> {
        self.item
    }

    /// Writes it down for another process.
    pub fn put(&self, to: &mut Writer) {
        to.u32(self.status.code().cast_unsigned());
        to.text(&self.message);
        to.size(self.item.unwrap_or(usize::MAX));
    }

    /// What [`Error::put`] wrote in another process.
    pub fn take(from: &mut Reader) -> Option<Self> {
        let status = Status::from_code(from.u32()?.cast_signed())?;
        let error = Self::new(status, from.text()?);
        Some(match from.size()? {
            usize::MAX => error,
            item => error.at(item),
        })
    }
}

/// The result of whatever can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_as_its_status() {
        for &status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(status));
        }
        for code in [0, 1, 3, -21, i32::MIN] {
            assert_eq!(Status::from_code(code), None);
        }
    }

    #[test]
    fn context_goes_before_the_message_and_keeps_the_rest() {
        let error = Error::new(Status::Item, "empty").at(7).within("slot 2");
        assert_eq!(error.to_string(), "slot 2: empty");
        assert_eq!((error.status(), error.item()), (Status::Item, Some(7)));
    }
}
