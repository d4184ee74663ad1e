//! One process from start to end: clients, watches, leader gate, queue, HTTP,
//! shutdown.
//!
//! Order of a life: watch everything; answer health; wait until the stores
//! know everything; connect to AWS; wait for the Lease; work. On SIGTERM or
//! SIGINT: take no more keys, let the running steps end, give the Lease back,
//! exit 0. Any task that ends by itself ends the process with an error: a
//! watch that died silently would be the worst of failures.

mod client;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::config::Settings;
use crate::key::Key;
use crate::lane::{self, Lane, Turn};
use crate::leader::{Election, Leadership, Timing};
use crate::queue::{Failed, Pace, Queue, Work as QueueWork};
use crate::report::{Reporter, installation};
use crate::telemetry::{self, Metrics, Now, Pages};
use crate::watch::routes::{self, View};
use crate::watch::{self, Stores};
use client::Connections;

/// Pause between two looks at what is due in the background.
const TICK: Duration = Duration::from_secs(1);

/// How long what is written at the end may take.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// A dry run gives up when the stores are not full after this time.
const DRY_RUN_PATIENCE: Duration = Duration::from_mins(1);

/// What the process is made of, for the work to use.
pub struct Parts {
    /// All settings.
    pub settings: Arc<Settings>,
    /// What Kubernetes says; every first list is in.
    pub stores: Arc<Stores>,
    /// To wake other keys.
    pub queue: Queue<Key>,
    /// Asked before every write.
    pub leadership: Arc<Leadership>,
    /// Writes to Kubernetes.
    pub reporter: Arc<Reporter>,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Cancelled when no further step may be started.
    pub stopping: CancellationToken,
}

/// Whether a dry run found something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Nothing would change.
    Nothing,
    /// Something would.
    Something,
}

/// What is done with keys. Everything here is called by the leader only,
/// except [`Work::dry_run`], which writes nothing.
pub trait Work: Send + Sync + 'static {
    /// Called once, before the first key. Answers the keys of what the last
    /// process may have left half made.
    fn begin(&self) -> impl Future<Output = BTreeSet<Key>> + Send;

    /// Brings what the key stands for to what it should be. Answers when to
    /// come again although nothing wakes the key.
    fn reconcile(
        &self,
        key: &Key,
        turn: &Turn,
    ) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;

    /// Called about once a second: polling for what AWS takes time for. Wakes
    /// keys; tells of its own failures.
    fn tick(&self) -> impl Future<Output = ()> + Send;

    /// Called once, after the last key and while this process still leads.
    fn end(&self) -> impl Future<Output = ()> + Send;

    /// Called about once a second, beside [`Work::tick`], which must not wait
    /// for it: verification in the background. Wakes keys; tells of its own
    /// failures.
    fn verify(&self) -> impl Future<Output = ()> + Send;

    /// Whether an error says no more than that AWS was asked too often.
    fn is_throttled(error: &anyhow::Error) -> bool;

    /// Prints what would be done for every key.
    fn dry_run(&self) -> impl Future<Output = anyhow::Result<Changes>> + Send;
}

/// Runs the program: the command line with the program's name first, and what
/// makes the work out of its parts. Exits with 0 when it was told to end, with
/// 2 when a dry run found something to do, with 1 on any error.
pub fn main<I, C, F, W>(arguments: I, connect: C) -> ExitCode
where
    I: IntoIterator<Item = OsString>,
    C: FnOnce(Parts) -> F,
    F: Future<Output = anyhow::Result<W>>,
    W: Work,
{
    let settings = match Settings::parse(arguments) {
        Ok(settings) => settings,
        Err(error) => {
            // Help and version come this way too, and are no failure.
            let failed = error.use_stderr();
            let printed = error.print();
            return ExitCode::from(u8::from(failed || printed.is_err()));
        }
    };
    telemetry::start_logging(&settings.log_filter, settings.log_format);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        commit = telemetry::COMMIT,
        settings = %settings,
        "starting"
    );
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ended = runtime.block_on(async {
        let shutdown = on_signal()?;
        run(settings, connect, shutdown).await
    });
    // What is still under way was given up; it must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(Changes::Nothing) => ExitCode::SUCCESS,
        Ok(Changes::Something) => ExitCode::from(2),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    tracing::error!("{error:#}");
    ExitCode::FAILURE
}

/// A token that is cancelled by the first SIGTERM or SIGINT.
fn on_signal() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        told.cancel();
        // Whoever asks twice does not want to wait.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    });
    Ok(shutdown)
}

