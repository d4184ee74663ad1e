//! The edge to AWS that `observe` and `apply` share: clients, error classes,
//! rate limits, the log of calls.
//!
//! May use: `aws-sdk-*`, `aws-config`, tokio. Knows nothing of Kubernetes, of
//! groups or of plans. Every call goes through [`client::Aws::call`], so that
//! limit, fence, error class and metric exist once.

pub mod class;
pub mod client;
pub mod error;
mod gate;
pub mod limit;
pub mod metrics;
pub mod operations;

#[cfg(test)]
pub(crate) mod tests;

pub use class::Class;
pub use client::{Aws, Options};
pub use error::Error;
