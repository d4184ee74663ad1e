//! Managed prefix lists.

use super::{
    filter::{Filters, Known},
    listing::{Listing, Paging, read_tags, write_tags},
    once, ready,
};
use crate::{
    state::{
        Answer, PrefixList, State,
        ec2_id::Kind,
        prefix_list::{AWS_OWNER, NewPrefixList, PrefixListChange},
        regions::partition,
    },
    wire::{params::Input, xml::Xml},
};

pub fn handle(action: &str, input: &Input, state: &mut State) -> Option<Answer<Xml>> {
    Some(match action {
        "CreateManagedPrefixList" => create(input, state),
        "DescribeManagedPrefixLists" => describe(input, state),
        "GetManagedPrefixListEntries" => entries(input, state),
        "GetManagedPrefixListAssociations" => associations(input, state),
        "ModifyManagedPrefixList" => modify(input, state),
        "RestoreManagedPrefixListVersion" => restore(input, state),
        "DeleteManagedPrefixList" => delete(input, state),
        "DescribePrefixLists" => describe_services(input, state),
        _ => return None,
    })
}

const LISTS: Listing = Listing {
    ids: "PrefixListId",
    kind: Kind::PrefixList,
    filters: &[
        ("owner-id", "ownerId"),
        ("prefix-list-id", "prefixListId"),
        ("prefix-list-name", "prefixListName"),
    ],
    sizes: (1, 100),
};

fn describe(input: &Input, state: &State) -> Answer<Xml> {
    LISTS.answer(
        input,
        state,
        &state.prefix_lists,
        "prefixListSet",
        |xml, list| {
            let done = if list.version == 1 {
                "create-complete"
            } else {
                "modify-complete"
            };
            write(xml, state, list, done);
        },
    )
}

fn write(xml: &mut Xml, state: &State, list: &PrefixList, now: &str) {
    let arn = if list.owner == AWS_OWNER {
        format!(
            "arn:{}:ec2:{}:aws:prefix-list/{}",
            partition(&state.region),
            state.region,
            list.id
        )
    } else {
        state.ec2_arn(&list.owner, &format!("prefix-list/{}", list.id))
    };
    xml.leaf("prefixListId", &list.id)
        .leaf("prefixListName", &list.name)
        .leaf("prefixListArn", arn)
        .leaf("addressFamily", &list.family)
        .leaf("state", now)
        .leaf("maxEntries", list.max_entries)
        .leaf("version", list.version)
        .leaf("ownerId", &list.owner)
        .leaf("ipamPrefixListResolverSyncEnabled", false);
    write_tags(xml, state.tags.get(&list.id));
}

fn read_entries(input: &Input, name: &str) -> Answer<Vec<(String, Option<String>)>> {
    input
        .list(name)
        .iter()
        .map(|entry| Ok((entry.need("Cidr")?, entry.text("Description"))))
        .collect()
}

/// The list after a change that AWS goes on carrying out.
fn changing(state: &State, id: &str, now: &str) -> Answer<Xml> {
    let list = state.prefix_list(id)?;
    let mut xml = Xml::default();
    xml.nest("prefixList", |xml| write(xml, state, list, now));
    Ok(xml)
}

fn create(input: &Input, state: &mut State) -> Answer<Xml> {
    let new = NewPrefixList {
        name: input.need("PrefixListName")?,
        family: input.need("AddressFamily")?,
        max_entries: input.need_number("MaxEntries")?,
        entries: read_entries(input, "Entry")?,
        tags: read_tags(input, "prefix-list")?,
    };
    let token = input.text("ClientToken");
    ready(input)?;
    let ids = once("CreateManagedPrefixList", token, input, state, |state| {
        Ok(vec![state.create_prefix_list(&new)?])
    })?;
    let id = ids.first().map_or("", String::as_str);
    changing(state, id, "create-in-progress")
}

fn modify(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("PrefixListId")?;
    let change = PrefixListChange {
        current_version: input.number("CurrentVersion")?,
        name: input.text("PrefixListName"),
        add: read_entries(input, "AddEntry")?,
        remove: super::interfaces::fields(input, "RemoveEntry", "Cidr")?,
        max_entries: input.number("MaxEntries")?,
    };
    input.flag("IpamPrefixListResolverSyncEnabled")?;
    ready(input)?;
    state.modify_prefix_list(&id, &change)?;
    changing(state, &id, "modify-in-progress")
}

fn restore(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("PrefixListId")?;
    let previous = input.need_number("PreviousVersion")?;
    let current = input.need_number("CurrentVersion")?;
    ready(input)?;
    state.restore_prefix_list(&id, previous, current)?;
    changing(state, &id, "restore-in-progress")
}

fn delete(input: &Input, state: &mut State) -> Answer<Xml> {
    let id = input.need("PrefixListId")?;
    ready(input)?;
    let xml = changing(state, &id, "delete-in-progress")?;
    state.delete_prefix_list(&id)?;
    Ok(xml)
}

fn entries(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("PrefixListId")?;
    let version = input.number("TargetVersion")?;
    let paging = Paging::read(input, (1, 100))?;
    ready(input)?;
    let mut entries = state.prefix_list_entries(&id, version)?.to_vec();
    entries.sort_by_key(|entry| entry.range.to_string());
    let page = paging.cut(input, entries, |entry| entry.range.to_string())?;
    let mut xml = Xml::default();
    xml.list("entrySet", "item", page.items, |xml, entry| {
        xml.leaf("cidr", entry.range)
            .maybe("description", entry.description);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn associations(input: &Input, state: &State) -> Answer<Xml> {
    let id = input.need("PrefixListId")?;
    let paging = Paging::read(input, (5, 255))?;
    ready(input)?;
    state.prefix_list(&id)?;
    let mut users = state.users_of_prefix_list(&id);
    users.sort();
    let page = paging.cut(input, users, Clone::clone)?;
    let mut xml = Xml::default();
    xml.list(
        "prefixListAssociationSet",
        "item",
        page.items,
        |xml, user| {
            xml.leaf("resourceId", user)
                .leaf("resourceOwner", &state.account);
        },
    );
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// Filters of DescribePrefixLists.
const SERVICES: &Known = &[
    ("prefix-list-id", "prefixListId"),
    ("prefix-list-name", "prefixListName"),
];

/// DescribePrefixLists: Amazon's lists of the services with gateway endpoints.
fn describe_services(input: &Input, state: &State) -> Answer<Xml> {
    let ids = input.texts("PrefixListId");
    let filters = Filters::read(input, SERVICES, false)?;
    let paging = Paging::read(input, (1, 1000))?;
    ready(input)?;
    paging.check_alone(&ids, "PrefixListId")?;
    for id in &ids {
        state.prefix_list(id)?;
    }
    let write = |xml: &mut Xml, list: &PrefixList| {
        xml.leaf("prefixListId", &list.id)
            .leaf("prefixListName", &list.name)
            .texts(
                "cidrSet",
                "item",
                list.entries().iter().map(|entry| entry.range),
            );
    };
    let wanted = state.prefix_lists.values().filter(|list| {
        let gateway = list.owner == AWS_OWNER
            && matches!(list.name.rsplit('.').next(), Some("s3" | "dynamodb"));
        gateway
            && (ids.is_empty() || ids.contains(&list.id))
            && filters.pass(None, || {
                let mut xml = Xml::default();
                write(&mut xml, list);
                xml.into_text()
            })
    });
    let page = paging.cut(input, wanted, |list| list.id.clone())?;
    let mut xml = Xml::default();
    xml.list("prefixListSet", "item", page.items, write);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}
