//! What can be launched: images and types of instances; and root volumes.

use super::{
    filter::{Filters, Known},
    filters,
    listing::{Listing, Paging, write_tags},
    ready,
};
use crate::{
    state::{
        Answer, Instance, InstanceState, Refusal, State,
        ec2_id::Kind,
        image::{self, IMAGES, Image},
        instance_type::{InstanceType, TYPES, known},
    },
    wire::{
        params::Input,
        xml::{Xml, time},
    },
};

pub fn handle(action: &str, input: &Input, state: &State) -> Option<Answer<Xml>> {
    Some(match action {
        "DescribeImages" => images(input, state),
        "DescribeInstanceTypes" => types(input),
        "DescribeInstanceTypeOfferings" => offerings(input, state),
        "DescribeInstanceCreditSpecifications" => credits(input, state),
        "DescribeVolumes" => volumes(input, state),
        _ => return None,
    })
}

fn images(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("ImageId");
    let owners = input.texts("Owner");
    let executable_by = input.texts("ExecutableBy");
    input.flag("IncludeDeprecated")?;
    input.flag("IncludeDisabled")?;
    let filters = Filters::read(input, filters::IMAGES, true)?;
    let paging = Paging::read(input, (1, 1000))?;
    ready(input)?;
    paging.check_alone(&ids, "ImageId")?;
    for id in &ids {
        Kind::Image.check_form(id)?;
        if image::find(id).is_none() {
            return Err(Refusal::new(
                "InvalidAMIID.NotFound",
                format!("The image id '[{id}]' does not exist"),
            ));
        }
    }
    let account = |text: &String| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    let word = |text: &str| {
        matches!(
            text,
            "self" | "amazon" | "aws-marketplace" | "aws-backup-vault"
        )
    };
    if let Some(bad) = owners.iter().find(|owner| !account(owner) && !word(owner)) {
        return Err(malformed_user(bad));
    }
    if let Some(bad) = executable_by
        .iter()
        .find(|who| !account(who) && !matches!(who.as_str(), "self" | "all"))
    {
        return Err(malformed_user(bad));
    }
    let owned = |owner: &String| owner == "amazon" || owner == image::OWNER;
    let runnable = |who: &String| who == "all";
    let wanted = IMAGES.iter().filter(|image| {
        (ids.is_empty() || ids.iter().any(|id| id == image.id))
            && (owners.is_empty() || owners.iter().any(owned))
            && (executable_by.is_empty() || executable_by.iter().any(runnable))
            && filters.pass(None, || {
                let mut xml = Xml::default();
                write_image(&mut xml, state, image);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |image| image.id.to_owned())?;
    let mut xml = Xml::default();
    xml.list("imagesSet", "item", page.items, |xml, image| {
        write_image(xml, state, image);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn malformed_user(text: &str) -> Refusal {
    Refusal::new(
        "InvalidUserID.Malformed",
        format!("Invalid user id: \"{text}\""),
    )
}

fn write_image(xml: &mut Xml, _: &State, image: &Image) {
    xml.leaf("imageId", image.id)
        .leaf("imageLocation", format!("amazon/{}", image.name))
        .leaf("imageState", "available")
        .leaf("imageOwnerId", image::OWNER)
        .leaf("imageOwnerAlias", "amazon")
        .leaf("isPublic", true)
        .leaf("architecture", image.architecture)
        .leaf("imageType", "machine")
        .leaf("name", image.name)
        .leaf("description", image.description)
        .leaf("creationDate", image.created)
        .leaf("rootDeviceType", "ebs")
        .leaf("rootDeviceName", "/dev/xvda")
        .leaf("virtualizationType", "hvm")
        .leaf("hypervisor", "xen")
        .leaf("enaSupport", true)
        .leaf("sriovNetSupport", "simple")
        .leaf("platformDetails", "Linux/UNIX")
        .leaf("usageOperation", "RunInstances")
        .leaf("imdsSupport", "v2.0")
        .leaf("bootMode", "uefi-preferred");
    xml.list("blockDeviceMapping", "item", [image], |xml, image| {
        xml.leaf("deviceName", "/dev/xvda").nest("ebs", |xml| {
            xml.leaf("snapshotId", image.snapshot)
                .leaf("volumeSize", 8)
                .leaf("volumeType", "gp3")
                .leaf("deleteOnTermination", true)
                .leaf("encrypted", false);
        });
    });
    write_tags(xml, None);
}

fn check_types(names: &[String]) -> Answer<Vec<&String>> {
    let unknown: Vec<&str> = names
        .iter()
        .filter(|name| known(name).is_none())
        .map(String::as_str)
        .collect();
    if unknown.is_empty() {
        return Ok(names.iter().collect());
    }
    Err(Refusal::new(
        "InvalidInstanceType",
        format!(
            "The following supplied instance types do not exist: [{}]",
            unknown.join(", ")
        ),
    ))
}

fn types(input: &Input) -> Answer<Xml> {
    let names = input.texts("InstanceType");
    let filters = Filters::read(input, filters::INSTANCE_TYPES, false)?;
    input.flag("IncludeUnsupportedInRegion")?;
    let paging = Paging::read(input, (5, 100))?;
    ready(input)?;
    paging.check_alone(&names, "InstanceType")?;
    let wanted = check_types(&names)?;
    let wanted = TYPES.iter().filter(|kind| {
        (wanted.is_empty() || wanted.iter().any(|name| *name == kind.name))
            && filters.pass(None, || {
                let mut xml = Xml::default();
                write_type(&mut xml, kind);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |kind| kind.name.to_owned())?;
    let mut xml = Xml::default();
    xml.list("instanceTypeSet", "item", page.items, write_type);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_type(xml: &mut Xml, kind: &InstanceType) {
    xml.leaf("instanceType", kind.name)
        .leaf("currentGeneration", !kind.name.starts_with("m1"))
        .leaf("bareMetal", false)
        .leaf("hypervisor", "nitro")
        .leaf("burstablePerformanceSupported", kind.burstable)
        .leaf("freeTierEligible", kind.name.ends_with("t3.micro"))
        .leaf("hibernationSupported", false)
        .leaf("instanceStorageSupported", false)
        .leaf("dedicatedHostsSupported", true)
        .leaf("autoRecoverySupported", true)
        .texts("supportedUsageClasses", "item", ["on-demand", "spot"])
        .texts("supportedRootDeviceTypes", "item", ["ebs"])
        .texts("supportedVirtualizationTypes", "item", ["hvm"])
        .texts("supportedBootModes", "item", ["legacy-bios", "uefi"]);
    xml.nest("processorInfo", |xml| {
        xml.texts("supportedArchitectures", "item", [kind.architecture]);
    });
    xml.nest("vCpuInfo", |xml| {
        xml.leaf("defaultVCpus", kind.vcpus)
            .leaf("defaultCores", kind.vcpus.div_ceil(2))
            .leaf("defaultThreadsPerCore", if kind.vcpus > 1 { 2 } else { 1 });
    });
    xml.nest("memoryInfo", |xml| {
        xml.leaf("sizeInMiB", kind.memory);
    });
    xml.nest("networkInfo", |xml| {
        xml.leaf("maximumNetworkInterfaces", kind.interfaces)
            .leaf("maximumNetworkCards", 1)
            .leaf("ipv4AddressesPerInterface", kind.ipv4_addresses)
            .leaf("ipv6AddressesPerInterface", kind.ipv4_addresses)
            .leaf("ipv6Supported", true)
            .leaf("enaSupport", "required")
            .leaf("efaSupported", false);
    });
    xml.nest("ebsInfo", |xml| {
        xml.leaf("ebsOptimizedSupport", "default")
            .leaf("encryptionSupport", "supported")
            .leaf("nvmeSupport", "required");
    });
}

/// Filters of DescribeInstanceTypeOfferings.
const OFFERINGS: &Known = &[("instance-type", "instanceType"), ("location", "location")];

/// Every type is offered everywhere.
fn offerings(input: &Input, state: &State) -> Answer<Xml> {
    let by = input
        .text("LocationType")
        .unwrap_or_else(|| "region".to_owned());
    let filters = Filters::read(input, OFFERINGS, false)?;
    let paging = Paging::read(input, (5, 1000))?;
    ready(input)?;
    let zones = &state.availability_zones;
    let places: Vec<&str> = match by.as_str() {
        "region" => vec![&state.region],
        "availability-zone" => zones.iter().map(|zone| zone.name.as_str()).collect(),
        "availability-zone-id" => zones.iter().map(|zone| zone.id.as_str()).collect(),
        "outpost" => Vec::new(),
        other => {
            return Err(Refusal::parameter(format!(
                "Value ({other}) for parameter locationType is invalid."
            )));
        }
    };
    let write = |xml: &mut Xml, (name, place): (&str, &str)| {
        xml.leaf("instanceType", name)
            .leaf("locationType", &by)
            .leaf("location", place);
    };
    let wanted = TYPES
        .iter()
        .flat_map(|kind| places.iter().map(|place| (kind.name, *place)))
        .filter(|offer| {
            filters.pass(None, || {
                let mut xml = Xml::default();
                write(&mut xml, *offer);
                xml.into_text()
            })
        });
    let page = paging.cut(input, wanted, |(name, place)| format!("{name} {place}"))?;
    let mut xml = Xml::default();
    xml.list("instanceTypeOfferingSet", "item", page.items, write);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// Filters of DescribeInstanceCreditSpecifications.
const CREDITS: &Known = &[("instance-id", "instanceId")];

fn credits(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("InstanceId");
    let filters = Filters::read(input, CREDITS, false)?;
    let paging = Paging::read(input, (5, 1000))?;
    ready(input)?;
    paging.check_alone(&ids, "InstanceId")?;
    for id in &ids {
        state.instance(id)?;
    }
    let write = |xml: &mut Xml, instance: &Instance| {
        let mode = if instance.instance_type.starts_with("t2") {
            "standard"
        } else {
            "unlimited"
        };
        xml.leaf("instanceId", &instance.id)
            .leaf("cpuCredits", mode);
    };
    let wanted = state.instances.values().filter(|instance| {
        (ids.is_empty() || ids.contains(&instance.id))
            && crate::state::instance_type::of(&instance.instance_type).burstable
            && filters.pass(None, || {
                let mut xml = Xml::default();
                write(&mut xml, instance);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |instance| instance.id.clone())?;
    let mut xml = Xml::default();
    xml.list("instanceCreditSpecificationSet", "item", page.items, write);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

const VOLUMES: Listing = Listing {
    ids: "VolumeId",
    kind: Kind::Volume,
    filters: filters::VOLUMES,
    sizes: (5, 1000),
};

/// The root volumes of instances; others do not exist here.
fn volumes(input: &Input, state: &State) -> Answer<Xml> {
    input.flag("IncludeManagedResources")?;
    let all = state
        .instances
        .values()
        .filter(|instance| instance.state != InstanceState::Terminated)
        .map(|instance| (instance.volume_id.as_str(), instance));
    let write = |xml: &mut Xml, instance: &Instance| write_volume(xml, state, instance);
    let page = VOLUMES.select(input, state, all, write)?;
    let mut xml = Xml::default();
    xml.list("volumeSet", "item", page.items, |xml, (_, instance)| {
        write(xml, instance);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn write_volume(xml: &mut Xml, state: &State, instance: &Instance) {
    let snapshot = image::find(&instance.image_id).map(|image| image.snapshot);
    xml.leaf("volumeId", &instance.volume_id)
        .leaf("size", 8)
        .leaf("iops", 3000)
        .leaf("throughput", 125)
        .leaf("volumeType", "gp3")
        .leaf("encrypted", false)
        .leaf("multiAttachEnabled", false)
        .leaf("status", "in-use")
        .leaf("availabilityZone", &instance.availability_zone)
        .leaf("createTime", time(instance.launched))
        .maybe("snapshotId", snapshot);
    xml.list("attachmentSet", "item", [instance], |xml, instance| {
        xml.leaf("volumeId", &instance.volume_id)
            .leaf("instanceId", &instance.id)
            .leaf("device", "/dev/xvda")
            .leaf("status", "attached")
            .leaf("attachTime", time(instance.launched))
            .leaf("deleteOnTermination", true);
    });
    write_tags(xml, state.tags.get(&instance.volume_id));
}
