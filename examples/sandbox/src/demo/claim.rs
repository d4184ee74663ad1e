//! What a demo is made of: scenes, actions, and claims that are checked.

use std::io::Write;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

/// How often a check that does not hold yet is made again.
const EVERY: Duration = Duration::from_millis(200);

/// Characters that fit on a line of any terminal.
const WIDTH: usize = 78;

/// Something done or checked on a stage; gives what there is to show.
pub type Act<S> = for<'a> fn(&'a S) -> BoxFuture<'a, anyhow::Result<String>>;

/// A step of a script.
pub enum Step<S> {
    /// A title, and what it is about.
    Scene(&'static str, &'static str),
    /// Something that is done; the demo cannot go on if it fails.
    Do(&'static str, Act<S>),
    /// A sentence that must come true within a time.
    Claim(&'static str, Duration, Act<S>),
}

/// How a script went.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Claims that came true.
    pub held: usize,
    /// What ended the script before its time.
    pub failure: Option<String>,
}

/// Plays scripts and tells about them.
pub struct Narrator<W> {
    out: W,
    /// The output is a terminal: a line may be written over.
    rewrites: bool,
}

impl<W: Write> Narrator<W> {
    /// Tells to `out`; `rewrites` if lines there can be written over.
    pub fn new(out: W, rewrites: bool) -> Self {
        Self { out, rewrites }
    }

    /// Says a line.
    ///
    /// # Errors
    /// When the output is closed.
    pub fn say(&mut self, line: &str) -> std::io::Result<()> {
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// Plays steps in order, up to the first that fails.
    ///
    /// # Errors
    /// When the output is closed.
    pub async fn play<S>(&mut self, stage: &S, steps: &[Step<S>]) -> std::io::Result<Outcome> {
        let mut outcome = Outcome::default();
        for step in steps {
            let begun = Instant::now();
            match step {
                Step::Scene(title, about) => {
                    self.say(&format!("\n== {title} ==\n{about}"))?;
                }
                Step::Do(what, act) => {
                    self.say(&format!("\n   {what}"))?;
                    match act(stage).await {
                        Ok(shown) => self.show(&shown)?,
                        Err(error) => {
                            let why = format!("{error:#}");
                            self.say(&format!(" ✗ {what}"))?;
                            self.show(&why)?;
                            outcome.failure = Some(format!("{what} {why}"));
                            return Ok(outcome);
                        }
                    }
                }
                Step::Claim(sentence, within, act) => {
                    match self.wait_for(stage, *within, *act).await? {
                        Ok(shown) => {
                            outcome.held += 1;
                            let seconds = begun.elapsed().as_secs_f32();
                            self.say(&format!(" ✓ {sentence} ({seconds:.1} s)"))?;
                            self.show(&shown)?;
                        }
                        Err(why) => {
                            self.say(&format!(" ✗ {sentence}"))?;
                            self.show(&why)?;
                            outcome.failure = Some(format!("{sentence} {why}"));
                            return Ok(outcome);
                        }
                    }
                }
            }
        }
        Ok(outcome)
    }

    /// Checks until it holds or time is up.
    async fn wait_for<S>(
        &mut self,
        stage: &S,
        within: Duration,
        act: Act<S>,
    ) -> std::io::Result<Result<String, String>> {
        let deadline = Instant::now() + within;
        let mut why = format!("No answer within {} s.", within.as_secs());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, act(stage)).await {
                Ok(Ok(shown)) => {
                    self.write_over("")?;
                    return Ok(Ok(shown));
                }
                Ok(Err(error)) => why = format!("{error:#}"),
                // The last reason says more than that time is up.
                Err(_) => {}
            }
            if Instant::now() + EVERY >= deadline {
                self.write_over("")?;
                return Ok(Err(why));
            }
            let reason = why.lines().next().unwrap_or_default();
            self.write_over(&format!(" … not yet: {reason}"))?;
            tokio::time::sleep(EVERY).await;
        }
    }

    fn write_over(&mut self, line: &str) -> std::io::Result<()> {
        if self.rewrites {
            // A line that wraps cannot be written over.
            let line: String = line.chars().take(WIDTH).collect();
            write!(self.out, "\r\x1b[K{line}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// What there is to see, set in.
    fn show(&mut self, text: &str) -> std::io::Result<()> {
        for line in text.lines() {
            writeln!(self.out, "     {line}")?;
        }
        self.out.flush()
    }
}

/// How many claims a script makes.
pub fn claims<S>(steps: &[Step<S>]) -> usize {
    steps
        .iter()
        .filter(|step| matches!(step, Step::Claim(..)))
        .count()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const SHORT: Duration = Duration::from_millis(700);

    async fn told(steps: &[Step<AtomicU32>]) -> (Outcome, String) {
        let mut out = Vec::new();
        let outcome = Narrator::new(&mut out, false)
            .play(&AtomicU32::new(0), steps)
            .await
            .unwrap();
        (outcome, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn a_claim_may_come_true_late_and_shows_its_evidence() {
        let steps: [Step<AtomicU32>; 2] = [
            Step::Scene("One", "About it."),
            Step::Claim("It counts to three.", Duration::from_mins(1), |count| {
                Box::pin(async {
                    let count = count.fetch_add(1, Ordering::Relaxed) + 1;
                    anyhow::ensure!(count == 3, "only {count}");
                    Ok("three\n3".to_owned())
                })
            }),
        ];
        assert_eq!(claims(&steps), 1);
        let (outcome, text) = told(&steps).await;
        assert_eq!(
            outcome,
            Outcome {
                held: 1,
                failure: None
            }
        );
        assert!(text.contains(" ✓ It counts to three."), "{text}");
        assert!(text.contains("     three\n     3\n"), "{text}");
    }

    #[tokio::test]
    async fn the_first_claim_that_fails_ends_the_script_and_says_why() {
        let never: Act<AtomicU32> = |_| Box::pin(async { anyhow::bail!("no page") });
        let steps = [
            Step::Claim("A page comes.", SHORT, never),
            Step::Do("Not reached.", |_| Box::pin(async { Ok(String::new()) })),
        ];
        let (outcome, text) = told(&steps).await;
        assert_eq!(outcome.held, 0);
        assert_eq!(outcome.failure.as_deref(), Some("A page comes. no page"));
        assert!(!text.contains("Not reached"), "{text}");
    }

    #[tokio::test]
    async fn a_check_that_hangs_fails_in_time() {
        let steps: [Step<AtomicU32>; 1] = [Step::Claim("It answers.", SHORT, |_| {
            Box::pin(std::future::pending())
        })];
        let (outcome, _) = told(&steps).await;
        assert!(outcome.failure.unwrap().contains("No answer within"));
    }
}
