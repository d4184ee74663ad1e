//! What the console reads of the AWS simulator: what the account holds, and
//! what happens there. Makes no calls of AWS, so that counts of calls stay
//! those of the controller.

use std::time::Duration;

use http_body_util::BodyExt;
use sandbox_aws::journal::Call;
use sandbox_aws::resources::Resources;
use tokio::sync::mpsc;

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

/// A server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub id: Option<u64>,
    /// What it is called.
    pub kind: String,
    /// What it says.
    pub data: String,
}

/// Puts server-sent events together from the bytes that come.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    begun: Sent,
}

impl Lines {
    /// The events that are whole with these bytes.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Sent> {
        let mut whole = Vec::new();
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let event = std::mem::take(&mut self.begun);
                if !event.kind.is_empty() {
                    whole.push(event);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.begun.id = value.parse().ok(),
                "event" => value.clone_into(&mut self.begun.kind),
                "data" => {
                    if !self.begun.data.is_empty() {
                        self.begun.data.push('\n');
                    }
                    self.begun.data.push_str(value);
                }
                _ => {}
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_pieces() {
        let mut lines = Lines::default();
        assert!(lines.take(b": keep\n\nid: 7\nevent: ca").is_empty());
        let event = Sent {
            id: Some(7),
            kind: "call".to_owned(),
            data: "{\n}".to_owned(),
        };
        assert_eq!(lines.take(b"ll\r\ndata: {\ndata: }\n\nevent: x\n"), [event]);
        assert_eq!(lines.take(b"\n").len(), 1);
    }
}
