//! A strict AWS simulator: ELBv2, EC2, Route 53, ACM, WAF, Shield, Cognito, IAM's
//! server certificates, Resource Groups Tagging and STS on one port, with a data
//! plane of real sockets on loopback.
//!
//! ```text
//! wire  ->  state  <-  dataplane, dns
//! ```
//!
//! * `state` is an account in a region: pure values and rules, no I/O, no clock.
//!   `shared` keeps all accounts and regions apart.
//! * `wire` speaks AWS's protocols and turns requests into calls on the state,
//!   by AWS's own service models in `models/`.
//! * `control` is `/_sim`: faults, counts of calls, quotas, reset; `audit` finds
//!   what is left over, `resources` is what is there.
//! * `world` makes a small account as a cluster on EKS has it.
//! * `dataplane` and `dns` serve what the state says and report target health.
//! * `issuer` plays the providers at which users log in, outside of AWS and in
//!   Cognito.

pub mod audit;
mod authority;
mod authorization;
pub mod callers;
mod chance;
pub mod control;
pub mod dataplane;
pub mod dns;
mod events;
pub mod faults;
mod issuer;
pub mod journal;
mod json_web_token;
mod key_encryption;
mod own;
pub mod resources;
pub mod shared;
pub mod simulator;
pub mod state;
pub mod throttle;
pub mod timing;
mod url_encoding;
mod wire;
pub mod world;

pub use shared::SharedState;
pub use simulator::{Options, Simulator};
pub use state::State;
pub use timing::{Profile, Timing};
pub use world::{World, WorldIds};
