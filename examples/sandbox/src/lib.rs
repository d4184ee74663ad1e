//! A Kubernetes cluster and an AWS on one machine, for the demonstration and
//! the tests of the controller.

pub mod apps;
pub mod control_plane;
pub mod kubelet;
pub mod terminal;
