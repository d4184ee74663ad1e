//! The console as a program sees it: its stream, its requests, its refusals.

mod client;

use std::collections::BTreeSet;
use std::process::Output;

use hyper::{Method, header};
use sandbox::controller::{ControllerProgram, SUBCOMMAND, repository};
use sandbox::sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::process::Command;

use client::{Known, Page, send, text};

/// Runs `sandbox request`.
async fn request(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .arg("request")
        .args(arguments)
        .env_remove("SANDBOX_CONSOLE")
        .env_remove("AWS_ENDPOINT_URL")
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap()
}

/// Kubernetes, AWS and a console.
async fn sandbox() -> Sandbox {
    let controller = ControllerProgram {
        program: env!("CARGO_BIN_EXE_sandbox").into(),
        leading_args: vec![SUBCOMMAND.into()],
    };
    let options = Options {
        controller: Some(controller),
        console_port: Some(0),
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

async fn kubectl(sandbox: &Sandbox, line: &str) {
    let mut command = sandbox.control_plane.kubectl();
    command.args(line.split(' ')).current_dir(repository());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_sees_what_is_made_and_what_was_done_for_it() {
    let sandbox = sandbox().await;
    let console = sandbox.console.as_ref().unwrap().url();
    let page = Page::open(&console).await;
    page.sees("a first picture", |known| known.pictures == 1)
        .await;
    assert!(page.look(|known| known.groups.is_empty()));

    // Before there is a controller, nobody serves it.
    kubectl(&sandbox, "apply -f deploy/ingressclass.yaml").await;
    kubectl(&sandbox, "apply -k examples/2048").await;
    page.sees("an Ingress without a controller", |known| {
        let group = known.groups.get("arcade");
        let text = group.map(|group| &group["ingresses"][0]["servedText"]);
        text.is_some_and(|text| text.as_str().unwrap().contains("Is one running?"))
    })
    .await;
    sandbox.install_controller(&[]).await.unwrap();
    page.sees("five healthy Pods", |known| {
        known.targets("arcade", "healthy").len() == 5
            && known.groups["arcade"]["state"] == "Serving"
    })
    .await;
    page.sees("its record, and that it is served", |known| {
        known.records[0]["name"] == "game.example.com"
            && known.groups["arcade"]["ingresses"][0]["served"] == true
    })
    .await;
    whole_picture(&page);
    page.sees("the story of it", |known| {
        let done = known.told("arcade", "outcome");
        let calls = known.told("arcade", "call");
        let called = |action: &&str| calls.iter().any(|call| call["action"] == *action);
        done.iter().any(|entry| entry["outcome"] == "ok") && WRITES.iter().all(called)
    })
    .await;
    whole_story(&page);
    page.sees("who leads", |known| known.controller["leader"].is_string())
        .await;
    page.sees("how many calls there were", |known| {
        known.rate["writes"].as_u64().unwrap() > 5
    })
    .await;

    requests(&sandbox, &console, &page).await;
    changes(&sandbox, &page).await;
    logs_and_refusals(&page).await;

    // All of that without a call of its own.
    let calls = sandbox.account.journal().after(0);
    for call in calls.into_iter().filter(|call| call.service != "sts") {
        let caller = call.caller.unwrap_or_default();
        assert!(
            caller.contains("alb-ingress-controller"),
            "{} by {caller}",
            call.action
        );
    }
    assert_eq!(
        page.look(|known| known.pictures),
        1,
        "nothing was told twice"
    );
    sandbox.stop().await;
}

/// Writes of a group from nothing to a record.
const WRITES: [&str; 7] = [
    "CreateSecurityGroup",
    "CreateLoadBalancer",
    "CreateListener",
    "CreateTargetGroup",
    "CreateRule",
    "RegisterTargets",
    "ChangeResourceRecordSets",
];

fn whole_picture(page: &Page) {
    let group = page.look(|known| known.groups["arcade"].clone());
    assert_eq!(group["explicit"], true);
    let ingress = &group["ingresses"][0];
    assert_eq!(ingress["served"], true, "{ingress}");
    let balancer = &group["loadBalancer"];
    let ports: Vec<_> = balancer["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["port"])
        .collect();
    assert_eq!(ports, [80, 443]);
    let rules = balancer["listeners"][1]["rules"].as_array().unwrap();
    let rule = &rules[0];
    assert_eq!(rule["ingress"], "game/game", "{rule}");
    assert!(
        rule["action"]
            .as_str()
            .unwrap()
            .contains("(Service game/game:http)"),
        "{rule}"
    );
    assert!(
        balancer["listeners"][0]["rules"][0]["action"]
            .as_str()
            .unwrap()
            .contains("redirect to HTTPS")
    );
    for target in page.look(|known| known.targets("arcade", "healthy")) {
        assert!(
            target["pod"].as_str().unwrap().starts_with("game/game-"),
            "{target}"
        );
        assert_eq!(target["container"], "running");
    }
    let record = page.look(|known| known.records[0].clone());
    assert_eq!(record["name"], "game.example.com");
    assert_eq!(
        (&record["ours"], &record["group"]),
        (&json!(true), &json!("arcade"))
    );
    assert_eq!(record["ingress"], "game/game");
}

fn whole_story(page: &Page) {
    page.look(|known| {
        let plans = known.told("arcade", "plan");
        let plan = plans.first().expect("a plan");
        assert_eq!(plan["outcome"], "ok", "{plan}");
        let lines = plan["lines"].as_array().unwrap();
        let says = |text: &str| {
            lines
                .iter()
                .any(|line| line.as_str().unwrap().contains(text))
        };
        assert!(
            says("+ load balancer k8s-arcade-") && says("+ rule 443/"),
            "{plan}"
        );
        let calls = known.told("arcade", "call");
        for action in WRITES {
            let call = calls.iter().find(|call| call["action"] == action);
            let call = call.unwrap();
            assert_eq!(
                (&call["write"], &call["outcome"]),
                (&json!(true), &json!("ok"))
            );
            assert!(call["milliseconds"].is_number(), "{call}");
        }
        assert!(
            known
                .told("shared", "call")
                .iter()
                .any(|call| call["write"] == false)
        );
        assert!(!known.told("arcade", "event").is_empty());
    });
}

async fn requests(sandbox: &Sandbox, console: &str, page: &Page) {
    let ask = json!({ "url": "https://game.example.com/", "source": "192.0.2.7" });
    let (status, told) = page.ask(Method::POST, "/api/request", &ask).await;
    assert_eq!(status, 200, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["status"], &told["group"]),
        (&json!(200), &json!("arcade"))
    );
    assert!(
        told["target"]["pod"]
            .as_str()
            .unwrap()
            .starts_with("game/game-"),
        "{told}"
    );
    assert!(told["body"].as_str().unwrap().contains("2048"));
    let rules = told["rules"].as_array().unwrap();
    assert_eq!(rules.last().unwrap()["matched"], true);
    assert!(
        rules[0]["why"]
            .as_str()
            .unwrap()
            .contains("the host is game.example.com")
    );
    assert!(told["reason"].is_null() && told["why"].is_string());

    // The same in a terminal, with the console or with AWS alone.
    let aws = sandbox.account.endpoint_url();
    let url = "https://game.example.com/";
    let by_console = request(&[("SANDBOX_CONSOLE", console)], &[url]).await;
    let text = String::from_utf8(by_console.stdout).unwrap();
    assert!(by_console.status.success(), "{text}");
    assert!(
        text.contains(", Pod game/game-") && text.contains("answer         200"),
        "{text}"
    );
    let by_aws = request(
        &[("AWS_ENDPOINT_URL", &aws)],
        &[url, "--json", "-X", "HEAD"],
    )
    .await;
    assert!(by_aws.status.success(), "{by_aws:?}");
    let told: Value = serde_json::from_slice(&by_aws.stdout).unwrap();
    assert_eq!(told["status"], 200, "{told}");
    let nowhere = request(
        &[("SANDBOX_CONSOLE", console)],
        &["http://nowhere.example.com/"],
    )
    .await;
    assert_eq!(nowhere.status.code(), Some(1));
    let why = String::from_utf8(nowhere.stderr).unwrap();
    assert!(
        why.contains("no record of Route 53 leads nowhere.example.com"),
        "{why}"
    );
}

async fn changes(sandbox: &Sandbox, page: &Page) {
    page.tries("scale-up").await;
    page.sees("eight healthy Pods", |known| {
        known.targets("arcade", "healthy").len() == 8
    })
    .await;
    page.sees("who was registered", |known| {
        let calls = known.told("arcade", "call");
        let mut titles = calls.iter().map(|call| call["title"].as_str().unwrap());
        titles.any(|title| title.starts_with("RegisterTargets: ") && title.contains(", pod game/"))
    })
    .await;

    kubectl(sandbox, "apply -k examples/group").await;
    page.sees("a second Ingress", |known| {
        known.targets("arcade", "healthy").len() == 10
    })
    .await;
    page.tries("break").await;
    let served = |known: &Known| -> Vec<bool> {
        let ingresses = known.groups["arcade"]["ingresses"].as_array().unwrap();
        ingresses.iter().map(|it| it["served"] == true).collect()
    };
    page.sees("its finding, and the other served", |known| {
        served(known) == [true, false]
            && known.groups["arcade"]["findings"][0]["reason"] == "InvalidAnnotation"
    })
    .await;
    page.sees("the finding in the story", |known| {
        let found = known.told("arcade", "finding");
        found.iter().any(|entry| entry["outcome"] == "failed")
    })
    .await;
    page.tries("mend").await;
    page.sees("the finding is over", |known| {
        let found = known.told("arcade", "finding");
        served(known) == [true, true] && found.iter().all(|entry| entry["outcome"] == "ok")
    })
    .await;

    page.tries("delete-pod").await;
    page.sees("that a Pod is gone", |known| {
        let events = known.told("arcade", "event");
        let mut titles = events.iter().map(|entry| entry["title"].as_str().unwrap());
        titles.any(|title| title.starts_with("Pod game/game-") && title.contains("is gone"))
    })
    .await;
    page.tries("fail-health").await;
    page.sees("an unhealthy target that says why", |known| {
        let targets = known.targets("arcade", "unhealthy");
        let mut texts = targets
            .iter()
            .map(|target| target["text"].as_str().unwrap());
        texts.any(|text| text.contains("held by POST /_sim/health"))
    })
    .await;
    page.tries("heal").await;
    page.sees("no unhealthy target", |known| {
        known.targets("arcade", "unhealthy").is_empty()
    })
    .await;
    page.tries("add-ingress").await;
    page.sees("its rule and its record", |known| {
        let group = &known.groups["arcade"];
        let has = |all: &Value, text: &str| all.to_string().contains(text);
        served(known) == [true, true, true]
            && has(
                &group["loadBalancer"]["listeners"],
                "host extra.example.com",
            )
            && has(&group["records"], "extra.example.com")
    })
    .await;
    page.tries("fail-health").await;
    page.tries("break").await;
    page.sees("one that is broken, and an unhealthy target", |known| {
        served(known).contains(&false) && !known.targets("arcade", "unhealthy").is_empty()
    })
    .await;
    page.tries("reset").await;
    page.sees(
        "both Ingresses served by seven Pods, and the third leaves",
        |known| {
            let targets = known.targets("arcade", "healthy");
            let pods: BTreeSet<String> = targets.iter().map(|it| it["pod"].to_string()).collect();
            let ingresses = known.groups["arcade"]["ingresses"].as_array().unwrap();
            let stays = |it: &&Value| it["deleting"] != true && it["served"] == true;
            pods.len() == 7 && ingresses.iter().filter(stays).count() == 2
        },
    )
    .await;
    let (status, why) = page
        .ask(Method::POST, "/api/actions/heal", &Value::Null)
        .await;
    assert_eq!(status, 409, "{why}");
}

async fn logs_and_refusals(page: &Page) {
    let pods = page.look(|known| {
        let targets = known.targets("arcade", "healthy");
        let pods = targets
            .into_iter()
            .map(|target| target["pod"].as_str().unwrap().to_owned());
        let controllers = known.controller["pods"].as_array().unwrap().iter();
        let controllers = controllers.map(|pod| pod.as_str().unwrap().to_owned());
        pods.chain(controllers).collect::<Vec<_>>()
    });
    assert!(pods.len() >= 9, "{pods:?}");
    for pod in pods {
        let path = format!("/api/pods/{pod}/log?tail=5");
        let (status, log) = page.ask(Method::GET, &path, &Value::Null).await;
        assert_eq!(status, 200, "{pod}: {log}");
        assert!((1..=5).contains(&log.lines().count()), "{pod}: {log}");
    }
    for nobody in ["game/nobody", "game/..%2Fservices%2Fgame"] {
        let path = format!("/api/pods/{nobody}/log");
        let (status, _) = page.ask(Method::GET, &path, &Value::Null).await;
        assert_eq!(status, 404, "{nobody}");
    }

    let (status, actions) = page.ask(Method::GET, "/api/actions", &Value::Null).await;
    assert_eq!(status, 200);
    let actions: Value = serde_json::from_str(&actions).unwrap();
    for action in actions.as_array().unwrap() {
        let command = action["command"].as_str().unwrap();
        assert!(
            command.starts_with("kubectl ") || command.starts_with("curl "),
            "{action}"
        );
        assert!(!command.contains("curl -s /"), "{action}");
        assert!(action["watch"].as_str().unwrap().ends_with('.'), "{action}");
        assert_eq!(
            action["available"] == true,
            action["why"].is_null(),
            "{action}"
        );
    }

    let address = page.address;
    let foreign = [("host", "evil.example")];
    for path in ["/", "/api/stream", "/api/actions"] {
        let refused = send(address, Method::GET, path, &foreign, "").await;
        assert_eq!(refused.status(), 403, "{path}");
    }
    let origin = [("origin", "http://evil.example")];
    for path in ["/api/request", "/api/actions/reset", "/api/plan"] {
        let refused = send(address, Method::POST, path, &origin, "{}").await;
        assert_eq!(refused.status(), 403, "{path}");
    }
    let own = format!("http://{address}");
    let own = [("origin", own.as_str())];
    let taken = send(address, Method::POST, "/api/request", &own, "{}").await;
    let policy = taken.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(
        text(taken).await,
        (400, r#"{"error":"expected a URL, or a host"}"#.to_owned())
    );
}
