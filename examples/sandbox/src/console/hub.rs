//! Brings together what Kubernetes and AWS say, and tells the pages what is
//! new: at most every tenth of a second, each only what has changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sandbox_aws::journal::Call;
use sandbox_aws::resources::Resources;
use serde::Serialize;
use tokio::sync::{broadcast, mpsc};
use tokio::time::MissedTickBehavior;

use super::account;
use super::cluster::Cluster;
use super::model::{Entry, Picture, Rate};
use super::objects::{self, Objects};
use super::picture::{self, Place, difference};
use super::pods;
use super::story::Story;

/// Changes of this time are told together.
const GATHER: Duration = Duration::from_millis(100);
/// The count of calls is told at most this often.
const RATE: Duration = Duration::from_secs(1);
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
    story: Story,
    rate: Rate,
}

/// Something for the story.
enum News {
    Cluster(objects::News),
    Call(Box<Call>),
}

impl News {
    fn at(&self) -> Timestamp {
        match self {
            Self::Cluster(news) => news.at(),
            Self::Call(call) => call.at,
        }
    }
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
        let all = vec![
            Message::new("picture", &shown.picture),
            Message::new("story", &shown.story.newest()),
            Message::new("rate", &shown.rate),
        ];
        (all, self.messages.subscribe())
    }

    /// Looks at what is shown now.
    pub fn look<T>(&self, look: impl FnOnce(&Picture, &Resources, &Objects) -> T) -> T {
        let shown = self.shown();
        self.cluster
            .with(|objects| look(&shown.picture, &shown.resources, objects))
    }

    /// Follows the cluster and AWS until dropped.
    pub async fn run(self, place: Place, aws: String) {
        let (tell, mut told) = mpsc::channel(NEWS);
        let following = account::follow(aws.clone(), tell);
        let working = async {
            // Before the first news there is something to show.
            self.take_in(&place, &aws, Vec::new(), true).await;
            let mut seconds = tokio::time::interval(RATE);
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let mut news = Vec::new();
                tokio::select! {
                    () = self.cluster.changed() => {}
                    _ = seconds.tick() => {
                        self.count();
                        continue;
                    }
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
                let calls = news.into_iter().filter_map(|news| match news {
                    account::News::Call(call) => Some(*call),
                    account::News::State => None,
                });
                self.take_in(&place, &aws, calls.collect(), of_aws).await;
                // At a size at which that takes long, others come first.
                let took = begin.elapsed();
                tokio::time::sleep(GATHER.saturating_sub(took).max(took)).await;
            }
        };
        tokio::join!(following, working);
    }

    /// Counts the calls of the last minute, and tells of it if it is news.
    fn count(&self) {
        let mut shown = self.shown();
        let rate = shown.story.rate(Timestamp::now());
        if rate != shown.rate {
            shown.rate = rate;
            let _ = self.messages.send(Message::new("rate", &rate));
        }
    }

    /// Draws again, and tells what is new.
    async fn take_in(&self, place: &Place, aws: &str, calls: Vec<Call>, of_aws: bool) {
        let read = if of_aws {
            account::resources(aws).await.ok()
        } else {
            None
        };
        let mut shown = self.shown();
        if let Some(read) = read {
            shown.resources = read;
        }
        let (drawn, news) = self.cluster.with(|objects| {
            let news: Vec<_> = objects.news.drain(..).collect();
            shown.story.meet(
                pods::pods_by_address(objects),
                pods::services_of_pods(objects),
            );
            (picture::draw(place, objects, &shown.resources), news)
        });
        let mut messages = changes(&shown.picture, &drawn);
        let leader = drawn.controller.leader.clone();
        let led = leader == shown.picture.controller.leader;
        shown.picture = drawn;
        let mut entries = shown.tell(news, calls);
        if !led {
            entries.extend(shown.story.leads(leader.as_deref(), Timestamp::now()));
        }
        if !entries.is_empty() {
            messages.push(Message::new("story", &entries));
        }
        for message in messages {
            // Nobody may be listening.
            let _ = self.messages.send(message);
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    /// Goes on with the story, in the order of time.
    fn tell(&mut self, news: Vec<objects::News>, calls: Vec<Call>) -> Vec<Entry> {
        self.story.learn(&self.picture, &self.resources);
        let news = news.into_iter().map(News::Cluster);
        let mut news: Vec<News> = news
            .chain(calls.into_iter().map(|call| News::Call(Box::new(call))))
            .collect();
        news.sort_by_key(News::at);
        let told = news.into_iter().flat_map(|news| match news {
            News::Cluster(objects::News::Group(group, at)) => self.story.group(&group, at),
            News::Cluster(objects::News::GroupGone(group, at)) => self.story.group_gone(&group, at),
            News::Cluster(objects::News::PodGone(pod, at)) => self.story.pod_gone(&pod, at),
            News::Cluster(objects::News::Event(event)) => self.story.event(&event),
            News::Call(call) => self.story.call(&call),
        });
        told.collect()
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
    if let Some(controller) = new.controller {
        messages.push(Message::new("controller", controller));
    }
    if let Some(loose) = new.loose {
        messages.push(Message::new("loose", &loose));
    }
    if let Some(records) = new.records {
        messages.push(Message::new("records", &records));
    }
    messages
}
