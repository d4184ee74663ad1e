//! Route 53: zones, batches, pages.

use hyper::Method;
use sandbox_aws::World;

use crate::support::Aws;

fn record(action: &str, name: &str, kind: &str, ttl: u32, values: &[&str]) -> String {
    let mut records = String::new();
    for value in values {
        records.push_str("<ResourceRecord><Value>");
        records.push_str(value);
        records.push_str("</Value></ResourceRecord>");
    }
    format!(
        "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>{ttl}</TTL><ResourceRecords>{records}</ResourceRecords></ResourceRecordSet></Change>"
    )
}

fn alias(action: &str, name: &str, zone: &str, target: &str) -> String {
    format!(
        "<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}</Name><Type>A</Type><AliasTarget><HostedZoneId>{zone}</HostedZoneId><DNSName>{target}</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget></ResourceRecordSet></Change>"
    )
}

#[tokio::test]
async fn batches_are_judged_in_order_and_as_a_whole() {
    let aws = Aws::start().await;
    let zone = aws.world.hosted_zones[0].clone();
    let a = |action: &str, value: &str| record(action, "a.example.com", "A", 60, &[value]);
    let txt = |value: &str| record("CREATE", "t.example.com", "TXT", 60, &[value]);
    let cases = [
        (a("CREATE", "10.0.0.1"), ""),
        (
            a("CREATE", "10.0.0.1"),
            "Tried to create resource record set [name='a.example.com.', type='A'] but it already exists",
        ),
        (
            a("DELETE", "10.0.0.2"),
            "but the values provided do not match the current values",
        ),
        (
            record("DELETE", "a.example.com", "A", 61, &["10.0.0.1"]),
            "do not match the current values",
        ),
        (a("DELETE", "10.0.0.1") + &a("CREATE", "10.0.0.2"), ""),
        (
            a("DELETE", "10.0.0.2") + &a("DELETE", "10.0.0.2"),
            "but it was not found",
        ),
        (
            record("DELETE", "b.example.com", "A", 60, &["10.0.0.1"]),
            "[name='b.example.com.', type='A'] but it was not found",
        ),
        (
            record("CREATE", "a.example.com", "CNAME", 60, &["b.example.org"]),
            "is not permitted as it conflicts with other records with the same DNS name in zone example.com.",
        ),
        (
            record("CREATE", "example.com", "CNAME", 60, &["b.example.org"]),
            "is not permitted at apex",
        ),
        (
            record("CREATE", "badexample.com", "A", 60, &["10.0.0.1"]),
            "is not permitted in zone example.com.",
        ),
        (
            record("CREATE", "c.example.com", "A", 60, &["nonsense"]),
            "Invalid Resource Record",
        ),
        (txt("no quotes"), "enclosed in quotation marks"),
        (txt("&quot;heritage=external-dns&quot;"), ""),
        (a("UPSERT", "10.0.0.3"), ""),
        (
            record(
                "UPSERT",
                "A.Example.com.",
                "A",
                60,
                &["10.0.0.5", "10.0.0.4"],
            ),
            "",
        ),
        // The order of values does not count.
        (
            record(
                "DELETE",
                "a.example.com",
                "A",
                60,
                &["10.0.0.4", "10.0.0.5"],
            ),
            "",
        ),
    ];
    for (changes, fault) in cases {
        let reply = aws.change(&zone, &changes).await;
        if fault.is_empty() {
            assert_eq!(reply.status, 200, "{changes} {}", reply.body);
            assert_eq!(reply.one("Status"), "PENDING");
        } else {
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (400, "InvalidChangeBatch"),
                "{changes}"
            );
            let message = reply.one("Message");
            assert!(
                message.starts_with('[') && message.ends_with(']') && message.contains(fault),
                "{message}"
            );
        }
    }
    // A batch with a fault changes nothing; two faults come in one message.
    let both = record("CREATE", "d.example.com", "A", 60, &["10.0.0.1"])
        + &record("CREATE", "x.example.org", "A", 60, &["10.0.0.1"])
        + &record("DELETE", "y.example.com", "A", 60, &["10.0.0.1"]);
    let reply = aws.change(&zone, &both).await;
    assert!(
        reply.one("Message").contains("example.com., RRSet")
            || reply.one("Message").contains(", Tried to delete")
    );
    let records = aws
        .route53(Method::GET, &format!("hostedzone/{zone}/rrset"), "")
        .await
        .ok();
    assert_eq!(
        records.all("Name"),
        ["example.com.", "example.com.", "t.example.com."]
    );
}

