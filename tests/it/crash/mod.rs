//! The controller is killed, or an answer is lost, at each call and each write
//! of a story. The next process comes to what one that was never killed makes
//! out of nothing, leaves nothing over, and touches nothing of others.

mod blows;
mod drift;
mod foreign;
mod late;
mod leaders;
mod leases;
mod picture;
mod stories;
mod unrecorded;
mod watches;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::{Controller, Proxy, Scene};
use foreign::Foreign;
use picture::difference;
use stories::{ADDRESSES, Story, Wish};

/// What AWS and Kubernetes hold.
#[derive(Debug, PartialEq, Eq)]
struct World {
    account: Vec<String>,
    cluster: Vec<String>,
}

impl World {
    async fn of(scene: &Scene) -> Self {
        Self {
            account: scene.account(picture::account),
            cluster: picture::cluster(scene).await,
        }
    }
}

/// Looks at the world again and again, and at the account only when somebody
/// wrote to it, or it may have changed by itself.
#[derive(Default)]
struct Glance {
    account: Option<(usize, Instant, Result<(), String>)>,
}

/// The account may have changed by itself, or by a test's hand, after this
/// time.
const BY_ITSELF: Duration = Duration::from_millis(500);
/// How the picture of the account shows the type of an address record.
const A: &str = r#"kind: "A""#;
/// A Lease that is soon over, and not too soon for a busy machine to renew it.
const SHORT_LEASE: &str = "--leader-election-lease=6s";

impl Glance {
    /// Whether the world is this; says what is different.
    async fn shows(&mut self, world: &World, scene: &Scene) -> Result<(), String> {
        let calls = scene.aws.journal().writes().len();
        let known = self.account.as_ref();
        let known = known.filter(|(at, when, _)| *at == calls && when.elapsed() < BY_ITSELF);
        let account = if let Some((_, _, known)) = known {
            known.clone()
        } else {
            let account = scene.account(picture::account);
            let is = if account == world.account {
                Ok(())
            } else {
                Err(difference(&account, &world.account))
            };
            self.account = Some((calls, Instant::now(), is.clone()));
            is
        };
        account?;
        let cluster = picture::cluster(scene).await;
        if cluster == world.cluster {
            Ok(())
        } else {
            Err(difference(&cluster, &world.cluster))
        }
    }
}

/// Whose writes meet blows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Aws,
    Kubernetes,
}

/// A scene in which a story is told again and again.
struct Stage {
    scene: Scene,
    wishes: [Wish; 2],
    /// What a process that is never killed makes of each wish out of nothing.
    worlds: [World; 2],
    /// What is there while nothing is wished.
    nothing: World,
    foreign: Foreign,
    /// What stands between the controller and the API server; only where
    /// Kubernetes is what fails.
    proxy: Option<Proxy>,
    /// Whose writes meet blows.
    struck: Side,
    processes: u32,
    /// Arguments of every process to come.
    arguments: &'static [&'static str],
}

impl Stage {
    /// A stage with the first wish fulfilled, and the controller that did it.
    /// `label` tells it from others of the same story.
    async fn set(story: Story, label: &str, side: Side) -> (Self, Controller) {
        let proxy = |scene: &Scene| Proxy::start(scene.client.clone());
        let (mut stage, controller) = Self::set_behind(story, label, async |scene| match side {
            Side::Aws => None,
            Side::Kubernetes => Some(proxy(scene).await),
        })
        .await;
        stage.struck = side;
        (stage, controller)
    }

    /// The same with a proxy that was made ready.
    async fn set_behind(
        story: Story,
        label: &str,
        proxy: impl AsyncFnOnce(&Scene) -> Option<Proxy>,
    ) -> (Self, Controller) {
        let scene = Scene::new(&format!("crash-{}-{label}", story.name())).await;
        no_delays(&scene);
        let foreign = Foreign::put(&scene);
        Wish::nothing().utter(&scene).await;
        let nothing = World::of(&scene).await;
        let wishes = story.wishes(&scene);
        let proxy = proxy(&scene).await;
        let unknown = || World {
            account: Vec::new(),
            cluster: Vec::new(),
        };
        let mut stage = Self {
            scene,
            wishes,
            worlds: [unknown(), unknown()],
            nothing,
            foreign,
            proxy,
            struck: Side::Aws,
            processes: 0,
            arguments: &[],
        };
        let controller = stage.start(&[]);
        for index in [1, 0] {
            stage.worlds[index] = stage.made_of_nothing(index).await;
            if index == 1 {
                stage.clear().await;
            }
        }
        (stage, controller)
    }

