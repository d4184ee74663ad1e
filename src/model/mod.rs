//! DESIRED. What should be, derived from what Kubernetes says.
//!
//! May use: `k8s-openapi` data types, std, serde. Knows no clock, no client,
//! no environment; takes values and returns values. Total: bad input becomes
//! findings, never an error.

pub mod annotations;
pub mod backend;
pub mod desired;
pub mod facts;
pub mod finding;
pub mod group;
pub mod names;
pub mod ownership;
pub mod records;
pub mod settings;
pub mod snapshot;
pub mod spec;
pub mod values;
