//! What answers in JSON have in common.

use jiff::Timestamp;
use serde_json::Value;

/// Epoch seconds with their fraction, as JSON 1.1 writes a time.
pub fn seconds(at: Timestamp) -> Value {
    let whole = at.as_second();
    let millis = at.subsec_millisecond();
    serde_json::from_str(&format!("{whole}.{millis:03}")).unwrap_or_else(|_| Value::from(whole))
}
