//! Brings together what Kubernetes and AWS say, and tells the pages what is
//! new: at most every tenth of a second, each only what has changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sandbox_aws::resources::Resources;
use serde::Serialize;
use tokio::sync::{broadcast, mpsc};

use super::account::{self, News};
use super::cluster::Cluster;
use super::model::Picture;
use super::picture::{self, Place, difference};

/// Changes of this time are told together.
const GATHER: Duration = Duration::from_millis(100);
/// Messages that a slow page may lag behind before it is told all again.
const LAG: usize = 1_000;
/// Pieces of news of AWS that wait to be taken in.
const NEWS: usize = 10_000;

/// A server-sent event for the pages.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it is called.
    pub event: &'static str,
    /// What it says, as JSON.
    pub data: Arc<str>,
}

impl Message {
    fn new(event: &'static str, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).unwrap_or_default();
        Self {
            event,
            data: data.into(),
        }
    }
}

/// What the pages are shown now.
#[derive(Debug, Default)]
struct Shown {
    picture: Picture,
    resources: Resources,
}

/// What the console knows, for those who ask and those who follow.
#[derive(Debug, Clone)]
pub struct Hub {
    shown: Arc<Mutex<Shown>>,
    messages: broadcast::Sender<Message>,
    /// Kubernetes, as it is watched.
    pub cluster: Cluster,
}

impl Hub {
    /// A hub that knows nothing yet.
    pub fn new(cluster: Cluster) -> Self {
        Self {
            shown: Arc::default(),
            messages: broadcast::Sender::new(LAG),
            cluster,
        }
    }

    /// Everything that there is to tell, and what follows on it.
    pub fn subscribe(&self) -> (Vec<Message>, broadcast::Receiver<Message>) {
        let shown = self.shown();
        let all = vec![Message::new("picture", &shown.picture)];
        (all, self.messages.subscribe())
    }

    /// Looks at what is shown now.
    pub fn look<T>(&self, look: impl FnOnce(&Picture, &Resources) -> T) -> T {
        let shown = self.shown();
        look(&shown.picture, &shown.resources)
    }

    /// Follows the cluster and AWS until dropped.
    pub async fn run(self, place: Place, aws: String) {
        let (tell, mut told) = mpsc::channel(NEWS);
        let following = account::follow(aws.clone(), tell);
        let working = async {
            // Before the first news there is something to show.
            self.take_in(&place, &aws, Vec::new(), true).await;
            loop {
                let mut news = Vec::new();
                tokio::select! {
                    () = self.cluster.changed() => {}
                    first = told.recv() => match first {
                        Some(first) => news.push(first),
                        None => return,
                    }
                }
                while let Ok(more) = told.try_recv() {
                    news.push(more);
                }
                let begin = Instant::now();
                let of_aws = !news.is_empty();
                self.take_in(&place, &aws, news, of_aws).await;
                tokio::time::sleep(GATHER.saturating_sub(begin.elapsed())).await;
            }
        };
        tokio::join!(following, working);
    }

    /// Draws again, and tells what is new.
    async fn take_in(&self, place: &Place, aws: &str, _news: Vec<News>, of_aws: bool) {
        let read = if of_aws {
            account::resources(aws).await.ok()
        } else {
            None
        };
        let mut shown = self.shown();
        if let Some(read) = read {
            shown.resources = read;
        }
        let drawn = self
            .cluster
            .with(|objects| picture::draw(place, objects, &shown.resources));
        let messages = changes(&shown.picture, &drawn);
        shown.picture = drawn;
        for message in messages {
            // Nobody may be listening.
            let _ = self.messages.send(message);
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changes(before: &Picture, after: &Picture) -> Vec<Message> {
    let new = difference(before, after);
    let mut messages = Vec::new();
    for group in new.groups {
        messages.push(Message::new("group", group));
    }
    for key in new.gone {
        messages.push(Message::new("gone", &serde_json::json!({ "key": key })));
    }
    if let Some(loose) = new.loose {
        messages.push(Message::new("loose", &loose));
    }
    if let Some(records) = new.records {
        messages.push(Message::new("records", &records));
    }
    messages
}
