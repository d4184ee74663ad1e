//! Things to try: each does what one line in a terminal does, and says what to
//! watch for. They act on the objects of `examples/`, and on the simulator.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use sandbox_aws::resources::Resources;
use serde::Serialize;
use serde_json::json;
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

use super::hub::Hub;
use super::model::Picture;
use super::objects::Objects;
use crate::controller::{NAME, repository};
use crate::up::quoted;
use crate::web;

/// How long AWS throttles.
const THROTTLED: Duration = Duration::from_mins(1);
/// How much of its usual rates AWS grants meanwhile.
const SCALE: f64 = 0.1;
/// The annotation that is broken and mended.
const ANNOTATION: &str = "alb.ingress.kubernetes.io/healthcheck-interval-seconds";
/// A value that makes no sense there.
const NONSENSE: &str = "often";

/// How kubectl is run.
#[derive(Debug, Clone)]
pub struct Kubectl {
    /// The program.
    pub program: PathBuf,
    /// May do everything.
    pub kubeconfig: PathBuf,
}

/// Does what can be tried.
#[derive(Clone)]
pub struct Actions {
    /// Kubernetes.
    pub kubectl: Kubectl,
    /// The AWS simulator.
    pub aws: String,
    /// Ends the throttling.
    pub throttling: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
}

/// Something to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Stays the same.
    pub id: &'static str,
    /// What it does.
    pub title: &'static str,
    /// The line that does the same.
    pub command: String,
    /// What to watch for.
    pub watch: &'static str,
    /// It undoes another one.
    pub undo: bool,
    /// Whether it can be done now.
    pub available: bool,
    /// Why not.
    pub why: Option<String>,
}

