//! Requests in words.
#![allow(clippy::unwrap_used)]

use super::*;

fn site(url: &str) -> Result<Site, String> {
    Site::of(&Asked {
        url: Some(url.to_owned()),
        ..Asked::default()
    })
}

#[test]
fn urls() {
    let shop = site("https://Shop.example.com/cart?x=1").unwrap();
    assert_eq!(
        (shop.secure, shop.port, shop.path.as_str()),
        (true, 443, "/cart?x=1")
    );
    assert_eq!(shop.authority(), "shop.example.com");
    let other = site("http://shop.example.com:8080").unwrap();
    assert_eq!(other.url(), "http://shop.example.com:8080/");
    for wrong in ["", "/cart", "ftp://shop.example.com/", "http://"] {
        assert!(site(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_sandbox_is_found_by_its_console_or_its_aws() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    let found = || Whereabouts::find(Some(&file));
    assert!(found().is_err());
    std::fs::write(&file, "A=b\nAWS_ENDPOINT_URL=http://127.0.0.1:1\n").unwrap();
    assert_eq!(
        found().unwrap(),
        Whereabouts::Aws("http://127.0.0.1:1".to_owned())
    );
    std::fs::write(
        &file,
        "SANDBOX_CONSOLE=http://127.0.0.1:2/\nAWS_ENDPOINT_URL=x\n",
    )
    .unwrap();
    assert_eq!(
        found().unwrap(),
        Whereabouts::Console("http://127.0.0.1:2/".to_owned())
    );
    std::fs::write(&file, "KUBECTL=x\n").unwrap();
    assert!(found().is_err());
}

fn resources() -> Resources {
    serde_json::from_value(json!({
        "loadBalancers": [{
            "arn": "arn:lb", "name": "k8s-shop", "dnsName": "k8s-shop-1.elb.amazonaws.com",
            "listeners": [{ "arn": "arn:l", "port": 80, "protocol": "HTTP", "rules": [{
                "arn": "arn:r", "priority": "1",
                "conditions": [{ "field": "host-header", "values": ["new.example.com"] }],
            }] }],
        }],
        "zones": [{ "name": "example.com.", "records": [
            { "name": "shop.example.com.", "type": "A", "alias": "K8s-shop-1.elb.amazonaws.com." },
            { "name": "\\052.apps.example.com.", "type": "A",
              "alias": "dualstack.k8s-shop-1.elb.amazonaws.com." },
        ] }],
    }))
    .unwrap()
}

#[test]
fn a_host_is_found_by_its_record_or_by_a_rule() {
    let resources = resources();
    let how = |host: &str| find(host, &resources).map(|(it, how)| (it.name.as_str(), how));
    assert_eq!(how("shop.example.com"), Ok(("k8s-shop", Found::ByName)));
    assert_eq!(how("a.apps.example.com"), Ok(("k8s-shop", Found::ByName)));
    assert_eq!(
        how("k8s-shop-1.elb.amazonaws.com"),
        Ok(("k8s-shop", Found::ByName))
    );
    assert_eq!(how("new.example.com"), Ok(("k8s-shop", Found::ByRule)));
    let error = how("other.example.com").unwrap_err();
    assert!(error.contains("shop.example.com"), "{error}");
}

#[test]
fn each_rule_says_why() {
    let condition = |met: bool| json!({ "field": "host-header", "wanted": ["a.com", "b.com"], "found": ["b.com"], "met": met });
    let rule = |conditions: Value| why(&json!({ "conditions": conditions }));
    assert_eq!(
        rule(json!([condition(false)])),
        "the host is b.com, the rule wants a.com or b.com"
    );
    assert_eq!(
        rule(json!([condition(true)])),
        "the host is b.com, as the rule wants (a.com or b.com)"
    );
    assert!(rule(json!([])).contains("no rule before it matched"));
}

#[test]
fn the_text_has_the_whole_way() {
    let trace = json!({
        "trace": {
            "listener": { "arn": "arn:l", "load_balancer": "arn:lb" },
            "rules": [{ "arn": "arn:r", "priority": "1", "matched": true, "conditions": [
                { "field": "path-pattern", "wanted": ["/*"], "found": ["/"], "met": true }
            ] }],
            "action": "forward",
            "target_group": { "arn": "arn:tg", "name": "k8s-web" },
            "target": { "target": "10.0.0.1:80", "why": "its turn" },
            "reason": "the target has answered",
        },
        "answer": { "status": 200, "headers": { "a": ["1", "2"] }, "body": "hello" },
    });
    let told = told(&trace, &Picture::default());
    assert_eq!((told.status, &told.reason), (Some(200), &None));
    let asking = Asking {
        method: "GET".to_owned(),
        site: site("http://shop.example.com/").unwrap(),
        found: Found::ByName,
    };
    let lines = text(&asking, &resources().load_balancers[0], &told);
    assert_eq!(
        lines,
        [
            "GET http://shop.example.com/",
            "load balancer  k8s-shop",
            "listener       HTTP 80",
            "rule 1         matches: the path is /, as the rule wants (/*)",
            "action         forward",
            "target         10.0.0.1:80: its turn",
            "answer         200, by the target",
            "",
            "a: 1, 2",
            "",
            "hello",
        ]
    );
}
