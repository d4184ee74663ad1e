//! All integration tests, in one binary: each more would link the AWS SDK
//! again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test may fail loudly

mod cases;
mod crash;
mod dns;
mod docs;
mod findings;
mod first;
mod layering;
mod lifecycle;
mod paper_aws;
mod properties;
mod real;
mod restart;
mod round_trip;
mod running;
mod support;
mod verification;
