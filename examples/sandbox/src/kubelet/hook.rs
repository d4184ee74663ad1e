//! `preStop` hooks, as far as a sandbox that runs no images can play them:
//! those that sleep. Pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::Container;

/// How long a `preStop` hook sleeps: its `sleep`, or a command that ends in
/// `sleep N`, alone or in a shell's line.
pub fn hook_sleep(container: &Container) -> Duration {
    let hook = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let Some(hook) = hook else {
        return Duration::ZERO;
    };
    let seconds = match (&hook.sleep, &hook.exec) {
        (Some(sleep), _) => u64::try_from(sleep.seconds).ok(),
        (None, Some(exec)) => {
            let line = exec.command.iter().flatten().cloned().collect::<Vec<_>>();
            let line = line.join(" ");
            line.rsplit_once("sleep ")
                .and_then(|(_, seconds)| seconds.trim().parse().ok())
        }
        (None, None) => None,
    };
    Duration::from_secs(seconds.unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hooks_that_sleep_are_played() {
        let cases = [
            (json!({"sleep": {"seconds": 7}}), 7),
            (json!({"exec": {"command": ["sleep", "5"]}}), 5),
            (
                json!({"exec": {"command": ["sh", "-c", "date; sleep 12"]}}),
                12,
            ),
            (json!({"exec": {"command": ["nginx", "-s", "quit"]}}), 0),
            (json!({"httpGet": {"port": 80}}), 0),
        ];
        for (hook, seconds) in cases {
            let container = json!({"name": "c", "lifecycle": {"preStop": hook}});
            let container: Container = serde_json::from_value(container).unwrap();
            assert_eq!(hook_sleep(&container).as_secs(), seconds, "{hook}");
        }
    }
}
