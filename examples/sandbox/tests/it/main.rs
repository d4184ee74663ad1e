//! The sandbox's own promises, on real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod bench_aws;
mod console;
mod control_plane;
mod demo;
mod gateway;
mod kubelet;
mod page;
mod processes;
mod up;
