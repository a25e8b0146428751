//! Parse, call, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(spraylog::cli::main(std::env::args_os()).0)
}
