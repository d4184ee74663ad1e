//! What the console reads of the AWS simulator: what the account holds, and
//! what happens there. Makes no calls of AWS, so that counts of calls stay
//! those of the controller.

use std::time::Duration;

use http_body_util::BodyExt;
use sandbox_aws::journal::Call;
use sandbox_aws::resources::Resources;
use tokio::sync::mpsc;

use crate::sent_events::Lines;
use crate::web;

/// An interrupted stream is begun again after this long.
const AGAIN: Duration = Duration::from_millis(500);

/// What happens in AWS.
#[derive(Debug)]
pub enum News {
    /// A call was answered.
    Call(Box<Call>),
    /// Something has come into another state.
    State,
}

/// What the account holds now.
///
/// # Errors
/// When the simulator does not answer.
pub async fn resources(aws: &str) -> anyhow::Result<Resources> {
    web::sim(aws, "/_sim/resources").await
}

/// Follows the simulator for as long as somebody listens, from the first call
/// that it still knows of on.
pub async fn follow(aws: String, news: mpsc::Sender<News>) {
    let mut since = 0;
    while !news.is_closed() {
        if let Err(error) = stream(&aws, &mut since, &news).await {
            tracing::debug!("the console's stream of AWS: {error:#}");
        }
        // What happened while nobody listened is looked for.
        if news.send(News::State).await.is_err() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn stream(aws: &str, since: &mut u64, news: &mpsc::Sender<News>) -> anyhow::Result<()> {
    let path = format!("/_sim/events?since={since}");
    let mut body = web::stream_sim(aws, &path).await?.into_body();
    let mut lines = Lines::default();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        for event in lines.take(data) {
            if let Some(id) = event.id {
                *since = id;
            }
            let told = match event.kind.as_str() {
                "call" => News::Call(Box::new(serde_json::from_str(&event.data)?)),
                "state" => News::State,
                _ => continue,
            };
            if news.send(told).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
