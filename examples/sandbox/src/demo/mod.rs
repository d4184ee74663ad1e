//! `sandbox demo`: shows the controller at work, in plain words, and checks
//! every word.
//!
//! The script is in [`script`], the checks behind its claims in [`checks`]; it is played by [`claim::Narrator`] on a
//! [`stage::Stage`]. What is shown is what was checked.

pub mod checks;
pub mod claim;
pub mod script;
pub mod stage;
pub mod view;
pub mod visitors;

use std::io::IsTerminal;
use std::time::Instant;

use anyhow::{anyhow, bail};
use tokio_util::sync::CancellationToken;

use self::claim::{Narrator, Outcome, claims};
use self::stage::Stage;
use crate::sandbox::{self, Sandbox};

/// Said when Ctrl-C comes before all claims are checked.
const INTERRUPTED: &str = "the demo was ended before all of its claims were checked";

/// How the demo is shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// Goes through to the empty account and ends.
    pub once: bool,
    /// Whether the controller is installed; without, the demo must fail.
    pub with_controller: bool,
    /// The sandbox to show it in.
    pub sandbox: sandbox::Options,
}

/// Shows the demo; `ended` is what Ctrl-C cancels.
///
/// # Errors
/// When the sandbox does not start, or a claim does not hold.
pub async fn run(options: Options, ended: CancellationToken) -> anyhow::Result<()> {
    let begun = Instant::now();
    let stdout = std::io::stdout();
    let mut narrator = Narrator::new(stdout, std::io::stdout().is_terminal());
    narrator.say("Starting a Kubernetes control plane and an AWS on this machine ...")?;
    let sandbox = tokio::select! {
        sandbox = Sandbox::start(options.sandbox) => sandbox?,
        () = ended.cancelled() => bail!(INTERRUPTED),
    };
    if let Some(console) = &sandbox.console {
        narrator.say(&format!("console  {}", console.url()))?;
    }
    let stage = Stage::new(sandbox, options.with_controller, options.once)?;
    let played = tokio::select! {
        // Ctrl-C after the last claim is how `play` ends; before, it is not.
        biased;
        played = play(&mut narrator, &stage, begun, &ended) => played,
        error = stage.sandbox.control_plane.failure() => Err(error),
        () = ended.cancelled() => Err(anyhow!(INTERRUPTED)),
    };
    stage.sandbox.stop().await;
    played
}

async fn play<W: std::io::Write>(
    narrator: &mut Narrator<W>,
    stage: &Stage,
    begun: Instant,
    ended: &CancellationToken,
) -> anyhow::Result<()> {
    let (acts, cleaning_up) = (script::acts(), script::cleaning_up());
    let mut all = claims(&acts);
    if stage.once {
        all += claims(&cleaning_up);
    }
    let mut outcome = narrator.play(stage, &acts).await?;
    if stage.once && outcome.failure.is_none() {
        let end = narrator.play(stage, &cleaning_up).await?;
        outcome = Outcome {
            held: outcome.held + end.held,
            failure: end.failure,
        };
    }
    if outcome.failure.is_some() && stage.with_controller {
        narrator.say(&format!("\n{}", stage.controller_logs().await))?;
    }
    let seconds = begun.elapsed().as_secs();
    narrator.say(&format!("\n{}", summary(&outcome, all, seconds)))?;
    if outcome.failure.is_some() {
        bail!("the demo does not hold");
    }
    if !stage.once {
        narrator.say(&invitation(stage))?;
        ended.cancelled().await;
    }
    Ok(())
}

/// The one line that says how it went.
fn summary(outcome: &Outcome, all: usize, seconds: u64) -> String {
    let Outcome { held, failure } = outcome;
    match failure {
        None => format!("demo: {held} of {all} claims hold in {seconds} s"),
        Some(failure) => format!(
            "demo: only {held} of {all} claims hold, after {seconds} s: {}",
            failure.lines().next().unwrap_or_default()
        ),
    }
}

/// What a person can do now, in lines to paste into a shell.
fn invitation(stage: &Stage) -> String {
    let environment = stage.sandbox.environment();
    let kubectl = format!(
        "KUBECONFIG={} {}",
        environment.kubeconfig.display(),
        environment.kubectl.display()
    );
    let game = stage
        .sandbox
        .gateway
        .as_ref()
        .map(|gateway| gateway.url(checks::GAME))
        .unwrap_or_default();
    let console = environment.sandbox_console.as_deref().unwrap_or("none");
    format!(
        "\nIt is yours now. Ctrl-C ends all of it.\n\n\
         The game, in a browser:\n  {game}\n\n\
         What there is and what happens, on one page:\n  {console}\n\n\
         kubectl, in another shell:\n  \
         export KUBECONFIG={}\n  \
         alias kubectl={}\n  \
         kubectl get alb\n  \
         kubectl get ingress,pods -A\n  \
         kubectl describe ingress -n scores scores\n  \
         kubectl annotate ingress -n scores scores \
         alb.ingress.kubernetes.io/healthcheck-interval-seconds=5 --overwrite\n  \
         kubectl scale deployment -n game game --replicas=3\n  \
         kubectl logs -f -n alb-ingress-controller deployment/alb-ingress-controller\n\n\
         The same without an alias:\n  {kubectl} get alb\n\n\
         DNS and AWS:\n  \
         dig @{} -p {} {}\n  \
         curl -s {}/_sim/calls",
        environment.kubeconfig.display(),
        environment.kubectl.display(),
        stage.sandbox.account.dns().ip(),
        stage.sandbox.account.dns().port(),
        checks::GAME,
        environment.aws_endpoint_url,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line() {
        let good = Outcome {
            held: 14,
            failure: None,
        };
        assert_eq!(summary(&good, 14, 48), "demo: 14 of 14 claims hold in 48 s");
        let bad = Outcome {
            held: 3,
            failure: Some("The page comes. status 503\nmore".to_owned()),
        };
        assert_eq!(
            summary(&bad, 14, 70),
            "demo: only 3 of 14 claims hold, after 70 s: The page comes. status 503"
        );
    }
}
