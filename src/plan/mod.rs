//! DECIDE. What is to be done, as data.
//!
//! May use: `model::{spec, desired, ownership, finding, records, backend}`.
//! Pure: knows no clock, no client, no environment, no Kubernetes type.

pub mod step;
mod text;
