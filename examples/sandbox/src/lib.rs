//! A Kubernetes cluster and an AWS on one machine, to show and to test the
//! controller.
//!
//! ```text
//! main -> cli -> { up, demo, bench } -> sandbox -> { control_plane, account, kubelet, gateway, console }
//!                                       kubelet -> { control_plane, apps }
//!                                       account -> sandbox_aws
//!         cli -> bench_aws
//! ```
//!
//! * `control_plane` is the real one: etcd, kube-apiserver,
//!   kube-controller-manager, kube-scheduler, on loopback.
//! * `account` is the simulated AWS (a crate of its own) with the network that
//!   a cluster stands in.
//! * `kubelet` plays Nodes and Pods; what the Pods answer is in `apps`. The
//!   controller's own Pods run as real processes.
//! * `gateway` lets a browser reach the load balancers; `web` is how the
//!   sandbox itself asks them.
//! * `request` sends a request through a load balancer and says what became of
//!   it.
//! * `console` is a page that shows what there is and what happens.
//! * `demo` is the demonstration, `bench` measures the controller.
//! * `bench_aws` measures the simulated AWS, as a process of its own.
//! * `browser` drives a real one, to test and to measure the console's page.
//! * `controller` says which program the controller is and installs it from
//!   `deploy/`.
//!
//! Everything that is started ends with the process, however that ends:
//! [`control_plane::watchdog`].

pub mod account;
pub mod apps;
pub mod bench;
pub mod bench_aws;
pub mod browser;
pub mod cli;
pub mod console;
pub mod control_plane;
pub mod controller;
pub mod demo;
pub mod env_file;
pub mod gateway;
pub mod kubelet;
pub mod open_files;
pub mod request;
pub mod sandbox;
pub mod sent_events;
pub mod terminal;
pub mod up;
pub mod web;