/// What a thing to try does.
#[derive(Debug, Clone, PartialEq)]
enum Deed {
    Kubectl(Vec<String>),
    Sim(&'static str, serde_json::Value),
    Throttle,
    /// All that puts things back.
    Reset(Vec<Deed>),
}

/// A thing to try, with how it is done; why not, where it cannot be.
struct Trial {
    id: &'static str,
    title: &'static str,
    watch: &'static str,
    undo: bool,
    deed: Deed,
    why_not: Option<String>,
}

/// Arguments of kubectl, as a shell splits them.
fn kubectl(line: &str) -> Deed {
    Deed::Kubectl(line.split_whitespace().map(str::to_owned).collect())
}

impl Deed {
    /// The line that does the same.
    fn line(&self, aws: &str) -> String {
        let sim = |path: &str, body: &serde_json::Value| format!("curl -s {aws}{path} -d '{body}'");
        match self {
            Self::Kubectl(arguments) => {
                let quoted: Vec<String> = arguments.iter().map(|it| quoted(it)).collect();
                format!("kubectl {}", quoted.join(" "))
            }
            Self::Sim(path, body) => sim(path, body),
            Self::Throttle => format!(
                "{} && sleep {} && {}",
                sim("/_sim/limits", &throttled(true)),
                THROTTLED.as_secs(),
                sim("/_sim/limits", &throttled(false))
            ),
            Self::Reset(deeds) => {
                let lines: Vec<String> = deeds.iter().map(|deed| deed.line(aws)).collect();
                lines.join(" && ")
            }
        }
    }
}

fn throttled(on: bool) -> serde_json::Value {
    if on {
        json!({ "mode": "real", "scale": SCALE })
    } else {
        json!({ "mode": "off", "scale": 1.0 })
    }
}

/// What can be tried, and what would be done for it.
fn trials(picture: &Picture, resources: &Resources, objects: &Objects) -> Vec<Trial> {
    let game =
        objects.services.contains_key("game/game") || objects.ingresses.contains_key("game/game");
    let scores = objects.ingresses.get("scores/scores");
    let needs = |example: &str| {
        format!("it needs the objects of examples/{example}: kubectl apply -k examples/{example}")
    };
    let only = |line: &str, there: bool, why: &str| {
        let why = (!there).then(|| why.to_owned());
        (kubectl(line), why)
    };
    let of_game = |line: &str| only(line, game, &needs("2048"));
    let target = target_pod(picture, "game/");
    let delete_pod = only(
        &format!(
            "delete pod -n game {} --wait=false",
            target.unwrap_or("POD")
        ),
        target.is_some(),
        "no Pod of examples/2048 is a target: kubectl apply -k examples/2048",
    );
    let broken = scores
        .and_then(|ingress| ingress.metadata.annotations.as_ref()?.get(ANNOTATION))
        .is_some_and(|value| value == NONSENSE);
    let annotate =
        |value: &str| format!("annotate ingress -n scores scores {ANNOTATION}={value} --overwrite");
    let missing = needs("group");
    let service = objects.services.contains_key("scores/scores");
    let extra = objects.ingresses.contains_key("game/extra");
    let leader = picture.controller.leader.as_deref();
    let kill =
        |pod: &str| format!("delete pod -n {NAME} {pod} --grace-period=0 --force --wait=false");
    let held = |state: Option<&str>, why: &str| {
        let groups = resources.target_groups.iter();
        let mut targets = groups.flat_map(|group| group.targets.iter().map(move |it| (group, it)));
        let found = targets.find(|(_, target)| {
            target.held == state.is_none() && (target.held || target.health == "healthy")
        });
        let body = |group: &str, target: &str| json!({ "target_group": group, "target": target, "state": state });
        match found {
            Some((group, target)) => {
                let target = format!("{}:{}", target.id, target.port);
                (Deed::Sim("/_sim/health", body(&group.arn, &target)), None)
            }
            None => (
                Deed::Sim("/_sim/health", body("ARN", "ID:PORT")),
                Some(why.to_owned()),
            ),
        }
    };
    let trial = |id, title, watch, undo, (deed, why_not): (Deed, Option<String>)| Trial {
        id,
        title,
        watch,
        undo,
        deed,
        why_not,
    };
    vec![
        trial(
            "scale-up",
            "Scale the game to eight Pods",
            "New targets come as initial and become healthy; the story has one RegisterTargets for \
             each Pod or fewer, and no other write. Targets follow their Pods without a plan.",
            false,
            of_game("scale deployment -n game game --replicas=8"),
        ),
        trial(
            "scale-down",
            "Scale the game to three Pods",
            "Targets drain before their Pods end, so that no request is lost.",
            false,
            of_game("scale deployment -n game game --replicas=3"),
        ),
        trial(
            "roll",
            "Replace all Pods of the game, one after the other",
            "New Pods are registered as they become ready. Old targets drain, and their Pods answer \
             for 2 s more, so that no request is lost while AWS answers at once.",
            false,
            of_game("rollout restart deployment -n game game"),
        ),
        trial(
            "delete-pod",
            "Delete a Pod",
            "Its target drains, another Pod takes its place as a new target.",
            false,
            delete_pod,
        ),
        trial(
            "break",
            "Break an annotation",
            "The Ingress scores is frozen with a finding and a Warning event; nothing changes in AWS, \
             and the game beside it stays as it is.",
            false,
            only(
                &annotate(NONSENSE),
                scores.is_some() && !broken,
                if broken {
                    "it is broken already"
                } else {
                    &missing
                },
            ),
        ),
        trial(
            "mend",
            "Mend the annotation",
            "The finding goes, and the story says that it is over.",
            true,
            only(&annotate("5"), broken, "it is not broken"),
        ),
        trial(
            "delete-service",
            "Delete a Service",
            "Ingress scores has the finding ServiceNotFound, and requests for it are answered 503; \
             the game beside it is served on.",
            false,
            only("delete service -n scores scores", service, &missing),
        ),
        trial(
            "restore-service",
            "Make the Service again",
            "The finding goes, and targets come back.",
            true,
            only(
                "apply -f examples/group/service.yaml",
                !service && scores.is_some(),
                if service { "it is there" } else { &missing },
            ),
        ),
        trial(
            "add-ingress",
            "Add an Ingress to the group",
            "A plan of a rule for extra.example.com on the listener that is there, and a record: no \
             other load balancer.",
            false,
            only(
                ADD,
                game && !extra,
                if extra {
                    "it is there already".to_owned()
                } else {
                    needs("2048")
                }
                .as_str(),
            ),
        ),
        trial(
            "remove-ingress",
            "Delete that Ingress again",
            "Its record goes first, after a grace its rules, and then the Ingress itself.",
            true,
            only(
                "delete ingress -n game extra --wait=false",
                extra,
                "it is not there",
            ),
        ),
        trial(
            "kill-leader",
            "Kill the leading controller",
            "Another replica leads within seconds and reads what it needs; nothing is written in AWS.",
            false,
            only(
                &kill(leader.unwrap_or("POD")),
                leader.is_some(),
                "no controller of deploy/ leads",
            ),
        ),
        trial(
            "fail-health",
            "Let a target fail its health check",
            "The target is unhealthy and says so; requests go to the others.",
            false,
            held(Some("unhealthy"), "there is no healthy target"),
        ),
        trial(
            "heal",
            "Let its health go again",
            "The next probes make it healthy.",
            true,
            held(None, "no target's health is held"),
        ),
        trial(
            "throttle",
            "Make AWS throttle for a minute",
            "Calls are refused with Throttling while the controller goes slower; all is done in the end.",
            false,
            (Deed::Throttle, None),
        ),
        trial(
            "reset",
            "Reset: apply both examples as they are, and let AWS be",
            "There are five Pods of the game and two of the scores, and no finding; the Ingress extra \
             goes, AWS throttles nobody and holds no target's health.",
            true,
            (Deed::Reset(everything_back(resources)), None),
        ),
    ]
}

/// What puts everything back, in this order.
fn everything_back(resources: &Resources) -> Vec<Deed> {
    let mut deeds = vec![Deed::Sim("/_sim/limits", throttled(false))];
    for group in &resources.target_groups {
        for target in group.targets.iter().filter(|target| target.held) {
            let target = format!("{}:{}", target.id, target.port);
            let body = json!({ "target_group": group.arn, "target": target, "state": null });
            deeds.push(Deed::Sim("/_sim/health", body));
        }
    }
    deeds.extend([
        kubectl("apply -k examples/2048"),
        kubectl("apply -k examples/group"),
        kubectl("delete ingress -n game extra --ignore-not-found --wait=false"),
    ]);
    deeds
}

/// The Ingress that is added. It agrees with the others of the group about
/// listeners and certificate.
const ADD: &str = "create ingress -n game extra --class=alb \
                   --annotation=alb.ingress.kubernetes.io/group.name=arcade \
                   --annotation=alb.ingress.kubernetes.io/group.order=30 \
                   --annotation=alb.ingress.kubernetes.io/scheme=internet-facing \
                   --annotation=alb.ingress.kubernetes.io/target-type=ip \
                   --annotation=alb.ingress.kubernetes.io/listen-ports=[{\"HTTP\":80},{\"HTTPS\":443}] \
                   --annotation=alb.ingress.kubernetes.io/ssl-redirect=443 \
                   --annotation=alb.ingress.kubernetes.io/certificate-arn=arn:aws:acm:us-west-2:123456789012:certificate/00000000-0000-0000-0000-000000000000 \
                   --rule=extra.example.com/*=game:http";

/// The name of a Pod that is a target, of those whose full name begins so.
fn target_pod<'a>(picture: &'a Picture, begin: &str) -> Option<&'a str> {
    let balancers = picture.groups.iter();
    let balancers = balancers.filter_map(|it| it.load_balancer.as_ref());
    let groups = balancers.flat_map(|it| &it.target_groups);
    let mut pods = groups
        .flat_map(|it| &it.targets)
        .filter_map(|it| it.pod.as_deref());
    pods.find(|pod| pod.starts_with(begin))?.split('/').nth(1)
}

