//! The process of one isolated tool (`isolation = process`): toolpool starts it beside its library, and gives it orders
//! over its standard input.

use std::process::ExitCode;

use toolpool::ffi::batch::HOST;
use toolpool::tools::serve;

fn main() -> ExitCode {
    match serve(&HOST) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("toolpool-worker: {error} (it is started by toolpool, never by hand)");
            ExitCode::FAILURE
        }
    }
}
