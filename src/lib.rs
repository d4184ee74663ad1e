//! Kubernetes controller that turns annotated Ingresses into Application Load
//! Balancers and Route 53 records, and takes them away again.
//!
//! # The pipeline
//!
//! ```text
//! Kubernetes                                                              AWS
//!   watch ──> model ─────────────────> plan <──────────── observe <────── reads
//!   (in)      (desired, pure)         (pure)             (remembered)
//!                                        │
//!   report <──────────────────────────── apply ─────────────────────────> writes
//!   (out)
//! ```
//!
//! `reconcile` shows it on one screen. The key of work is the load balancer
//! group; two more keys do what the cluster shares: the backend security group
//! and the DNS records.
//!
//! # The dependency rule
//!
//! Left may use right; a test holds it.
//!
//! ```text
//! main -> run -> { config, telemetry, leader, queue, watch, reconcile }
//! reconcile -> watch, model, observe, plan, apply, report
//! apply -> plan, observe, aws      observe -> model, aws      report -> model, plan
//! plan  -> model (its types)       watch -> model (its types)
//! model -> (k8s-openapi data)      aws -> lane, (aws-sdk)     queue -> lane
//! spec  -> nothing                 lane -> nothing
//! ```
//!
//! # Glossary
//!
//! *Desired* is what Kubernetes asks for, *Observed* what AWS holds (as
//! remembered: maybe stale), *Plan* what was decided. A *finding* is what is
//! wrong with one Ingress; it never stops its neighbours. A *leaver* is an
//! Ingress that carries the group's finalizer and no longer belongs to it.

pub mod api_error;
pub mod apply;
pub mod aws;
pub mod config;
pub mod key;
pub mod lane;
pub mod leader;
pub mod model;
pub mod observe;
pub mod plan;
pub mod queue;
pub mod reconcile;
pub mod report;
pub mod run;
pub mod telemetry;
pub mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

/// The start and a burst of changes take much memory for a moment. This allocator
/// gives it back, and is the same under glibc and musl; how it is set stands in
/// `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs the program on a command line, the program's name first. Exits with 0
/// when it was told to end, with 2 when a dry run found something to do, with
/// 1 on any error.
pub fn main_with_args<I: IntoIterator<Item = OsString>>(arguments: I) -> ExitCode {
    run::main(arguments, reconcile::Reconciler::connect)
}
