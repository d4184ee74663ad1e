//! Instances: described, stopped, started, terminated.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    done,
    filter::Filters,
    filters,
    interfaces::{Shown, write_attachment, write_common, write_groups},
    listing::{Listing, Paging, write_tags},
    ready,
};
use crate::{
    state::{
        Answer, Instance, InstanceState, NetworkInterface, State, ec2_id::Kind, instance_type,
        regions::partition,
    },
    wire::{
        params::Input,
        xml::{Xml, time},
    },
};

pub fn handle(
    action: &str,
    input: &Input,
    state: &mut State,
    now: Timestamp,
) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeInstances" => describe(input, state),
        "DescribeInstanceStatus" => describe_status(input, state),
        "StopInstances" => stop(input, state, now),
        "StartInstances" => start(input, state, now),
        "RebootInstances" => reboot(input, state),
        "TerminateInstances" => terminate(input, state, now),
        _ => return None,
    })
}

const INSTANCES: Listing = Listing {
    ids: "InstanceId",
    kind: Kind::Instance,
    filters: filters::INSTANCES,
    sizes: (5, 1000),
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    input.flag("IncludeManagedResources")?;
    let all = state
        .instances
        .iter()
        .map(|(id, instance)| (id.as_str(), instance));
    // Filters know a reservation's fields, and more of interfaces than is
    // shown, so it all is written as one.
    let page = INSTANCES.select(input, state, all, |xml, instance| {
        xml.leaf("reservationId", &instance.reservation_id)
            .leaf("ownerId", &state.account);
        write_with(xml, state, instance, Shown::Alone);
    })?;
    let mut reservations: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for (_, instance) in page.items {
        reservations
            .entry(&instance.reservation_id)
            .or_default()
            .push(instance);
    }
    let mut xml = Xml::default();
    xml.list(
        "reservationSet",
        "item",
        reservations,
        |xml, (id, instances)| {
            xml.leaf("reservationId", id)
                .leaf("ownerId", &state.account)
                .nest("groupSet", |_| {});
            xml.list("instancesSet", "item", instances, |xml, instance| {
                write_instance(xml, state, instance);
            });
        },
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_state(xml: &mut Xml, name: &str, state: InstanceState) {
    xml.nest(name, |xml| {
        xml.leaf("code", state.code()).leaf("name", state.as_str());
    });
}

/// An instance as DescribeInstances and RunInstances show it.
pub(super) fn write_instance(xml: &mut Xml, state: &State, instance: &Instance) {
    write_with(xml, state, instance, Shown::InInstance);
}

/// An instance, its interfaces as they are shown there or in full.
fn write_with(xml: &mut Xml, state: &State, instance: &Instance, interfaces_are: Shown) {
    let settings = &instance.settings;
    let kind = instance_type::of(&instance.instance_type);
    let gone = instance.state == InstanceState::Terminated;
    xml.leaf("instanceId", &instance.id)
        .leaf("imageId", &instance.image_id)
        .leaf("instanceType", &instance.instance_type)
        .leaf("launchTime", time(instance.launched))
        .leaf("amiLaunchIndex", instance.launch_index)
        .leaf("architecture", kind.architecture)
        .leaf("hypervisor", "xen")
        .leaf("virtualizationType", "hvm")
        .leaf("rootDeviceType", "ebs")
        .leaf("rootDeviceName", "/dev/xvda")
        .leaf("ebsOptimized", settings.ebs_optimized)
        .leaf("enaSupport", true)
        .leaf("platformDetails", "Linux/UNIX")
        .leaf("usageOperation", "RunInstances")
        .leaf("usageOperationUpdateTime", time(instance.launched))
        .leaf("currentInstanceBootMode", "legacy-bios")
        .maybe("clientToken", instance.client_token.as_ref());
    write_state(xml, "instanceState", instance.state);
    write_reason(xml, instance);
    write_options(xml, state, instance);
    let interfaces: Vec<&NetworkInterface> = state.interfaces_of(&instance.id).collect();
    let primary = interfaces.iter().find(|interface| {
        interface
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.device_index == 0)
    });
    if gone {
        xml.leaf("privateDnsName", "").leaf("dnsName", "");
    } else {
        let public = primary.and_then(|interface| {
            interface
                .private_ips
                .first()
                .and_then(|first| state.address_at(&interface.id, *first))
                .map(|address| address.public_ip)
                .or(interface.public_ip)
        });
        let name = public.map(|public| state.public_name(&instance.vpc_id, public));
        xml.leaf("subnetId", &instance.subnet_id)
            .leaf("vpcId", &instance.vpc_id)
            .leaf("privateIpAddress", instance.private_ip)
            .leaf("privateDnsName", &instance.private_dns_name)
            .leaf("dnsName", name.unwrap_or_default())
            .maybe("ipAddress", public)
            .maybe(
                "ipv6Address",
                primary.and_then(|interface| interface.ipv6_addresses.first()),
            );
        if let Some(primary) = primary {
            xml.leaf("sourceDestCheck", primary.source_dest_check);
        }
    }
    let groups = primary
        .iter()
        .flat_map(|interface| &interface.security_groups);
    write_groups(xml, state, groups);
    xml.list(
        "networkInterfaceSet",
        "item",
        &interfaces,
        |xml, interface| {
            write_common(xml, state, interface, interfaces_are);
            write_attachment(xml, state, interface, interfaces_are);
        },
    );
    write_devices(xml, instance, gone);
    write_tags(xml, state.tags.get(&instance.id));
}

fn write_reason(xml: &mut Xml, instance: &Instance) {
    let Some(code) = instance.reason else {
        xml.leaf("reason", "");
        return;
    };
    xml.leaf("reason", "User initiated")
        .nest("stateReason", |xml| {
            xml.leaf("code", code)
                .leaf("message", format!("{code}: User initiated shutdown"));
        });
}

fn write_options(xml: &mut Xml, state: &State, instance: &Instance) {
    let settings = &instance.settings;
    let zone = state
        .availability_zones
        .iter()
        .find(|zone| zone.name == instance.availability_zone);
    xml.nest("placement", |xml| {
        xml.leaf("availabilityZone", &instance.availability_zone)
            .maybe("availabilityZoneId", zone.map(|zone| &zone.id))
            .leaf("groupName", "")
            .leaf("tenancy", "default");
    });
    xml.nest("monitoring", |xml| {
        let on = if settings.monitoring {
            "enabled"
        } else {
            "disabled"
        };
        xml.leaf("state", on);
    });
    if let Some(profile) = &settings.profile {
        let arn = if profile.starts_with("arn:") {
            profile.clone()
        } else {
            format!(
                "arn:{}:iam::{}:instance-profile/{profile}",
                partition(&state.region),
                state.account
            )
        };
        xml.nest("iamInstanceProfile", |xml| {
            xml.leaf("arn", arn);
        });
    }
    xml.nest("cpuOptions", |xml| {
        let vcpus = instance_type::of(&instance.instance_type).vcpus;
        xml.leaf("coreCount", vcpus.div_ceil(2))
            .leaf("threadsPerCore", if vcpus > 1 { 2 } else { 1 });
    });
    xml.nest("capacityReservationSpecification", |xml| {
        xml.leaf("capacityReservationPreference", "open");
    });
    xml.nest("hibernationOptions", |xml| {
        xml.leaf("configured", false);
    });
    xml.nest("enclaveOptions", |xml| {
        xml.leaf("enabled", false);
    });
    xml.nest("maintenanceOptions", |xml| {
        xml.leaf("autoRecovery", "default");
    });
    xml.nest("operator", |xml| {
        xml.leaf("managed", false);
    });
    xml.nest("privateDnsNameOptions", |xml| {
        xml.leaf("hostnameType", "ip-name")
            .leaf("enableResourceNameDnsARecord", false)
            .leaf("enableResourceNameDnsAAAARecord", false);
    });
    xml.nest("metadataOptions", |xml| {
        super::attributes::write_metadata(xml, &settings.metadata, "applied");
    });
}

fn write_devices(xml: &mut Xml, instance: &Instance, gone: bool) {
    let volume = (!gone).then_some(&instance.volume_id);
    xml.list("blockDeviceMapping", "item", volume, |xml, volume| {
        xml.leaf("deviceName", "/dev/xvda").nest("ebs", |xml| {
            xml.leaf("volumeId", volume)
                .leaf("status", "attached")
                .leaf("attachTime", time(instance.launched))
                .leaf("deleteOnTermination", true);
        });
    });
}

fn read_ids(input: &Input) -> Answer<Vec<String>> {
    let ids = input.texts("InstanceId");
    if ids.is_empty() {
        input.need("InstanceId")?;
    }
    Ok(ids)
}

/// The answer of a change of state.
fn moved(state: &State, before: Vec<(String, InstanceState)>) -> Xml {
    let mut xml = Xml::default();
    xml.list("instancesSet", "item", before, |xml, (id, before)| {
        xml.leaf("instanceId", &id);
        if let Some(instance) = state.instances.get(&id) {
            write_state(xml, "currentState", instance.state);
        }
        write_state(xml, "previousState", before);
    });
    xml
}

fn stop(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let ids = read_ids(input)?;
    input.flag("Force")?;
    input.flag("SkipOsShutdown")?;
    let hibernate = input.flag("Hibernate")? == Some(true);
    ready(input)?;
    if hibernate {
        return Err(crate::state::Refusal::new(
            "UnsupportedHibernationConfiguration",
            "The instances are not enabled for hibernation.",
        ));
    }
    let before = state.stop_instances(&ids, now)?;
    Ok(moved(state, before))
}

fn start(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let ids = read_ids(input)?;
    input.text("AdditionalInfo");
    ready(input)?;
    let before = state.start_instances(&ids, now)?;
    Ok(moved(state, before))
}

fn reboot(input: &Input, state: &State) -> Answer<Xml> {
    let ids = read_ids(input)?;
    ready(input)?;
    state.reboot_instances(&ids)?;
    Ok(done())
}

fn terminate(input: &Input, state: &mut State, now: Timestamp) -> Answer<Xml> {
    let ids = read_ids(input)?;
    input.flag("Force")?;
    input.flag("SkipOsShutdown")?;
    ready(input)?;
    let before = state.terminate_instances(&ids, now)?;
    Ok(moved(state, before))
}

fn describe_status(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("InstanceId");
    let all = input.flag("IncludeAllInstances")?.unwrap_or(false);
    input.flag("IncludeManagedResources")?;
    let filters = Filters::read(input, filters::INSTANCE_STATUS, true)?;
    let paging = Paging::read(input, (5, 1000))?;
    ready(input)?;
    paging.check_alone(&ids, "InstanceId")?;
    for id in &ids {
        state.instance(id)?;
    }
    // Only those that run, unless all are asked for.
    let wanted = state.instances.values().filter(|instance| {
        (ids.is_empty() || ids.contains(&instance.id))
            && (all || instance.state == InstanceState::Running)
            && filters.pass(state.tags.get(&instance.id), || {
                let mut xml = Xml::default();
                write_status(&mut xml, instance);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |instance| instance.id.clone())?;
    let mut xml = Xml::default();
    xml.list("instanceStatusSet", "item", page.items, write_status);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_status(xml: &mut Xml, instance: &Instance) {
    let (summary, detail) = match instance.state {
        InstanceState::Running => ("ok", "passed"),
        InstanceState::Pending => ("initializing", "initializing"),
        _ => ("not-applicable", ""),
    };
    xml.leaf("instanceId", &instance.id)
        .leaf("availabilityZone", &instance.availability_zone);
    write_state(xml, "instanceState", instance.state);
    for name in ["systemStatus", "instanceStatus"] {
        xml.nest(name, |xml| {
            xml.leaf("status", summary);
            if !detail.is_empty() {
                xml.list("details", "item", [detail], |xml, detail| {
                    xml.leaf("name", "reachability").leaf("status", detail);
                });
            }
        });
    }
}
