//! Server-sent events, as the AWS simulator and the console send them, for those
//! who read them. Pure.

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
