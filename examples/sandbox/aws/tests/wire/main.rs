//! The API as a client meets it: raw HTTP requests, raw answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acm;
mod audit;
mod callers;
mod control;
mod ec2;
mod ec2_network;
mod elb;
mod elb_refusals;
mod elb_targets;
mod lags;
mod layering;
mod plane;
mod route53;
mod support;
