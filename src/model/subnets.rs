//! Which subnets a load balancer is in: the ones that an annotation names, or
//! those that their tags offer.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{CLUSTER_TAG_PREFIX, Facts, MINIMUM_ADDRESSES, Subnet};
use super::spec::Scheme;

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-subnets.html>
const ORDINARY_LOCALE: &str = "availability-zone";

/// Key of the tag that offers a subnet for load balancers of a scheme.
pub(super) fn role_tag(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Internal => "kubernetes.io/role/internal-elb",
        Scheme::InternetFacing => "kubernetes.io/role/elb",
    }
}

/// The subnets that an annotation names by id or by their `Name` tag.
/// `Err` says what is wrong and what to do.
pub(super) fn given(names: &[String], facts: &Facts) -> Result<BTreeSet<String>, String> {
    let mut chosen: Vec<&Subnet> = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        // Of several subnets with one name each repetition takes the next.
        let found = facts.subnets.iter().filter(|subnet| {
            if name.starts_with("subnet-") {
                subnet.id == *name
            } else {
                subnet.tags.get("Name") == Some(name)
            }
        });
        let next = found
            .filter(|subnet| !chosen.iter().any(|other| other.id == subnet.id))
            .min_by_key(|subnet| &subnet.id);
        match next {
            Some(subnet) => chosen.push(subnet),
            None if chosen.iter().any(|subnet| subnet.id == *name) => {}
            None => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        return Err(format!(
            "the VPC has no subnet {}: expected ids (subnet-...) or values of the tag Name of \
             subnets in the VPC",
            missing.join(", ")
        ));
    }
    check(&chosen)?;
    Ok(chosen.iter().map(|subnet| subnet.id.clone()).collect())
}

/// The subnets that the tags of the VPC's subnets offer for a scheme: those
/// with the role tag, else those that a route makes fit. One for each zone;
/// those of this cluster first, then by id. `Err` says what is missing.
pub(super) fn discovered(
    scheme: Scheme,
    cluster: &str,
    facts: &Facts,
) -> Result<BTreeSet<String>, String> {
    let role = role_tag(scheme);
    let tagged: Vec<&Subnet> = facts
        .subnets
        .iter()
        .filter(|subnet| {
            subnet
                .tags
                .get(role)
                .is_some_and(|value| value.is_empty() || value == "1")
        })
        .collect();
    let candidates = if tagged.is_empty() {
        let wanted = scheme == Scheme::InternetFacing;
        facts
            .subnets
            .iter()
            .filter(|subnet| subnet.routed_to_internet == wanted)
            .collect()
    } else {
        tagged
    };
    let count = candidates.len();
    let own_tag = format!("{CLUSTER_TAG_PREFIX}{cluster}");
    let mut zones: BTreeMap<&str, &Subnet> = BTreeMap::new();
    let (mut of_others, mut full) = (0, 0);
    for subnet in candidates {
        let is_own = |subnet: &Subnet| subnet.tags.contains_key(&own_tag);
        let is_others = subnet
            .tags
            .keys()
            .any(|key| key.starts_with(CLUSTER_TAG_PREFIX));
        if is_others && !is_own(subnet) {
            of_others += 1;
        } else if subnet.is_full() {
            full += 1;
        } else {
            let best = zones.entry(&subnet.availability_zone).or_insert(subnet);
            if (!is_own(subnet), &subnet.id) < (!is_own(best), &best.id) {
                *best = subnet;
            }
        }
    }
    let advice = format!(
        "tag at least two subnets in different zones with {role}=1, or name subnets in the \
         annotation alb.ingress.kubernetes.io/subnets"
    );
    if zones.is_empty() {
        return Err(format!(
            "no subnet fits the scheme {scheme}: of {count} looked at, {of_others} are tagged for \
             other clusters and {full} have fewer than {MINIMUM_ADDRESSES} free addresses; {advice}"
        ));
    }
    let chosen: Vec<&Subnet> = zones.into_values().collect();
    check(&chosen).map_err(|problem| format!("{problem}; {advice}"))?;
    Ok(chosen.iter().map(|subnet| subnet.id.clone()).collect())
}