/// Lives until `shutdown`, or does one dry run.
pub async fn run<C, F, W>(
    settings: Settings,
    connect: C,
    shutdown: CancellationToken,
) -> anyhow::Result<Changes>
where
    C: FnOnce(Parts) -> F,
    F: Future<Output = anyhow::Result<W>>,
    W: Work,
{
    let settings = Arc::new(settings);
    let connections = Connections::by(settings.kubeconfig.as_deref()).await?;
    let client = connections.client();
    let metrics = Arc::new(Metrics::new());
    let (queue, queue_work) = Queue::new(Pace {
        concurrency: settings.concurrency,
        ..Pace::default()
    });
    // Who does not lead keeps no work: all keys are woken when it comes to lead.
    let leads = Arc::new(AtomicBool::new(false));
    let (stores, watches) = watch::start(
        &client,
        settings.watch_namespace.as_deref(),
        Arc::new(settings.model.clone()),
        Arc::new({
            let (queue, leads) = (queue.clone(), Arc::clone(&leads));
            move |key, lane| {
                if leads.load(Ordering::SeqCst) {
                    queue.wake(key, lane);
                }
            }
        }),
    );
    let election = Election::new(
        client,
        &settings.lease.namespace,
        &settings.lease.name,
        identity(&settings),
        Timing::of(settings.lease.holds),
    );
    let leadership = election.leadership();
    let reporter = Arc::new(Reporter::new(
        connections.fenced({
            let leadership = Arc::clone(&leadership);
            move || leadership.valid()
        }),
        settings.instance.clone(),
        installation(
            &settings.model.ingress_class,
            settings.watch_namespace.as_deref(),
        ),
        Box::new({
            let metrics = Arc::clone(&metrics);
            move |what| metrics.kubernetes_write(what)
        }),
    ));
    let parts = Parts {
        settings: Arc::clone(&settings),
        stores: Arc::clone(&stores),
        queue: queue.clone(),
        leadership: Arc::clone(&leadership),
        reporter: Arc::clone(&reporter),
        metrics: Arc::clone(&metrics),
        stopping: shutdown.clone(),
    };
    let mut background = Background::default();
    background.watch(watches);
    // Ends when all else has ended, so that metrics and health last.
    let ending = CancellationToken::new();
    if !settings.dry_run {
        let listener = telemetry::bind(settings.listen).await?;
        let pages = Pages {
            metrics: Arc::clone(&metrics),
            now: Box::new(move || {
                let (groups, findings) = reporter.totals();
                Now {
                    queue_depth: queue.depth(),
                    leader: leadership.valid(),
                    groups,
                    findings,
                }
            }),
            waits_for: Box::new(move || stores.pending().into_iter().map(str::to_owned).collect()),
        };
        background.serve(listener, pages, ending.clone());
    }
    let life = live(parts, connect, election, queue_work, &leads, shutdown);
    let ended = tokio::select! {
        ended = life => ended,
        error = background.ended() => Err(error),
    };
    ending.cancel();
    ended
}

/// Tasks that must not end before the process does.
#[derive(Default)]
struct Background {
    tasks: JoinSet<anyhow::Error>,
}

impl Background {
    fn watch(&mut self, mut watches: JoinSet<&'static str>) {
        self.tasks.spawn(async move {
            match watches.join_next().await {
                Some(Ok(kind)) => anyhow::anyhow!("the watch of {kind} ended"),
                Some(Err(error)) => anyhow::Error::new(error).context("a watch ended"),
                None => anyhow::anyhow!("nothing is watched"),
            }
        });
    }

    fn serve(
        &mut self,
        listener: tokio::net::TcpListener,
        pages: Pages,
        ending: CancellationToken,
    ) {
        self.tasks.spawn(async move {
            match telemetry::serve(listener, pages, ending).await {
                Ok(()) => anyhow::anyhow!("the server of metrics and health ended"),
                Err(error) => {
                    anyhow::Error::new(error).context("the server of metrics and health ended")
                }
            }
        });
    }

    /// Waits until one ends, which is an error.
    async fn ended(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(error)) => error,
            Some(Err(error)) => anyhow::Error::new(error).context("a task ended"),
            None => std::future::pending().await,
        }
    }
}

