//! How urgent a piece of work is: the order of the queue, and of all that
//! waits for AWS's rate limits.
//!
//! A lane belongs to a run, not to a call: whoever starts a run says it once,
//! with [`within`], and every call of the run is made in it.

use std::fmt;
use std::future::Future;

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

/// Whose turn it is, and how urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// How urgent.
    pub lane: Lane,
    /// The run: calls of one run are told from those of others by it, so that
    /// none takes all.
    pub run: u64,
}

tokio::task_local! {
    static TURN: Turn;
}

/// Does `work` as this turn.
pub async fn within<F: Future>(turn: Turn, work: F) -> F::Output {
    TURN.scope(turn, work).await
}

/// The turn of the caller. Work that never said is taken for somebody who
/// waits.
pub fn current() -> Turn {
    TURN.try_with(|turn| *turn).unwrap_or(Turn {
        lane: Lane::Edit,
        run: 0,
    })
}
