use super::super::fixtures::{WORLD, ingress_with, settings, shop};
use super::super::snapshot::snapshot_from_yaml;
use super::*;

const GROUP_FINALIZER: &str = "finalizers: [group.ingress.k8s.aws/g]";

#[allow(clippy::unwrap_used)] // a test may fail loudly
fn snapshot(manifests: &str) -> Snapshot {
    snapshot_from_yaml(&format!("{WORLD}{manifests}")).unwrap()
}

fn raw(name: &str, metadata: &str, spec: &str) -> String {
    format!(
        "---\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop, {metadata}}}\nspec: {spec}\n"
    )
}

fn g() -> GroupId {
    GroupId::Explicit("g".into())
}

/// The groups of a membership with names of members and leavers.
fn shape(membership: &Membership) -> Vec<(String, Vec<&str>, Vec<&str>)> {
    membership
        .groups
        .iter()
        .map(|(group, found)| {
            (
                group.to_string(),
                found.members.iter().map(|m| m.name.as_str()).collect(),
                found
                    .leavers
                    .iter()
                    .map(|leaver| leaver.ingress.name.as_str())
                    .collect(),
            )
        })
        .collect()
}

fn reasons(membership: &Membership) -> Vec<(&str, Reason)> {
    membership
        .findings
        .iter()
        .map(|finding| (finding.ingress.name.as_str(), finding.reason))
        .collect()
}

#[test]
fn a_deleted_ingress_of_another_class_is_told_apart() {
    let deleted =
        "deletionTimestamp: 2026-01-01T00:00:00Z, finalizers: [ingress.k8s.aws/resources]";
    let theirs = format!("{deleted}, annotations: {{kubernetes.io/ingress.class: nginx}}");
    let manifests = raw("a", deleted, "{ingressClassName: alb}") + &raw("b", &theirs, "{}");
    let snapshot = snapshot(&manifests);
    let names: Vec<_> = snapshot
        .ingresses
        .iter()
        .filter(|(_, ingress)| is_of_another(ingress, &snapshot, &settings()))
        .map(|(name, _)| name.name.as_str())
        .collect();
    assert_eq!(names, ["b"]);
    // Both leave: what was ours before is cleaned up.
    assert_eq!(groups(&snapshot, &settings()).groups.len(), 2);
}

#[test]
fn ours_by_class_and_by_annotation() {
    let foreign_class =
        "---\nkind: IngressClass\nmetadata: {name: nginx}\nspec: {controller: x}\n".to_owned();
    let manifests = [
        foreign_class,
        raw("a", "", "{ingressClassName: alb}"),
        raw("b", "annotations: {kubernetes.io/ingress.class: alb}", "{}"),
        raw(
            "c",
            "annotations: {kubernetes.io/ingress.class: nginx}",
            "{ingressClassName: alb}",
        ),
        raw("d", "", "{ingressClassName: nginx}"),
        raw("e", "", "{}"),
    ]
    .concat();
    let membership = groups(&snapshot(&manifests), &settings());
    assert_eq!(
        shape(&membership),
        [
            ("shop/a".to_owned(), vec!["a"], vec![]),
            ("shop/b".to_owned(), vec!["b"], vec![]),
        ]
    );
    assert!(membership.findings.is_empty());
}

#[test]
fn an_empty_class_setting_claims_what_has_no_class() {
    let manifests = [
        raw("a", "", "{}"),
        raw("b", "annotations: {kubernetes.io/ingress.class: ''}", "{}"),
        raw("c", "annotations: {kubernetes.io/ingress.class: alb}", "{}"),
        raw(
            "d",
            "annotations: {kubernetes.io/ingress.class: other}",
            "{}",
        ),
    ]
    .concat();
    let settings = Settings {
        ingress_class: String::new(),
        ..settings()
    };
    let membership = groups(&snapshot(&manifests), &settings);
    let names: Vec<_> = membership.groups.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["shop/a", "shop/b", "shop/c"]);
}

fn default_class(name: &str, controller: &str) -> String {
    format!(
        "---\nkind: IngressClass\nmetadata: {{name: {name}, annotations: \
         {{ingressclass.kubernetes.io/is-default-class: 'true'}}}}\nspec: {{controller: {controller}}}\n"
    )
}

#[test]
fn the_default_class_counts_where_none_is_named() {
    let one = default_class("main", CONTROLLER) + &raw("a", "", "{}");
    assert_eq!(groups(&snapshot(&one), &settings()).groups.len(), 1);
    let foreign = default_class("main", "x") + &raw("a", "", "{}");
    assert!(groups(&snapshot(&foreign), &settings()).groups.is_empty());
    let two = default_class("main", CONTROLLER) + &default_class("second", "x");
    let two = two + &raw("a", "", "{}") + &raw("b", "", "{ingressClassName: alb}");
    let membership = groups(&snapshot(&two), &settings());
    assert_eq!(membership.groups.len(), 1);
    assert_eq!(reasons(&membership), [("a", Reason::InvalidIngressClass)]);
    assert_eq!(membership.strays().count(), 1);
}

