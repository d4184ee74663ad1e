//! The program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    alb_ingress_controller::main_with_args(std::env::args_os())
}
