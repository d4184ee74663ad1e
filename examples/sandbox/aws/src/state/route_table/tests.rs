#![allow(clippy::unwrap_used)]
use super::*;
use crate::Timing;

struct World {
    state: State,
    vpc: String,
    table: String,
    gateway: String,
}

fn world() -> World {
    let mut state = State::new("123456789012", "us-east-1", Timing::default());
    let vpc = state.create_vpc("10.0.0.0/16", &[]).unwrap();
    let table = state.create_route_table(&vpc, &[]).unwrap();
    let gateway = state.create_internet_gateway(&[]).unwrap();
    state.attach_internet_gateway(&gateway, &vpc).unwrap();
    World {
        state,
        vpc,
        table,
        gateway,
    }
}

#[test]
fn routes_come_and_go() {
    let World {
        mut state,
        vpc,
        table,
        gateway,
    } = world();
    state.create_route(&table, "0.0.0.0/0", &gateway).unwrap();
    for (to, through, code) in [
        ("0.0.0.0/0", gateway.as_str(), "RouteAlreadyExists"),
        ("10.0.0.0/16", &gateway, "RouteAlreadyExists"),
        ("10.0.1.0/24", &gateway, "InvalidParameterValue"),
        (
            "11.0.0.0/8",
            "igw-00000000000000000",
            "InvalidGatewayID.NotFound",
        ),
        ("11.0.0.0/8", "nat-00000000000000000", "NatGatewayNotFound"),
        ("11.0.0.0", &gateway, "InvalidParameterValue"),
    ] {
        let refused = state.create_route(&table, to, through).unwrap_err();
        assert_eq!(refused.code, code, "{to} {through}");
    }
    let route = state.route_tables[&table].routes[0].clone();
    assert!(state.is_active(&route, &vpc));
    state.detach_internet_gateway(&gateway, &vpc).unwrap();
    assert!(!state.is_active(&route, &vpc));
    let refused = state.create_route(&table, "12.0.0.0/8", &gateway);
    assert_eq!(refused.unwrap_err().code, "InvalidParameterValue");

    let named = |cidr: &str| NewRoute {
        cidr: Some(cidr.to_owned()),
        ..NewRoute::default()
    };
    state.delete_route(&table, &named("0.0.0.0/0")).unwrap();
    for (cidr, code) in [
        ("0.0.0.0/0", "InvalidRoute.NotFound"),
        ("10.0.0.0/16", "InvalidParameterValue"),
    ] {
        let refused = state.delete_route(&table, &named(cidr)).unwrap_err();
        assert_eq!(refused.code, code);
    }
    let both = NewRoute {
        gateway: Some(gateway.clone()),
        peering: Some("pcx-1".to_owned()),
        ..named("0.0.0.0/0")
    };
    let refused = state.add_route(&table, &both).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterCombination");
    let refused = state.add_route(&table, &named("0.0.0.0/0")).unwrap_err();
    assert_eq!(refused.code, "MissingParameter");
}

#[test]
fn the_main_table_can_change_but_not_go() {
    let World {
        mut state,
        vpc,
        table,
        ..
    } = world();
    let main = state.vpcs[&vpc].main_route_table.clone();
    let association = state.vpcs[&vpc].main_association.clone();
    let codes = [
        state.delete_route_table(&main).unwrap_err().code,
        state
            .disassociate_route_table(&association)
            .unwrap_err()
            .code,
    ];
    assert_eq!(codes, ["DependencyViolation", "InvalidParameterValue"]);
    state.replace_association(&association, &table).unwrap();
    assert_eq!(state.vpcs[&vpc].main_route_table, table);
    state.delete_route_table(&main).unwrap();
    let gone = state.replace_association(&association, &table).unwrap_err();
    assert_eq!(gone.code, "InvalidAssociationID.NotFound");
}

#[test]
fn a_subnet_has_one_table() {
    let World {
        mut state,
        vpc,
        table,
        ..
    } = world();
    let subnet = state.create_subnet(&vpc, "10.0.0.0/24", None, &[]).unwrap();
    let other = state.create_vpc("10.9.0.0/16", &[]).unwrap();
    let foreign = state.create_route_table(&other, &[]).unwrap();
    let refused = state.associate_route_table(&foreign, &subnet).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterValue");
    let id = state.associate_route_table(&table, &subnet).unwrap();
    let refused = state.associate_route_table(&table, &subnet).unwrap_err();
    assert_eq!(refused.code, "Resource.AlreadyAssociated");
    assert_eq!(
        state.delete_route_table(&table).unwrap_err().code,
        "DependencyViolation"
    );
    let second = state.create_route_table(&vpc, &[]).unwrap();
    let moved = state.replace_association(&id, &second).unwrap();
    state.disassociate_route_table(&moved).unwrap();
    let gone = state.disassociate_route_table(&moved).unwrap_err();
    assert_eq!(gone.code, "InvalidAssociationID.NotFound");
}