/// What every choice must keep to: one subnet for each zone, one kind of
/// place, and enough of them.
fn check(chosen: &[&Subnet]) -> Result<(), String> {
    let mut zones: BTreeMap<&str, &Subnet> = BTreeMap::new();
    for subnet in chosen {
        if let Some(other) = zones.insert(&subnet.availability_zone, subnet) {
            return Err(format!(
                "subnets {} and {} are in one Availability Zone ({}): expected one subnet for each \
                 zone",
                other.id, subnet.id, subnet.availability_zone
            ));
        }
    }
    let locales: BTreeSet<&str> = chosen.iter().map(|subnet| subnet.locale.as_str()).collect();
    if locales.len() > 1 {
        let locales: Vec<_> = locales.into_iter().collect();
        return Err(format!(
            "the subnets are in places of different kinds ({}): expected one kind",
            locales.join(", ")
        ));
    }
    let minimum = if locales.contains(ORDINARY_LOCALE) {
        2
    } else {
        1
    };
    if chosen.len() < minimum {
        return Err(format!(
            "too few subnets ({}): expected at least {minimum}, in different Availability Zones",
            chosen.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use super::*;

    fn subnet(id: &str, zone: &str, tags: &[(&str, &str)]) -> Subnet {
        Subnet {
            id: id.to_owned(),
            availability_zone: zone.to_owned(),
            locale: ORDINARY_LOCALE.to_owned(),
            available_addresses: 100,
            routed_to_internet: false,
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn facts(subnets: Vec<Subnet>) -> Facts {
        Facts {
            subnets,
            ..Facts::default()
        }
    }

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    const INTERNAL: (&str, &str) = ("kubernetes.io/role/internal-elb", "1");
    const OWN: (&str, &str) = ("kubernetes.io/cluster/harbor", "shared");
    const RIVAL: (&str, &str) = ("kubernetes.io/cluster/rival", "shared");

    #[test]
    fn one_for_each_zone_the_clusters_own_first() {
        let facts = facts(vec![
            subnet("subnet-1", "a", &[INTERNAL]),
            subnet("subnet-2", "a", &[INTERNAL, OWN]),
            subnet("subnet-4", "b", &[INTERNAL]),
            subnet("subnet-3", "b", &[INTERNAL]),
            subnet("subnet-5", "c", &[INTERNAL, RIVAL]),
            subnet("subnet-6", "d", &[]),
            subnet("subnet-7", "e", &[("kubernetes.io/role/internal-elb", "0")]),
        ]);
        assert_eq!(
            discovered(Scheme::Internal, "harbor", &facts),
            Ok(ids(&["subnet-2", "subnet-3"]))
        );
    }

    #[test]
    fn without_role_tags_routes_decide() {
        let mut subnets = vec![
            subnet("subnet-1", "a", &[]),
            subnet("subnet-2", "b", &[]),
            subnet("subnet-3", "c", &[]),
        ];
        subnets[0].routed_to_internet = true;
        subnets[1].routed_to_internet = true;
        let facts = facts(subnets);
        assert_eq!(
            discovered(Scheme::InternetFacing, "harbor", &facts),
            Ok(ids(&["subnet-1", "subnet-2"]))
        );
        let error = discovered(Scheme::Internal, "harbor", &facts).unwrap_err();
        assert!(error.starts_with("too few subnets (1)"), "{error}");
    }

    #[test]
    fn full_subnets_and_those_of_others_are_counted() {
        let mut full = subnet("subnet-1", "a", &[INTERNAL]);
        full.available_addresses = 7;
        let facts = facts(vec![full, subnet("subnet-2", "b", &[INTERNAL, RIVAL])]);
        let error = discovered(Scheme::Internal, "harbor", &facts).unwrap_err();
        assert!(
            error.contains("of 2 looked at, 1 are tagged for other clusters and 1 have fewer"),
            "{error}"
        );
    }

    #[test]
    fn given_by_id_and_by_name() {
        let facts = facts(vec![
            subnet("subnet-1", "a", &[("Name", "east")]),
            subnet("subnet-2", "b", &[("Name", "east")]),
            subnet("subnet-3", "c", &[("Name", "west")]),
        ]);
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        assert_eq!(
            given(&names(&["subnet-3", "east"]), &facts),
            Ok(ids(&["subnet-1", "subnet-3"]))
        );
        assert_eq!(
            given(&names(&["east", "east"]), &facts),
            Ok(ids(&["subnet-1", "subnet-2"]))
        );
        let error = given(&names(&["east", "east", "east"]), &facts).unwrap_err();
        assert!(error.contains("no subnet east"), "{error}");
        let error = given(&names(&["subnet-9", "nowhere"]), &facts).unwrap_err();
        assert!(error.contains("no subnet subnet-9, nowhere"), "{error}");
        assert!(given(&names(&["west"]), &facts).is_err());
    }

    #[test]
    fn two_in_one_zone_and_mixed_places_are_refused() {
        let mut local = subnet("subnet-3", "c", &[]);
        local.locale = "local-zone".to_owned();
        let facts = facts(vec![
            subnet("subnet-1", "a", &[]),
            subnet("subnet-2", "a", &[]),
            local,
        ]);
        let error = given(&["subnet-1".into(), "subnet-2".into()], &facts).unwrap_err();
        assert!(error.contains("in one Availability Zone (a)"), "{error}");
        let error = given(&["subnet-1".into(), "subnet-3".into()], &facts).unwrap_err();
        assert!(error.contains("different kinds"), "{error}");
        assert_eq!(given(&["subnet-3".into()], &facts), Ok(ids(&["subnet-3"])));
    }
}
