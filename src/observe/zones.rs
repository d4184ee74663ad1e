//! Hosted zones: which there are, and which VPCs the private ones serve.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Dns, lock};
use crate::aws::{Aws, Class, Error, operations};
use crate::model::records::Zone;

/// Zones are remembered this long; the verification interval where that is
/// shorter.
const AGE: Duration = Duration::from_mins(10);
/// And read again for somebody who misses one no sooner than this.
const AGAIN: Duration = Duration::from_mins(1);

/// The account's hosted zones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    /// All zones. The VPCs of a private zone are filled in only where some
    /// host lies in it; else their list is empty.
    pub zones: Vec<Zone>,
    /// Why zones cannot be listed, where the credentials do not allow it.
    pub denied: Option<Error>,
    /// Which listing of this process it is of.
    pub listing: u64,
}

impl Known {
    /// They are listed before they are used again.
    pub(super) fn forget(&mut self) {
        self.zones = None;
    }
}

/// What is remembered of zones.
#[derive(Debug, Default)]
pub(super) struct Known {
    zones: Option<(Instant, Arc<Zones>)>,
    listings: u64,
    vpcs: BTreeMap<String, Vec<String>>,
    told: bool,
}

impl Dns {
    /// The hosted zones, as remembered. `hosts` are those that
    /// records are wished for: of the private zones that they lie in, the VPCs
    /// are looked up. That zones may not be listed is an answer, not an error.
    pub async fn zones(&self, hosts: &BTreeSet<String>) -> Result<Arc<Zones>, Error> {
        self.zones_not_older(hosts, AGE).await
    }

    /// Reads the zones again for a host that lies in none; the remembered
    /// ones when they were read within the last minute.
    pub async fn zones_again(&self, hosts: &BTreeSet<String>) -> Result<Arc<Zones>, Error> {
        self.zones_not_older(hosts, AGAIN).await
    }

    async fn zones_not_older(
        &self,
        hosts: &BTreeSet<String>,
        age: Duration,
    ) -> Result<Arc<Zones>, Error> {
        let age = self
            .verify_interval
            .map_or(age, |interval| age.min(interval));
        let _shared = self.reading_zones.lock().await;
        let now = Instant::now();
        let remembered = {
            let known = lock(&self.zones);
            let remembered = known.zones.as_ref();
            remembered
                .filter(|(read, _)| *read + age > now)
                .map(|(_, zones)| Arc::clone(zones))
        };
        let zones = if let Some(zones) = remembered {
            zones
        } else {
            let (zones, denied) = match list(&self.aws).await {
                Ok(zones) => (zones, None),
                Err(error) if error.class == Class::Denied => (Vec::new(), Some(error)),
                Err(error) => return Err(error),
            };
            let mut known = lock(&self.zones);
            known.listings += 1;
            let zones = Arc::new(Zones {
                zones,
                denied,
                listing: known.listings,
            });
            known.vpcs.clear();
            known.zones = Some((now, Arc::clone(&zones)));
            if let Some(error) = &zones.denied
                && !known.told
            {
                known.told = true;
                tracing::warn!(%error, "hosted zones may not be listed: no DNS records are written");
            }
            zones
        };
        self.with_vpcs(zones, hosts).await
    }

    /// Fills in the VPCs of private zones that some host lies in.
    async fn with_vpcs(
        &self,
        zones: Arc<Zones>,
        hosts: &BTreeSet<String>,
    ) -> Result<Arc<Zones>, Error> {
        let lies_in = |zone: &Zone| hosts.iter().any(|host| within(host, &zone.name));
        let mut private = Vec::new();
        for zone in zones.zones.iter().filter(|z| z.private_vpcs.is_some()) {
            if lies_in(zone) {
                private.push(zone.id.clone());
            }
        }
        if private.is_empty() {
            return Ok(zones);
        }
        for id in &private {
            if !lock(&self.zones).vpcs.contains_key(id) {
                let vpcs = vpcs(&self.aws, id).await?;
                lock(&self.zones).vpcs.insert(id.clone(), vpcs);
            }
        }
        let known = lock(&self.zones);
        let mut filled = Zones::clone(&zones);
        for zone in filled.zones.iter_mut().filter(|z| private.contains(&z.id)) {
            zone.private_vpcs = known.vpcs.get(&zone.id).cloned();
        }
        Ok(Arc::new(filled))
    }
}

/// Whether a host lies in a zone, whole labels compared.
fn within(host: &str, zone: &str) -> bool {
    host.strip_suffix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

async fn list(aws: &Aws) -> Result<Vec<Zone>, Error> {
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let call = aws.route53.list_hosted_zones().set_marker(marker).send();
        let page = aws.call(&operations::LIST_HOSTED_ZONES, call).await?;
        all.extend(page.hosted_zones().iter().map(|zone| {
            Zone {
                id: bare_id(zone.id()).to_owned(),
                name: super::dns::plain_name(zone.name()),
                private_vpcs: zone
                    .config()
                    .is_some_and(aws_sdk_route53::types::HostedZoneConfig::private_zone)
                    .then(Vec::new),
            }
        }));
        marker = page
            .is_truncated()
            .then(|| page.next_marker().map(str::to_owned))
            .flatten();
        if marker.is_none() {
            return Ok(all);
        }
    }
}

async fn vpcs(aws: &Aws, zone: &str) -> Result<Vec<String>, Error> {
    let call = aws.route53.get_hosted_zone().id(zone).send();
    let answer = aws.call(&operations::GET_HOSTED_ZONE, call).await?;
    Ok(answer
        .vpcs()
        .iter()
        .filter_map(|vpc| vpc.vpc_id().map(str::to_owned))
        .collect())
}

/// An id without `/hostedzone/` or `/change/` in front.
fn bare_id(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_lies_in_a_zone_by_whole_labels() {
        assert!(within("a.example.com", "example.com"));
        assert!(within("example.com", "example.com"));
        assert!(!within("badexample.com", "example.com"));
        assert_eq!(bare_id("/hostedzone/Z123"), "Z123");
    }
}
