//! The one binary, `siphon`.

use std::process::ExitCode;

fn main() -> ExitCode {
    capture_daemon::cli::main()
}
