//! DESIRED. What should be, derived from what Kubernetes says.
//!
//! May use: `k8s-openapi` data types, std, serde, and libraries that are pure
//! functions (hashes, YAML). Knows no clock, no client, no environment; takes
//! values and returns values. Total: bad input becomes findings, never an
//! error.
//!
//! [`membership`] says who belongs where, [`build()`] what a group should be,
//! [`backend_build`] and [`records_build`] what the cluster shares.

pub mod annotations;
pub mod applied;
pub mod backend;
pub mod backend_build;
pub mod backend_union;
pub mod build;
pub mod changes;
mod context;
pub mod desired;
pub mod endpoints;
pub mod facts;
pub mod finding;
#[cfg(test)]
mod fixtures;
pub mod group;
pub mod index;
pub mod limits;
mod listeners;
pub mod map;
mod member;
pub mod membership;
mod merge;
pub mod names;
pub mod ownership;
pub mod records;
pub mod records_build;
pub mod relation;
mod rules;
mod security_groups;
mod service_ports;
pub mod settings;
pub mod snapshot;
pub mod spec;
mod subnets;
mod tags;
mod target_groups;
pub mod targets;
pub mod values;
pub mod verdicts;
pub mod writers;

pub use build::{build, build_indexed};
