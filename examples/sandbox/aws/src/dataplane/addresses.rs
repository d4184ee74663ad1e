//! Where a target really listens.
//!
//! A pod address such as 10.0.48.11 or the port of an instance cannot be bound
//! on this machine. Whoever plays the pod listens on loopback and says so here.
//! A target without an entry refuses connections, as a machine without a
//! listener does.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

/// Table from a target (`10.0.48.11:8080`, `i-0abc:30080`) to a loopback socket.
///
/// Cheap to clone; all clones are one table.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    table: Arc<RwLock<BTreeMap<String, SocketAddr>>>,
}

/// Why an entry was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The key does not name a target and its port.
    #[error(
        "'{0}' is no target: expected ADDRESS:PORT or INSTANCE:PORT, such as 10.0.48.11:8080 or i-0abc:30080"
    )]
    Key(String),
    /// The socket is not on this machine's loopback.
    #[error(
        "'{1}' for '{0}' is no loopback address: the simulator connects to loopback only, such as 127.0.0.1:40001"
    )]
    NotLoopback(String, SocketAddr),
}

impl Addresses {
    /// Says where `target` listens; `None` removes the entry.
    ///
    /// Errors when `target` is not of the form `ADDRESS:PORT` or `INSTANCE:PORT`,
    /// and when the socket is not on loopback.
    pub fn set(&self, target: &str, socket: Option<SocketAddr>) -> Result<(), AddressError> {
        self.set_all(&BTreeMap::from([(target.to_owned(), socket)]))
    }

    /// Takes several entries as [`Addresses::set`] does; when one is wrong, none.
    pub fn set_all(
        &self,
        entries: &BTreeMap<String, Option<SocketAddr>>,
    ) -> Result<(), AddressError> {
        let mut checked = Vec::with_capacity(entries.len());
        for (target, socket) in entries {
            let key = canonical(target)?;
            match socket {
                Some(socket) if !socket.ip().is_loopback() => {
                    return Err(AddressError::NotLoopback(key, *socket));
                }
                _ => checked.push((key, *socket)),
            }
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for (key, socket) in checked {
            match socket {
                Some(socket) => table.insert(key, socket),
                None => table.remove(&key),
            };
        }
        Ok(())
    }

    /// Where the target with this id (address or instance) and port listens.
    pub fn of(&self, id: &str, port: u16) -> Option<SocketAddr> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.get(&key(id, port)).copied()
    }

    /// All entries, sorted by target.
    pub fn all(&self) -> BTreeMap<String, SocketAddr> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.clone()
    }
}

fn key(id: &str, port: u16) -> String {
    match id.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) => format!("{id}:{port}"),
    }
}

fn canonical(target: &str) -> Result<String, AddressError> {
    if let Ok(socket) = target.parse::<SocketAddr>() {
        return Ok(socket.to_string());
    }
    match target.rsplit_once(':') {
        Some((id, port)) if id.starts_with("i-") => match port.parse::<u16>() {
            Ok(port) => Ok(key(id, port)),
            Err(_) => Err(AddressError::Key(target.to_owned())),
        },
        _ => Err(AddressError::Key(target.to_owned())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn set_find_and_remove() {
        let addresses = Addresses::default();
        let socket: SocketAddr = "127.0.0.1:40001".parse().unwrap();
        addresses.set("10.0.48.11:8080", Some(socket)).unwrap();
        addresses.set("i-0abc:30080", Some(socket)).unwrap();
        addresses.set("[fd00:0::1]:80", Some(socket)).unwrap();
        assert_eq!(addresses.of("10.0.48.11", 8080), Some(socket));
        assert_eq!(addresses.of("10.0.48.11", 8081), None);
        assert_eq!(addresses.of("i-0abc", 30080), Some(socket));
        assert_eq!(addresses.of("fd00::1", 80), Some(socket));
        addresses.set("10.0.48.11:8080", None).unwrap();
        assert_eq!(addresses.of("10.0.48.11", 8080), None);
    }

    #[test]
    fn refuses_what_is_no_target_and_what_is_not_here() {
        let addresses = Addresses::default();
        let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let away: SocketAddr = "192.0.2.1:80".parse().unwrap();
        for key in [
            "10.0.48.11",
            "pod:80",
            "i-0abc",
            "i-0abc:http",
            "i-0abc:70000",
        ] {
            assert_eq!(
                addresses.set(key, Some(here)),
                Err(AddressError::Key(key.to_owned()))
            );
        }
        assert!(matches!(
            addresses.set("10.0.0.1:80", Some(away)),
            Err(AddressError::NotLoopback(..))
        ));
        assert!(addresses.all().is_empty());
    }
}