impl Actions {
    /// What can be tried.
    pub fn list(&self, hub: &Hub) -> Vec<Action> {
        let trials = hub.look(trials);
        trials
            .into_iter()
            .map(|trial| Action {
                id: trial.id,
                title: trial.title,
                command: trial.deed.line(&self.aws),
                watch: trial.watch,
                undo: trial.undo,
                available: trial.why_not.is_none(),
                why: trial.why_not,
            })
            .collect()
    }

    /// Does one; answers what was said. None is not there.
    ///
    /// # Errors
    /// In a sentence: it cannot be done now, or failed.
    pub async fn try_out(&self, hub: &Hub, id: &str) -> Option<anyhow::Result<String>> {
        let trials = hub.look(trials);
        let trial = trials.into_iter().find(|trial| trial.id == id)?;
        Some(match trial.why_not {
            None => self.run(trial.deed).await,
            Some(why) => Err(anyhow::anyhow!(why)),
        })
    }

    async fn run(&self, deed: Deed) -> anyhow::Result<String> {
        match deed {
            Deed::Kubectl(arguments) => self.kubectl(&arguments).await,
            Deed::Sim(path, body) => {
                self.tell(path, &body).await?;
                Ok("AWS does so from now on.".to_owned())
            }
            Deed::Throttle => {
                self.tell("/_sim/limits", &throttled(true)).await?;
                let after = self.clone();
                let ending = tokio::spawn(async move {
                    tokio::time::sleep(THROTTLED).await;
                    if let Err(error) = after.tell("/_sim/limits", &throttled(false)).await {
                        tracing::warn!("AWS goes on throttling: {error:#}");
                    }
                });
                self.end_throttling(Some(AbortOnDropHandle::new(ending)));
                Ok("AWS throttles for a minute.".to_owned())
            }
            Deed::Reset(deeds) => self.reset(deeds).await,
        }
    }

    async fn reset(&self, deeds: Vec<Deed>) -> anyhow::Result<String> {
        self.end_throttling(None);
        let mut said = String::new();
        for deed in deeds {
            match deed {
                Deed::Kubectl(arguments) => said.push_str(&self.kubectl(&arguments).await?),
                Deed::Sim(path, body) => self.tell(path, &body).await?,
                Deed::Throttle | Deed::Reset(_) => {}
            }
        }
        Ok(said)
    }

    fn end_throttling(&self, instead: Option<AbortOnDropHandle<()>>) {
        *self
            .throttling
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = instead;
    }

    async fn tell(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<()> {
        let answer = web::tell_sim(&self.aws, path, body).await?;
        ensure!(answer.status.is_success(), "{}", answer.body.trim());
        Ok(())
    }

    /// Runs kubectl where `examples/` is.
    async fn kubectl(&self, arguments: &[String]) -> anyhow::Result<String> {
        let output = Command::new(&self.kubectl.program)
            .args(arguments)
            .env("KUBECONFIG", &self.kubectl.kubeconfig)
            .current_dir(repository())
            .output()
            .await
            .context("cannot start kubectl")?;
        ensure!(
            output.status.success(),
            "kubectl said: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
