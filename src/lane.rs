//! How urgent a piece of work is: the order of the queue, and of all that
//! waits for AWS's rate limits.
//!
//! A lane belongs to a run, not to a call: whoever starts a run says it once,
//! with [`within`], and every call of the run is made in it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Lanes, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Pods or nodes came or went: requests are lost until AWS knows.
    Targets,
    /// Somebody changed an Ingress, a Service or the like, and waits.
    Edit,
    /// Found half-made at the start.
    Pending,
    /// A load balancer is made, which takes minutes anyway.
    Creation,
    /// Looked at only because the process started, or because verification
    /// found something.
    Restart,
    /// AWS is read again although nothing says that it changed.
    Verification,
}

impl Lane {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 6] = [
        Self::Targets,
        Self::Edit,
        Self::Pending,
        Self::Creation,
        Self::Restart,
        Self::Verification,
    ];

    /// Whether somebody waits for it who changed something just now; the
    /// others make way.
    pub fn is_live(self) -> bool {
        self <= Self::Edit
    }

    /// The name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Targets => "targets",
            Self::Edit => "edit",
            Self::Pending => "pending",
            Self::Creation => "creation",
            Self::Restart => "restart",
            Self::Verification => "verification",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A run, and how urgent it is now: it becomes more urgent when somebody comes
/// to wait for it.
#[derive(Clone, Debug)]
pub struct Turn {
    run: u64,
    lane: watch::Receiver<Lane>,
    /// What is done now may be less urgent than the run.
    least: Lane,
    /// How urgent those are that wait for what is done now, if others may.
    others: Option<watch::Receiver<Lane>>,
}

/// The end of a turn that makes it more urgent.
#[derive(Debug)]
pub struct Promote(watch::Sender<Lane>);

impl Promote {
    /// Somebody waits for the run in this lane.
    pub fn to(&self, lane: Lane) {
        self.0.send_if_modified(|now| {
            let news = lane < *now;
            *now = lane.min(*now);
            news
        });
    }
}

/// Runs so far; 0 is nobody's.
static RUNS: AtomicU64 = AtomicU64::new(1);

impl Turn {
    /// A new run.
    pub fn new(lane: Lane) -> (Self, Promote) {
        let (sender, receiver) = watch::channel(lane);
        let turn = Self {
            run: RUNS.fetch_add(1, Ordering::Relaxed),
            lane: receiver,
            least: Lane::Targets,
            others: None,
        };
        (turn, Promote(sender))
    }

    /// The run: its calls are told from those of others by it, so that none
    /// takes all.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// How urgent what it does now is.
    pub fn lane(&self) -> Lane {
        let own = (*self.lane.borrow()).max(self.least);
        let others = self.others.as_ref().map(|lane| *lane.borrow());
        others.map_or(own, |others| others.min(own))
    }

    /// The same run, doing something that others may come to wait for: it is
    /// as urgent as the most urgent of them then.
    pub fn shared(&self) -> (Self, Promote) {
        let (sender, receiver) = watch::channel(Lane::Verification);
        let turn = Self {
            others: Some(receiver),
            ..self.clone()
        };
        (turn, Promote(sender))
    }

    /// The same run, doing something that is no more urgent than this.
    #[must_use]
    pub fn at_most(&self, lane: Lane) -> Self {
        Self {
            least: lane.max(self.least),
            ..self.clone()
        }
    }

    /// Waits until it is more urgent; for ever, where it will not be.
    pub async fn promoted(&mut self) {
        let others = async {
            match &mut self.others {
                Some(lane) => changed(lane).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed(&mut self.lane) => {}
            () = others => {}
        }
    }
}

/// Waits for news; for ever, where there will be none.
async fn changed(lane: &mut watch::Receiver<Lane>) {
    if lane.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

tokio::task_local! {
    static TURN: Turn;
}

/// Does `work` as this turn.
pub async fn within<F: Future>(turn: Turn, work: F) -> F::Output {
    TURN.scope(turn, work).await
}

/// The turn of the caller; of work that never said, one for which somebody
/// waits.
pub fn turn() -> Turn {
    TURN.try_with(Turn::clone).unwrap_or_else(|_| Turn {
        run: 0,
        ..Turn::new(Lane::Edit).0
    })
}

/// How urgent the work of the caller is.
pub fn current() -> Lane {
    turn().lane()
}
