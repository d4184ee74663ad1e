//! A strict AWS simulator: ELBv2, EC2, Route 53, ACM and STS on one port, with
//! a data plane of real sockets on loopback.
//!
//! ```text
//! wire  ->  state  <-  dataplane, dns
//! ```
//!
//! * `state` is the account: pure values and rules, no I/O, no clock.
//! * `wire` speaks AWS's protocols and turns requests into calls on the state.
//! * `dataplane` and `dns` serve what the state says and report target health.

pub mod dataplane;
pub mod dns;
pub mod shared;
pub mod state;
pub mod timing;

pub use shared::SharedState;
pub use state::State;
pub use timing::Timing;
