//! The controller as a process: what it costs, two replicas, its pages, dry
//! runs, what it writes to Kubernetes, and verification in the background.

mod budgets;
mod environment;
mod process;
mod reports;
mod shop;

pub use shop::kubernetes_writes;