#[tokio::test]
async fn aliases_point_at_load_balancers_that_exist() {
    let aws = Aws::start().await;
    let zone = aws.world.hosted_zones[0].clone();
    aws.balancer("Web").await;
    let shown = aws.elb("DescribeLoadBalancers", &[]).await.ok();
    let (name, canonical) = (shown.one("DNSName"), shown.one("CanonicalHostedZoneId"));
    for (changes, fault) in [
        (
            alias(
                "CREATE",
                "a.example.com",
                &canonical,
                "nothing-1.us-east-1.elb.amazonaws.com",
            ),
            "but that target was not found",
        ),
        (
            alias("CREATE", "a.example.com", "Z2P70J7EXAMPLE", &name),
            "does not lie within the target zone",
        ),
        (
            alias("CREATE", "a.example.com", &zone, "b.example.com"),
            "but that target was not found",
        ),
    ] {
        let reply = aws.change(&zone, &changes).await;
        assert_eq!(reply.code(), "InvalidChangeBatch");
        assert!(reply.one("Message").contains(fault), "{}", reply.body);
    }
    let change = aws
        .change(&zone, &alias("CREATE", "*.Example.com", &canonical, &name))
        .await
        .ok()
        .one("Id");
    aws.change(
        &zone,
        &alias(
            "CREATE",
            "example.com",
            &canonical,
            &format!("dualstack.{name}"),
        ),
    )
    .await
    .ok();
    let records = aws
        .route53(Method::GET, &format!("hostedzone/{zone}/rrset"), "")
        .await
        .ok();
    assert_eq!(
        records.one("DNSName"),
        format!("dualstack.{}.", name.to_lowercase())
    );
    assert!(
        records
            .all("Name")
            .contains(&"\\052.example.com.".to_owned())
    );
    let shown = records.body.split("052.example.com.").nth(1).unwrap();
    assert!(!shown.contains("<TTL>") && !shown.contains("<ResourceRecords>"));

    let id = change.trim_start_matches("/change/").to_owned();
    aws.let_time_pass();
    let change = aws
        .route53(Method::GET, &format!("change/{id}"), "")
        .await
        .ok();
    assert_eq!(change.one("Status"), "INSYNC");
    let unknown = aws.route53(Method::GET, "change/C0", "").await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "NoSuchChange")
    );
}

#[tokio::test]
async fn zones_are_listed_by_id_and_by_name() {
    let zones = ["example.org", "b.example.com", "example.com"];
    let aws = Aws::start_with(World {
        zones: zones.map(str::to_owned).to_vec(),
        nodes: 0,
        ..World::default()
    })
    .await;
    let by_name = aws
        .route53(Method::GET, "hostedzonesbyname?maxitems=2", "")
        .await
        .ok();
    assert_eq!(by_name.all("Name"), ["example.com.", "b.example.com."]);
    assert_eq!(
        (by_name.one("IsTruncated"), by_name.one("NextDNSName")),
        ("true".into(), "example.org.".into())
    );
    // The name is where the listing starts, not a filter.
    let start = aws
        .route53(Method::GET, "hostedzonesbyname?dnsname=c.example.com", "")
        .await
        .ok();
    assert_eq!(start.all("Name"), ["example.org."]);

    let first = aws
        .route53(Method::GET, "hostedzone?maxitems=2", "")
        .await
        .ok();
    let next = first.one("NextMarker");
    let second = aws
        .route53(
            Method::GET,
            &format!("hostedzone?maxitems=2&marker={next}"),
            "",
        )
        .await
        .ok();
    assert_eq!(
        (
            first.all("Id").len(),
            second.all("Id").len(),
            second.one("IsTruncated")
        ),
        (2, 1, "false".into())
    );

    let id = &aws.world.hosted_zones[0];
    for path in [
        format!("hostedzone/{id}"),
        format!("hostedzone/%2Fhostedzone%2F{id}"),
    ] {
        let zone = aws.route53(Method::GET, &path, "").await.ok();
        assert_eq!(zone.one("Id"), format!("/hostedzone/{id}"));
        assert_eq!(
            (zone.one("PrivateZone"), zone.all("NameServer").len()),
            ("false".into(), 4)
        );
    }
    let unknown = aws.route53(Method::GET, "hostedzone/Z0", "").await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "NoSuchHostedZone")
    );
}

