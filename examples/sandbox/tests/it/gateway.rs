//! The gateway in front of a load balancer of the simulator, without a
//! Kubernetes.

use jiff::Timestamp;
use sandbox::account::Account;
use sandbox::gateway::Gateway;
use sandbox::web::{self, Answer, Listener};
use sandbox_aws::State;
use sandbox_aws::state::change_batch::ChangeAction;
use sandbox_aws::state::{AliasTarget, RecordSet};

use crate::processes;

const HOST: &str = "shop.example.com";

/// A load balancer that answers on port 443 and redirects from port 80, with a
/// record of the host.
fn furnish(account: &mut State, now: Timestamp) {
    use sandbox_aws::state::listener::NewListener;
    use sandbox_aws::state::load_balancer::NewLoadBalancer;
    use sandbox_aws::state::{
        action::NewAction, fixed_response::NewFixedResponse, redirect::NewRedirect,
    };

    let gateway = account.internet_gateways.values().next().unwrap();
    let vpc = gateway.vpc_id.clone().unwrap();
    let public = ["10.0.0.0/20", "10.0.16.0/20"];
    let subnets = account.subnets.values();
    let subnets = subnets.filter(|subnet| {
        subnet.vpc_id == vpc && public.contains(&subnet.cidr.to_string().as_str())
    });
    let balancer = NewLoadBalancer {
        name: "shop".to_owned(),
        subnets: subnets.map(|subnet| subnet.id.clone()).collect(),
        scheme: Some("internet-facing".to_owned()),
        ..NewLoadBalancer::default()
    };
    let arn = account.create_load_balancer(balancer, now).unwrap();
    let certificate = account.certificates.keys().next().cloned().unwrap();
    let action = |kind: &str| NewAction {
        kind: kind.to_owned(),
        ..NewAction::default()
    };
    let listener = |port, protocol: &str, action| NewListener {
        load_balancer_arn: arn.clone(),
        protocol: Some(protocol.to_owned()),
        port: Some(port),
        default_actions: Some(vec![action]),
        ..NewListener::default()
    };
    let redirect = NewAction {
        redirect: Some(NewRedirect {
            protocol: Some("HTTPS".to_owned()),
            port: Some("443".to_owned()),
            status_code: "HTTP_301".to_owned(),
            ..NewRedirect::default()
        }),
        ..action("redirect")
    };
    account
        .create_listener(&listener(80, "HTTP", redirect))
        .unwrap();
    let answer = NewAction {
        fixed_response: Some(NewFixedResponse {
            status_code: "200".to_owned(),
            message_body: Some("the shop".to_owned()),
            content_type: Some("text/plain".to_owned()),
        }),
        ..action("fixed-response")
    };
    let https = NewListener {
        certificates: Some(vec![(certificate, None)]),
        ..listener(443, "HTTPS", answer)
    };
    account.create_listener(&https).unwrap();
    let record = alias(account, &arn);
    let zone = account.hosted_zones.keys().next().cloned().unwrap();
    account
        .change_record_sets(&zone, vec![(ChangeAction::Create, record)], None, now)
        .unwrap();
}

fn alias(account: &State, load_balancer: &str) -> RecordSet {
    let balancer = &account.load_balancers[load_balancer];
    RecordSet {
        name: format!("{HOST}."),
        kind: "A".to_owned(),
        ttl: None,
        values: vec![],
        alias: Some(AliasTarget {
            hosted_zone_id: balancer.canonical_hosted_zone_id.clone(),
            dns_name: format!("{}.", balancer.dns_name.to_lowercase()),
            evaluate_target_health: false,
        }),
        routing: None,
        health_check_id: None,
    }
}

async fn ask(gateway: &Gateway, host: &str, path: &str) -> Answer {
    let at = Listener::plain(gateway.address());
    web::get(&at, host, path).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_follows_redirects_through_the_gateway() {
    let account = Account::of_cluster("sandbox").await.unwrap();
    let gateway = Gateway::start(0, &account).await.unwrap();
    let port = gateway.address().port();

    let page = ask(&gateway, "localhost", "/").await;
    assert!(page.status == 200 && page.body.contains("No host has a record"));
    let unknown = ask(&gateway, "shop.example.com.localhost", "/").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("NXDOMAIN"), "{}", unknown.body);

    account.state().write(furnish);
    processes::eventually("both listeners are open", async || {
        let open = web::listeners(&account.endpoint_url()).await.unwrap();
        open.len() == 2
    })
    .await;
    assert_eq!(
        gateway.url(HOST),
        format!("http://shop.example.com.localhost:{port}/")
    );
    let redirect = ask(&gateway, "shop.example.com.localhost", "/cart?a=b").await;
    assert_eq!(redirect.status, 301);
    assert_eq!(
        redirect.header("location"),
        format!("http://shop.example.com.443.localhost:{port}/cart?a=b")
    );
    let shop = ask(&gateway, "shop.example.com.443.localhost", "/cart?a=b").await;
    assert_eq!(
        (shop.status.as_u16(), shop.body.as_str()),
        (200, "the shop")
    );

    let closed = ask(&gateway, "shop.example.com.8080.localhost", "/").await;
    assert_eq!(closed.status, 404);
    assert!(closed.body.contains("no listener on port 8080"));
    let page = ask(&gateway, "localhost", "/").await;
    assert!(
        page.body
            .contains(&format!("href=\"{}\"", gateway.url(HOST)))
    );
}