    async fn made_of_nothing(&self, index: usize) -> World {
        let (scene, wish) = (&self.scene, &self.wishes[index]);
        wish.utter(scene).await;
        scene
            .eventually("it is served out of nothing", async || {
                let there = picture::cluster(scene).await;
                let count = |word: &str| there.iter().filter(|l| l.contains(word)).count();
                let served = count(r#""hostname":"address of"#) == wish.ingresses();
                let groups = there.len() - wish.ingresses();
                let whole = count(r#""state":"Serving""#) == groups
                    && count(r#""digest""#) == groups
                    && count(r#""pending""#) == 0;
                // Each has one host at least; without the CRD nobody says that its
                // record is there.
                let account = scene.account(picture::account);
                let alias = |line: &&String| line.contains("address of") && line.contains(A);
                let recorded = account.iter().filter(alias).count() >= wish.ingresses();
                if served && whole && recorded {
                    Ok(())
                } else {
                    Err(there)
                }
            })
            .await;
        scene.quiet().await;
        World::of(scene).await
    }

    /// The next process. Each has a Lease of its own, so that none waits for
    /// that of a dead one.
    fn start(&mut self, arguments: &[&str]) -> Controller {
        self.processes += 1;
        let lease = format!("--leader-election-id=number-{}", self.processes);
        let flag = self.proxy.as_ref().map(Proxy::flag);
        let mut all = vec![lease.as_str()];
        all.extend(flag.as_deref());
        all.extend(self.arguments);
        all.extend(arguments);
        Controller::start(&self.scene, &all)
    }

    /// Puts another process in the place of one that has written: for a minute
    /// that believes what it wrote over what it reads, and mends nothing of it.
    async fn renew(&mut self, controller: &mut Controller) {
        let next = self.start(&[]);
        std::mem::replace(controller, next).kill().await;
        self.scene.listed(controller).await;
    }

    /// Waits until all is as a wish asks.
    async fn settled(&self, index: usize, what: &str) {
        let world = &self.worlds[index];
        self.until(what, async |glance| glance.shows(world, &self.scene).await)
            .await;
    }

    /// Waits until `check` is content, with a glance that it can look by.
    async fn until(
        &self,
        what: &str,
        mut check: impl AsyncFnMut(&mut Glance) -> Result<(), String>,
    ) {
        let mut glance = Glance::default();
        let check = async || check(&mut glance).await;
        self.scene.eventually(what, check).await;
    }

    /// Wishes nothing, and waits until nothing is there.
    async fn clear(&self) {
        Wish::nothing().utter(&self.scene).await;
        let what = "nothing is left when nothing is wished";
        self.until(what, async |glance| {
            glance.shows(&self.nothing, &self.scene).await
        })
        .await;
    }

    /// The calls that changed something, in order.
    fn writes(&self) -> Vec<String> {
        self.scene.aws.journal().writes()
    }

    /// Lets held calls go and waits until they are carried out.
    async fn let_go(&self) {
        let faults = self.scene.aws.faults();
        faults.let_go();
        let gone = async || {
            let held = faults.held();
            if held.is_empty() { Ok(()) } else { Err(held) }
        };
        self.scene
            .eventually("held calls are carried out", gone)
            .await;
    }

    /// Ends the story: nothing is left, nothing of others was touched, and
    /// nothing was ever a target that is no pod.
    async fn end(self) {
        self.clear().await;
        let writes: BTreeSet<String> = self.writes().into_iter().collect();
        let mut calls = self.scene.calls();
        calls.retain(|call| writes.contains(&call.action));
        self.foreign.assert_left_alone(&calls);
        for call in calls.iter().filter(|c| c.action == "RegisterTargets") {
            let ids = call.parameters.iter();
            for (_, id) in ids.filter(|(name, _)| name.ends_with(".Id")) {
                assert!(
                    ADDRESSES.contains(&id.as_str()),
                    "{id} is no pod: {call:#?}"
                );
            }
        }
    }
}

/// Nothing that AWS does later takes time.
fn no_delays(scene: &Scene) {
    scene.aws.state().write(|state, _| {
        state.timing.provisioning_ms = 0;
        state.timing.insync_ms = 0;
        state.timing.zone_busy_ms = 0;
        state.timing.eni_release_ms = 0;
        state.timing.draining_ms = Some(0);
    });
}