#[tokio::test]
async fn records_come_in_pages_and_from_a_start() {
    let aws = Aws::start().await;
    let zone = aws.world.hosted_zones[0].clone();
    let changes: String = (0..5)
        .map(|n| {
            record(
                "CREATE",
                &format!("h{n}.example.com"),
                "A",
                60,
                &["10.0.0.1"],
            )
        })
        .collect();
    aws.change(&zone, &changes).await.ok();
    let path = format!("hostedzone/{zone}/rrset");
    let first = aws
        .route53(Method::GET, &format!("{path}?maxitems=4"), "")
        .await
        .ok();
    assert_eq!(
        (first.one("IsTruncated"), first.one("NextRecordName")),
        ("true".into(), "h2.example.com.".into())
    );
    let second = aws
        .route53(
            Method::GET,
            &format!("{path}?name=h2.example.com.&type=A"),
            "",
        )
        .await
        .ok();
    assert_eq!(
        second.all("Name"),
        ["h2.example.com.", "h3.example.com.", "h4.example.com."]
    );
    for (query, code) in [("type=A", "InvalidInput"), ("colour=red", "InvalidInput")] {
        let reply = aws
            .route53(Method::GET, &format!("{path}?{query}"), "")
            .await;
        assert_eq!(reply.code(), code);
    }
}

#[tokio::test]
async fn zones_are_made_tagged_and_deleted() {
    let aws = Aws::start().await;
    let body = r#"<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>new.test</Name><CallerReference>one</CallerReference></CreateHostedZoneRequest>"#;
    let made = aws.route53(Method::POST, "hostedzone", body).await.ok();
    assert_eq!(made.status, 201);
    let id = made.one("Id").trim_start_matches("/hostedzone/").to_owned();
    assert!(made.location.unwrap().ends_with(&id));
    let again = aws.route53(Method::POST, "hostedzone", body).await;
    assert_eq!(
        (again.status, again.code().as_str()),
        (409, "HostedZoneAlreadyExists")
    );
    let wrong = aws
        .route53(Method::POST, "hostedzone", "<CreateHostedZoneRequest/>")
        .await;
    assert_eq!(wrong.code(), "MalformedInput");

    let tags = r#"<ChangeTagsForResourceRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><AddTags><Tag><Key>a</Key><Value>1</Value></Tag></AddTags></ChangeTagsForResourceRequest>"#;
    aws.route53(Method::POST, &format!("tags/hostedzone/{id}"), tags)
        .await
        .ok();
    let one = aws
        .route53(Method::GET, &format!("tags/hostedzone/{id}"), "")
        .await
        .ok();
    assert_eq!(one.one("Value"), "1");
    let other = &aws.world.hosted_zones[0];
    let ids = format!(
        r#"<ListTagsForResourcesRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ResourceIds><ResourceId>{id}</ResourceId><ResourceId>{other}</ResourceId></ResourceIds></ListTagsForResourcesRequest>"#
    );
    let both = aws
        .route53(Method::POST, "tags/hostedzone", &ids)
        .await
        .ok();
    assert_eq!(both.all("ResourceId"), [id.clone(), other.clone()]);

    aws.change(&id, &record("CREATE", "a.new.test", "A", 60, &["10.0.0.1"]))
        .await
        .ok();
    let path = format!("hostedzone/{id}");
    assert_eq!(
        aws.route53(Method::DELETE, &path, "").await.code(),
        "HostedZoneNotEmpty"
    );
    aws.change(&id, &record("DELETE", "a.new.test", "A", 60, &["10.0.0.1"]))
        .await
        .ok();
    aws.route53(Method::DELETE, &path, "").await.ok();
    assert_eq!(
        aws.route53(Method::GET, &path, "").await.code(),
        "NoSuchHostedZone"
    );
    let unknown = aws.route53(Method::GET, "trafficpolicies", "").await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "UnknownOperationException")
    );
}
