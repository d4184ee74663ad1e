#![allow(clippy::unwrap_used)]
use super::*;
use crate::Timing;

fn state() -> State {
    State::new("123456789012", "us-east-1", Timing::default())
}

fn new() -> NewPrefixList {
    NewPrefixList {
        name: "office".to_owned(),
        family: "IPv4".to_owned(),
        max_entries: 2,
        entries: vec![("10.1.2.3/8".to_owned(), None)],
        tags: Vec::new(),
    }
}

#[test]
fn versions() {
    let mut state = state();
    let id = state.create_prefix_list(&new()).unwrap();
    assert_eq!(
        state.prefix_lists[&id].entries()[0].range.to_string(),
        "10.0.0.0/8"
    );
    let mut change = PrefixListChange {
        add: vec![("11.0.0.0/8".to_owned(), Some("x".to_owned()))],
        ..PrefixListChange::default()
    };
    let refused = state.modify_prefix_list(&id, &change).unwrap_err();
    assert_eq!(refused.code, "MissingParameter");
    change.current_version = Some(2);
    let refused = state.modify_prefix_list(&id, &change).unwrap_err();
    assert_eq!(refused.code, "PrefixListVersionMismatch");
    change.current_version = Some(1);
    change.max_entries = Some(5);
    let refused = state.modify_prefix_list(&id, &change).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterCombination");
    change.max_entries = None;
    state.modify_prefix_list(&id, &change).unwrap();
    assert_eq!(state.prefix_lists[&id].version, 2);
    change.current_version = Some(2);
    change.add = vec![("12.0.0.0/8".to_owned(), None)];
    let refused = state.modify_prefix_list(&id, &change).unwrap_err();
    assert_eq!(refused.code, "PrefixListMaxEntriesExceeded");
    assert_eq!(state.prefix_list_entries(&id, Some(1)).unwrap().len(), 1);
    state.restore_prefix_list(&id, 1, 2).unwrap();
    assert_eq!(state.prefix_lists[&id].version, 3);
    assert_eq!(state.prefix_list_entries(&id, None).unwrap().len(), 1);
}

#[test]
fn bad_lists() {
    let mut state = state();
    let edit = |edit: fn(&mut NewPrefixList)| {
        let mut list = new();
        edit(&mut list);
        list
    };
    for (bad, code) in [
        (
            edit(|l| l.family = "ipv4".to_owned()),
            "InvalidParameterValue",
        ),
        (edit(|l| l.max_entries = 0), "InvalidParameterValue"),
        (edit(|l| l.max_entries = 1001), "InvalidParameterValue"),
        (
            edit(|l| l.name = "com.amazonaws.x".to_owned()),
            "InvalidParameterValue",
        ),
        (
            edit(|l| l.entries[0].0 = "::/0".to_owned()),
            "InvalidParameterValue",
        ),
        (
            edit(|l| l.entries.push(("10.0.0.0/8".to_owned(), None))),
            "InvalidParameterValue",
        ),
        (
            edit(|l| {
                l.entries.push(("11.0.0.0/8".to_owned(), None));
                l.entries.push(("12.0.0.0/8".to_owned(), None));
            }),
            "PrefixListMaxEntriesExceeded",
        ),
    ] {
        assert_eq!(state.create_prefix_list(&bad).unwrap_err().code, code);
    }
}

#[test]
fn amazons_own_lists_are_there_and_stay() {
    let mut state = state();
    let list = state
        .prefix_lists
        .values()
        .find(|list| list.name == "com.amazonaws.us-east-1.s3")
        .unwrap()
        .id
        .clone();
    let refused = state.delete_prefix_list(&list).unwrap_err();
    assert_eq!(refused.code, "OperationNotPermitted");
    assert!(state.prefix_lists.values().all(|l| !l.entries().is_empty()));
}
