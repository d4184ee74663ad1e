//! What the program is told: by flags, by variables, by instance metadata.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::first::SHOP;
use crate::support::{Controller, Scene};

/// The program with nothing in its environment but what is given.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_alb-ingress-controller"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said() {
    let (code, text) = run(&[], &[("KUBECONFIG", "/nowhere")]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("set CLUSTER_NAME or --cluster-name"),
        "{text}"
    );
    let (code, text) = run(&["--cluster-name=demo"], &[("KUBECONFIG", "/nowhere")]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("cannot read the kubeconfig /nowhere"),
        "{text}"
    );
    let (code, text) = run(&["--help"], &[]).await;
    assert_eq!(code, Some(0), "{text}");
    for word in [
        "CLUSTER_NAME",
        "AWS_VPC_ID",
        "DISABLE_ROUTE53",
        "--bind-address",
        "[default: 8080]",
    ] {
        assert!(text.contains(word), "{word} not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_variables_are_enough_and_the_vpc_is_found() {
    let scene = Scene::alone("running-few").await;
    let endpoint = scene.aws.endpoint();
    let kubeconfig = Scene::kubeconfig();
    let environment = [
        ("KUBECONFIG", kubeconfig.as_str()),
        ("AWS_REGION", "us-west-2"),
        ("CLUSTER_NAME", "running-few"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test-secret"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        // Not ours: set by accident.
        ("PORT", "tcp://10.0.0.1:80"),
        ("DRY_RUN", "perhaps"),
    ];
    let (code, text) = run(&["--dry-run"], &environment).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&scene.ids.vpc), "{text}");
    // No Node's instance that AWS knows: what to do is said.
    scene.aws.state().write(|state, _| state.instances.clear());
    let (code, text) = run(&["--dry-run"], &environment).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("set AWS_VPC_ID or --aws-vpc-id"), "{text}");
    // Nor is a region guessed, or missed again with each call.
    let mut environment = environment.to_vec();
    environment.retain(|(name, _)| *name != "AWS_REGION");
    environment.push(("AWS_VPC_ID", scene.ids.vpc.as_str()));
    let (code, text) = run(&["--dry-run"], &environment).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("set AWS_REGION or --aws-region"), "{text}");
}

