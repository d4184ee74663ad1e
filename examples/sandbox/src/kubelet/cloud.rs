//! AWS as the played kubelet needs it: addresses for pods, and a place to say
//! where pods and node ports really listen.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The network of the AWS that the nodes stand in.
pub trait Network: std::fmt::Debug + Send + Sync + 'static {
    /// Gives a pod on an instance an address of the VPC.
    ///
    /// # Errors
    /// When the instance is not known or its subnet is full.
    fn assign_pod_address(&self, instance: &str) -> Result<Ipv4Addr, String>;
    /// Takes an address back.
    fn release_pod_address(&self, instance: &str, address: Ipv4Addr);
    /// Says where `target` (`ADDRESS:PORT` or `INSTANCE:PORT`) listens;
    /// `None`: nowhere.
    fn map(&self, target: &str, socket: Option<SocketAddr>);
}

/// A handle on the network; without one, nothing is told to anybody.
#[derive(Debug, Clone, Default)]
pub struct Cloud(Option<Arc<dyn Network>>);

impl Cloud {
    /// A handle on a network.
    pub fn new(network: impl Network) -> Self {
        Self(Some(Arc::new(network)))
    }

    /// Gives a pod on an instance an address of the VPC.
    ///
    /// # Errors
    /// When there is no network or it has no address left.
    pub fn assign(&self, instance: &str) -> Result<Ipv4Addr, String> {
        match &self.0 {
            Some(network) => network.assign_pod_address(instance),
            None => Err("there is no network".to_owned()),
        }
    }

    /// Takes an address back.
    pub fn release(&self, instance: &str, address: Ipv4Addr) {
        if let Some(network) = &self.0 {
            network.release_pod_address(instance, address);
        }
    }

    /// Says that `target` (`ADDRESS:PORT` or `INSTANCE:PORT`) listens at `socket`.
    pub fn open(&self, target: &str, socket: SocketAddr) {
        if let Some(network) = &self.0 {
            network.map(target, Some(socket));
        }
    }

    /// Says that `target` refuses connections.
    pub fn close(&self, target: &str) {
        if let Some(network) = &self.0 {
            network.map(target, None);
        }
    }
}