#[test]
fn a_missing_class_takes_nothing_down() {
    let manifests = [
        raw("new", "", "{ingressClassName: gone}"),
        raw("live", GROUP_FINALIZER, "{ingressClassName: gone}"),
    ]
    .concat();
    let membership = groups(&snapshot(&manifests), &settings());
    assert_eq!(shape(&membership), [("g".to_owned(), vec!["live"], vec![])]);
    assert_eq!(
        reasons(&membership),
        [
            ("live", Reason::InvalidIngressClass),
            ("new", Reason::InvalidIngressClass),
        ]
    );
    let strays: Vec<_> = membership.strays().map(|f| f.ingress.clone()).collect();
    assert_eq!(strays, [shop("new")]);
}

#[test]
fn a_class_with_parameters_is_not_supported_yet() {
    let class = |kind: &str| {
        format!(
            "---\nkind: IngressClass\nmetadata: {{name: tuned}}\nspec: {{controller: {CONTROLLER}, \
             parameters: {{apiGroup: elbv2.k8s.aws, kind: {kind}, name: p}}}}\n"
        )
    };
    let ingresses = [
        raw("new", "", "{ingressClassName: tuned}"),
        raw("live", GROUP_FINALIZER, "{ingressClassName: tuned}"),
    ]
    .concat();
    let membership = groups(
        &snapshot(&(class("IngressClassParams") + &ingresses)),
        &settings(),
    );
    assert_eq!(
        shape(&membership),
        [
            ("g".to_owned(), vec!["live"], vec![]),
            ("shop/new".to_owned(), vec!["new"], vec![]),
        ]
    );
    assert!(
        membership
            .findings
            .iter()
            .all(|f| f.reason == Reason::NotSupportedYet && f.effect == Effect::Frozen)
    );
    let membership = groups(&snapshot(&(class("ConfigMap") + &ingresses)), &settings());
    assert!(
        membership
            .findings
            .iter()
            .all(|f| f.reason == Reason::InvalidIngressClass)
    );
}

#[test]
fn a_misspelt_group_name_keeps_what_is_live() {
    let manifests = [
        ingress_with("shop", "new", "group.name: Grand_Opera", "", ""),
        ingress_with(
            "shop",
            "live",
            "group.name: Grand_Opera",
            GROUP_FINALIZER,
            "",
        ),
    ]
    .concat();
    let membership = groups(&snapshot(&manifests), &settings());
    assert_eq!(shape(&membership), [("g".to_owned(), vec!["live"], vec![])]);
    assert_eq!(
        reasons(&membership),
        [
            ("live", Reason::InvalidGroup),
            ("new", Reason::InvalidGroup)
        ]
    );
}

#[test]
fn a_bad_order_freezes_only_its_ingress() {
    let manifests = [
        ingress_with("shop", "a", "group.name: g\ngroup.order: '1001'", "", ""),
        ingress_with("shop", "b", "group.name: g\ngroup.order: '-5'", "", ""),
        ingress_with("shop", "c", "group.order: many", "", ""),
    ]
    .concat();
    let membership = groups(&snapshot(&manifests), &settings());
    assert_eq!(membership.groups[&g()].members, [shop("b"), shop("a")]);
    assert_eq!(reasons(&membership), [("a", Reason::InvalidGroup)]);
}

#[test]
fn leavers_are_known_by_their_finalizers() {
    let manifests = [
        ingress_with("shop", "moved", "group.name: h", GROUP_FINALIZER, ""),
        ingress_with(
            "shop",
            "gone",
            "group.name: g",
            "deletionTimestamp: '2026-01-01T00:00:00Z'\n  finalizers: \
             [group.ingress.k8s.aws/g, ingress.k8s.aws/resources, other/x]",
            "",
        ),
        raw("unclassed", GROUP_FINALIZER, "{}"),
        ingress_with("shop", "stays", "group.name: g", GROUP_FINALIZER, ""),
    ]
    .concat();
    let snapshot = snapshot(&manifests);
    let membership = groups(&snapshot, &settings());
    assert_eq!(
        shape(&membership),
        [
            (
                "g".to_owned(),
                vec!["stays"],
                vec!["gone", "moved", "unclassed"]
            ),
            ("h".to_owned(), vec!["moved"], vec![]),
            ("shop/gone".to_owned(), vec![], vec!["gone"]),
        ]
    );
    let of = |name: &str| groups_of(&snapshot.ingresses[&shop(name)], &snapshot, &settings());
    assert_eq!(
        of("moved"),
        BTreeSet::from([g(), GroupId::Explicit("h".into())])
    );
    assert_eq!(of("stays"), BTreeSet::from([g()]));
    let deleted: Vec<_> = membership.groups[&g()]
        .leavers
        .iter()
        .map(|leaver| leaver.deleted)
        .collect();
    assert_eq!(deleted, [true, false, false]);
    for (group, found) in &membership.groups {
        assert_eq!(of_group(group, &snapshot, &settings()).0, *found);
    }
}

#[test]
fn bindings_name_the_groups_of_another_controller() {
    let binding = |name: &str, labels: &str| {
        format!(
            "---\nkind: TargetGroupBinding\nmetadata: {{name: {name}, namespace: shop, labels: \
             {{{labels}}}}}\n"
        )
    };
    let manifests = [
        binding("a", "ingress.k8s.aws/stack: g"),
        binding(
            "b",
            "ingress.k8s.aws/stack-namespace: shop, ingress.k8s.aws/stack-name: web",
        ),
        binding("by-hand", ""),
    ]
    .concat();
    assert_eq!(
        groups_of_bindings(&snapshot(&manifests)),
        BTreeSet::from([g(), GroupId::Implicit(shop("web"))])
    );
}