/// A server of pages on loopback.
struct Server {
    address: String,
    /// What was asked: heads and bodies.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers each request with what `page` makes of it, status and body;
    /// a connection each.
    async fn start(page: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = String::new();
                let mut buffer = [0; 4096];
                while !is_whole(&request) {
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(n) => request.push_str(&String::from_utf8_lossy(&buffer[..n])),
                    }
                }
                let (status, body) = page(&request);
                log.lock().unwrap().push(request);
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\
                     x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Whether a request has come with all of its body.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vpc_is_asked_of_instance_metadata_with_a_token() {
    const TOKEN: &str = "a-token-of-a-session";
    let scene = Scene::alone("running-metadata").await;
    // No Node's instance is known, so nothing else can tell.
    scene.aws.state().write(|state, _| state.instances.clear());
    let vpc = scene.ids.vpc.clone();
    let metadata = Server::start(move |request| {
        let lower = request.to_ascii_lowercase();
        let has_token = lower.contains(&format!("x-aws-ec2-metadata-token: {TOKEN}"));
        let path = request.split(' ').nth(1).unwrap_or_default();
        match (request.split(' ').next().unwrap_or_default(), path) {
            ("PUT", "/latest/api/token")
                if lower.contains("x-aws-ec2-metadata-token-ttl-seconds: ") =>
            {
                (200, TOKEN.to_owned())
            }
            ("GET", _) if !has_token => (401, String::new()),
            ("GET", "/latest/meta-data/mac") => (200, "0e:49:61:0f:c3:11".to_owned()),
            ("GET", "/latest/meta-data/network/interfaces/macs/0e:49:61:0f:c3:11/vpc-id") => {
                (200, vpc.clone())
            }
            _ => (404, String::new()),
        }
    })
    .await;
    let endpoint = scene.aws.endpoint();
    let kubeconfig = Scene::kubeconfig();
    let environment = [
        ("KUBECONFIG", kubeconfig.as_str()),
        ("AWS_REGION", "us-west-2"),
        ("CLUSTER_NAME", "running-metadata"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.address),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test-secret"),
    ];
    let (code, text) = run(&["--dry-run"], &environment).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&scene.ids.vpc), "{text}");
    let asked: Vec<String> = metadata
        .seen()
        .iter()
        .filter_map(|request| request.lines().next().map(str::to_owned))
        .collect();
    assert_eq!(asked.len(), 3, "{asked:#?}");

    // What is stated needs no metadata.
    let stated = [&environment[..], &[("AWS_VPC_ID", &*scene.ids.vpc)]].concat();
    let (code, text) = run(&["--dry-run"], &stated).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(metadata.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn region_and_vpc_of_the_environment_go_into_every_call() {
    let kubeconfig = {
        // The control plane is there once a scene is.
        let _scene = Scene::new("running-region").await;
        Scene::kubeconfig()
    };
    // There is no load balancer, and EC2, which is asked about the VPC,
    // refuses.
    let aws = Server::start(|request| {
        let mut parts = request
            .split(['=', '&'])
            .skip_while(|part| !part.ends_with("Action"));
        let action = parts.nth(1).unwrap_or_default();
        match action {
            "DescribeLoadBalancers" | "DescribeTargetGroups" => {
                let empty = format!(
                    "<{action}Response xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/\
                     2015-12-01/\"><{action}Result/></{action}Response>"
                );
                (200, empty)
            }
            _ => (400, String::new()),
        }
    })
    .await;
    let environment = [
        ("KUBECONFIG", kubeconfig.as_str()),
        ("AWS_REGION", "ap-southeast-2"),
        ("CLUSTER_NAME", "running-region"),
        ("AWS_VPC_ID", "vpc-0a1b2c3d4e5f60718"),
        ("AWS_ENDPOINT_URL", &aws.address),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test-secret"),
    ];
    let (code, text) = run(&["--dry-run"], &environment).await;
    assert_eq!(code, Some(1), "{text}");
    let seen = aws.seen();
    assert!(!seen.is_empty(), "{text}");
    for request in &seen {
        assert!(request.contains("/ap-southeast-2/"), "{request}");
    }
    let of_vpc = |request: &&String| request.contains("vpc-0a1b2c3d4e5f60718");
    assert!(seen.iter().any(|request| of_vpc(&request)), "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_do_what_flags_do() {
    let scene = Scene::new("running-variables").await;
    let ns = scene.name.clone();
    let variables = [
        ("AWS_REGION", "us-west-2"),
        ("CLUSTER_NAME", &*ns),
        ("AWS_VPC_ID", &*scene.ids.vpc),
        ("AWS_DEBUG", "true"),
        ("LOG_LEVEL", "debug"),
        ("DISABLE_ROUTE53", "true"),
        ("ALB_INGRESS_CLASS", &*ns),
        ("ALB_INGRESS_WATCH_NAMESPACE", &*ns),
        ("ALB_INGRESS_LEADER_ELECTION_NAMESPACE", &*ns),
    ];
    let controller = Controller::by_environment(&scene, &variables);
    controller.ready().await;
    scene.service(&ns, "web", &["10.0.48.53"]).await;
    scene.apply(SHOP).await;
    scene.address(&ns, "web").await;
    scene.quiet().await;
    scene.account(|state| {
        let lb = state.load_balancers.values().next().unwrap();
        assert_eq!(lb.vpc_id, scene.ids.vpc);
        assert_eq!(state.tags[&lb.arn]["elbv2.k8s.aws/cluster"], ns);
    });
    // No record, although the account has the zone.
    let calls = scene.actions();
    assert!(
        !calls.iter().any(|call| call.starts_with("route53 ")),
        "{calls:#?}"
    );
    let records = scene.ours();
    assert!(
        !records.iter().any(|name| name.contains("shop.example.com")),
        "{records:#?}"
    );
    let log = controller.log();
    let call = log.lines().find(|line| line.contains("CreateLoadBalancer"));
    let call = call.unwrap_or_else(|| panic!("no call in the log:\n{log}"));
    for word in [
        "elasticloadbalancing",
        "request_id",
        "milliseconds",
        "outcome",
    ] {
        assert!(call.contains(word), "{word} not in {call}");
    }
    assert!(log.lines().any(|line| line.contains(" DEBUG ")), "{log}");
    assert!(!log.contains("test-secret"), "the log holds a secret");

    // Without them neither is logged.
    let silent: Vec<_> = variables
        .into_iter()
        .filter(|(name, _)| !matches!(*name, "AWS_DEBUG" | "LOG_LEVEL"))
        .chain([("ALB_INGRESS_LEADER_ELECTION_ID", "silent")])
        .collect();
    drop(controller);
    let controller = Controller::by_environment(&scene, &silent);
    controller.ready().await;
    scene.forget_calls();
    scene.service(&ns, "web", &["10.0.64.53"]).await;
    scene
        .eventually("the target is registered", async || {
            let calls = scene.actions();
            if calls.iter().any(|call| call.ends_with(" RegisterTargets")) {
                Ok(())
            } else {
                Err(calls)
            }
        })
        .await;
    let log = controller.log();
    assert!(!log.contains("milliseconds"), "{log}");
    assert!(!log.contains(" DEBUG "), "{log}");
    scene.delete_ingresses(&ns).await;
    scene.empty().await;
    drop(controller);
}