/// From full stores to the end.
async fn live<C, F, W>(
    parts: Parts,
    connect: C,
    mut election: Election,
    queue_work: QueueWork<Key>,
    leads: &AtomicBool,
    shutdown: CancellationToken,
) -> anyhow::Result<Changes>
where
    C: FnOnce(Parts) -> F,
    F: Future<Output = anyhow::Result<W>>,
    W: Work,
{
    let dry_run = parts.settings.dry_run;
    let settings = Arc::clone(&parts.settings);
    let stores = Arc::clone(&parts.stores);
    let metrics = Arc::clone(&parts.metrics);
    let queue = parts.queue.clone();
    let start = async {
        if dry_run {
            let ready = stores.wait_until_ready();
            if tokio::time::timeout(DRY_RUN_PATIENCE, ready).await.is_err() {
                let pending: Vec<_> = stores.pending().into_iter().collect();
                anyhow::bail!(
                    "the API server did not list {} within {} s; see the log above",
                    pending.join(", "),
                    DRY_RUN_PATIENCE.as_secs()
                );
            }
        }
        stores.wait_until_ready().await;
        connect(parts).await
    };
    let work = tokio::select! {
        () = shutdown.cancelled() => return Ok(Changes::Nothing),
        work = start => Arc::new(work?),
    };
    if dry_run {
        return tokio::select! {
            () = shutdown.cancelled() => anyhow::bail!("stopped before the dry run was done"),
            changes = work.dry_run() => changes,
        };
    }
    tokio::select! {
        () = shutdown.cancelled() => return Ok(Changes::Nothing),
        () = election.acquire() => {}
    }
    // A task of its own: renewal must not wait for work.
    let released = CancellationToken::new();
    let mut holding = tokio::spawn({
        let released = released.clone();
        async move { election.hold(released).await }
    });
    let working = async {
        // Before the snapshot: what it does not have yet wakes its keys.
        leads.store(true, Ordering::SeqCst);
        let half_made = work.begin().await;
        let snapshot = stores.snapshot();
        let view = View {
            known: &snapshot,
            settings: &settings.model,
        };
        let (pending, rest): (BTreeSet<Key>, BTreeSet<Key>) = routes::everything(view)
            .into_iter()
            .partition(|key| half_made.contains(key));
        queue.wake_all(pending, Lane::Pending);
        queue.wake_all(rest, Lane::Restart);
        drop(snapshot);
        let run = |key, turn| one_run(Arc::clone(&work), Arc::clone(&metrics), key, turn);
        // Groups may wait for what they share, so that must never wait for them.
        let counts = |key: &Key| matches!(key, Key::Group(_));
        tokio::select! {
            () = queue_work.run(shutdown.clone(), counts, run) => {}
            () = tick(work.as_ref()) => {}
            () = verify(work.as_ref()) => {}
        }
        if tokio::time::timeout(LAST_WRITES, work.end()).await.is_err() {
            tracing::warn!("not all was written in time before the end");
        }
    };
    tokio::select! {
        biased;
        lost = &mut holding => {
            lost.context("the leader election ended")??;
            anyhow::bail!("the leader election ended");
        }
        () = working => {}
    };
    released.cancel();
    holding.await.context("the leader election ended")??;
    tracing::info!("stopped");
    Ok(Changes::Nothing)
}

/// One run of a key, measured and logged.
async fn one_run<W: Work>(
    work: Arc<W>,
    metrics: Arc<Metrics>,
    key: Key,
    turn: Turn,
) -> Result<Option<Duration>, Failed> {
    let started = Instant::now();
    let span = tracing::info_span!("reconcile", %key);
    let work_on = lane::within(turn.clone(), work.reconcile(&key, &turn));
    let result = work_on.instrument(span).await;
    let how = if result.is_ok() { "ok" } else { "error" };
    metrics.reconciled(key.kind(), how, started.elapsed().as_secs_f64());
    result.map_err(|error| {
        let throttled = W::is_throttled(&error);
        let error = format!("{error:#}");
        tracing::warn!(%key, error, "failed; trying again");
        if throttled {
            Failed::Throttled
        } else {
            Failed::BackOff
        }
    })
}

/// Never ends.
async fn tick<W: Work>(work: &W) {
    loop {
        tokio::time::sleep(TICK).await;
        // What is looked at here are load balancers that are being made.
        let (turn, _) = Turn::new(Lane::Creation);
        lane::within(turn, work.tick()).await;
    }
}

/// Never ends.
async fn verify<W: Work>(work: &W) {
    loop {
        tokio::time::sleep(TICK).await;
        let (turn, _) = Turn::new(Lane::Verification);
        lane::within(turn, work.verify()).await;
    }
}

/// What this process is called in the Lease: two processes on one host must
/// not take each other for themselves.
fn identity(settings: &Settings) -> String {
    format!("{}_{:08x}", settings.instance, rand::random::<u32>())
}
