//! `toolpool run`: a model in a file over tensors in a file.

use std::ffi::c_void;
use std::fs;
use std::path::Path;

use crate::args::Run;
use crate::error::{Error, Result};
use crate::terminal::Ending;
