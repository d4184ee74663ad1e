//! A member that goes bad keeps what is live; its neighbours go on.

use super::{has_rules, ingress, load_balancer, resolved, routes, settled, targets, warnings};
use crate::support::Scene;

const GROUP: &str = "findings-frozen";

fn member(name: &str, more: &[(&str, &str)], rules: &[(&str, &str, &str)]) -> String {
    let mut all = vec![("group.name", GROUP)];
    all.extend(more);
    ingress("{ns}", name, &all, &routes(rules))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_live_for_a_frozen_member_stays_and_neighbours_go_on() {
    let scene = Scene::new("findings-freeze").await;
    let ns = scene.name.clone();
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "one", &["10.0.48.91"]).await;
    scene.service(&ns, "two", &["10.0.64.91"]).await;
    let one = [
        ("one.example.com", "/", "one"),
        ("one.example.com", "/x", "one"),
    ];
    let good = [
        ("target-type", "ip"),
        ("group.order", "1"),
        ("tags", "team=one"),
        ("scheme", "internet-facing"),
    ];
    let neighbour = [("target-type", "ip"), ("group.order", "2")];
    scene.apply(&member("one", &good, &one)).await;
    scene
        .apply(&member(
            "two",
            &neighbour,
            &[("two.example.com", "/", "two")],
        ))
        .await;
    let own = "findings-freeze/one-one:80";
    let neighbours = "findings-freeze/two-two:80";
    let before = [
        format!("1 one.example.com /* -> {own}"),
        format!("2 one.example.com /x|/x/* -> {own}"),
        format!("3 two.example.com /* -> {neighbours}"),
    ];
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    has_rules(&scene, GROUP, 80, &before).await;
    scene.address(&ns, "two").await;
    settled(&scene, &controller, &ns, "two").await;
    let shared = || {
        scene.account(|state| {
            let lb = load_balancer(state, GROUP).unwrap();
            (
                lb.arn.clone(),
                state.tags[&lb.arn].clone(),
                lb.security_groups.clone(),
            )
        })
    };
    let live = shared();

    // It goes bad: it loses a rule, wants another scheme and other tags, and
    // an order that cannot be read. Its pods change too.
    let bad = [
        ("target-type", "ip"),
        ("group.order", "first"),
        ("tags", "team=other"),
        ("scheme", "internal"),
    ];
    scene.apply(&member("one", &bad, &one[..1])).await;
    scene
        .warned(
            &ns,
            "one",
            &[
                "InvalidGroup",
                "group.order is \"first\"",
                "from -1000 to 1000",
            ],
        )
        .await;
    scene.service(&ns, "one", &["10.0.48.92"]).await;
    settled(&scene, &controller, &ns, "one").await;
    has_rules(&scene, GROUP, 80, &before).await;
    assert_eq!(targets(&scene, own), ["10.0.48.91:8080"]);
    assert_eq!(shared(), live);
    assert_eq!(warnings(&scene, &ns, "two").await, [""; 0]);

    // Also for a process that has never seen it good; the neighbour changes.
    controller.kill().await;
    let controller = scene.controller(&[]).await;
    scene
        .service(&ns, "two", &["10.0.64.91", "10.0.64.92"])
        .await;
    let rules = [
        ("two.example.com", "/new", "two"),
        ("added.example.com", "/", "two"),
    ];
    let mut more = neighbour.to_vec();
    more.push(("listen-ports", r#"[{"HTTP":80},{"HTTP":8080}]"#));
    more.push(("tags", "team=two"));
    scene.apply(&member("two", &more, &rules)).await;
    let after = [
        format!("1 one.example.com /* -> {own}"),
        format!("2 one.example.com /x|/x/* -> {own}"),
        format!("3 two.example.com /new|/new/* -> {neighbours}"),
        format!("4 added.example.com /* -> {neighbours}"),
    ];
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    has_rules(&scene, GROUP, 80, &after).await;
    let added = [
        format!("1 two.example.com /new|/new/* -> {neighbours}"),
        format!("2 added.example.com /* -> {neighbours}"),
    ];
    let added: Vec<&str> = added.iter().map(String::as_str).collect();
    has_rules(&scene, GROUP, 8080, &added).await;
    settled(&scene, &controller, &ns, "two").await;
    assert_eq!(targets(&scene, own), ["10.0.48.91:8080"]);
    assert_eq!(
        targets(&scene, neighbours),
        ["10.0.64.91:8080", "10.0.64.92:8080"]
    );
    assert_eq!(shared(), live);

    // Good again, and what was held back is done.
    scene.apply(&member("one", &good, &one[..1])).await;
    resolved(&scene, &ns, "one", "InvalidGroup").await;
    let mended = [
        format!("1 one.example.com /* -> {own}"),
        format!("2 two.example.com /new|/new/* -> {neighbours}"),
        format!("3 added.example.com /* -> {neighbours}"),
    ];
    let mended: Vec<&str> = mended.iter().map(String::as_str).collect();
    has_rules(&scene, GROUP, 80, &mended).await;
    settled(&scene, &controller, &ns, "one").await;
    assert_eq!(targets(&scene, own), ["10.0.48.92:8080"]);

    // Bad once more, and deleted: deletion is never frozen.
    scene.apply(&member("one", &bad, &one[..1])).await;
    scene
        .eventually("it is frozen again", async || {
            let warnings = warnings(&scene, &ns, "one").await;
            let count = warnings
                .iter()
                .filter(|text| text.starts_with("InvalidGroup"))
                .count();
            if count >= 2 { Ok(()) } else { Err(warnings) }
        })
        .await;
    scene
        .kubectl(&["delete", "ingress", "-n", "{ns}", "--wait=false", "one"])
        .await;
    scene.gone(&ns, "one").await;
    let left: Vec<String> = mended[1..]
        .iter()
        .enumerate()
        .map(|(at, rule)| format!("{}{}", at + 1, &rule[1..]))
        .collect();
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    has_rules(&scene, GROUP, 80, &left).await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_not_made_yet_waits_for_a_frozen_member_and_not_for_one_that_disagrees() {
    let scene = Scene::new("findings-waiting").await;
    let ns = scene.name.clone();
    let controller = scene.controller(&[]).await;
    scene.service(&ns, "web", &["10.0.48.99"]).await;
    let member = |name: &str, more: &[(&'static str, &'static str)]| {
        let mut all = vec![("group.name", "findings-unmade"), ("target-type", "ip")];
        all.extend(more);
        let host = format!("{name}.example.com");
        ingress("{ns}", name, &all, &routes(&[(&host, "/", "web")]))
    };
    let scheme = ("scheme", "internet-facing");
    let bad = [
        scheme,
        ("success-codes", "200"),
        ("healthy-threshold-count", "two"),
    ];
    scene
        .apply(&[member("a", &bad), member("b", &[])].concat())
        .await;
    scene
        .warned(
            &ns,
            "b",
            &["WaitingForMember", "findings-waiting/a", "scheme"],
        )
        .await;
    scene
        .warned(
            &ns,
            "a",
            &["InvalidAnnotation", "healthy-threshold-count is \"two\""],
        )
        .await;
    settled(&scene, &controller, &ns, "b").await;
    assert_eq!(scene.ours(), [""; 0]);
    assert_eq!(warnings(&scene, &ns, "b").await.len(), 1);

    scene
        .apply(
            &[
                member("a", &[scheme]),
                member("c", &[("scheme", "internal")]),
            ]
            .concat(),
        )
        .await;
    let wished = [
        "1 a.example.com /* -> findings-waiting/a-web:80",
        "2 b.example.com /* -> findings-waiting/b-web:80",
    ];
    has_rules(&scene, "findings-unmade", 80, &wished).await;
    resolved(&scene, &ns, "b", "WaitingForMember").await;
    scene
        .warned(
            &ns,
            "c",
            &[
                "ConflictingAnnotation",
                "scheme asks for internal",
                "findings-waiting/a",
                "internet-facing",
            ],
        )
        .await;
    scene.address(&ns, "b").await;
    settled(&scene, &controller, &ns, "c").await;
    assert_eq!(warnings(&scene, &ns, "c").await.len(), 1);
    // Nobody disagrees any more.
    scene
        .kubectl(&["delete", "ingress", "-n", "{ns}", "--wait=false", "a"])
        .await;
    scene.gone(&ns, "a").await;
    resolved(&scene, &ns, "c", "ConflictingAnnotation").await;
    let wished = [
        "1 b.example.com /* -> findings-waiting/b-web:80",
        "2 c.example.com /* -> findings-waiting/c-web:80",
    ];
    has_rules(&scene, "findings-unmade", 80, &wished).await;
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
}
