//! A real browser, for the test of the console's page and for what measures
//! it: headless Chromium, driven through chromedriver by the WebDriver
//! protocol (<https://www.w3.org/TR/webdriver2/>), which is JSON over HTTP.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long the driver may take to be there, and each of its answers.
const PATIENCE: Duration = Duration::from_mins(1);

/// The programs, as Debian's packages `chromium` and `chromium-driver` name
/// them.
#[derive(Debug, Clone)]
pub struct Programs {
    chromium: PathBuf,
    driver: PathBuf,
}

impl Programs {
    /// Those of `PATH`, if both are there.
    pub fn find() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let find = |name: &str| {
            std::env::split_paths(&path)
                .map(|folder| folder.join(name))
                .find(|file| file.is_file())
        };
        Some(Self {
            chromium: find("chromium")?,
            driver: find("chromedriver")?,
        })
    }
}

/// How a page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Width of the page in CSS pixels.
    pub width: u32,
    /// Height of the page in CSS pixels.
    pub height: u32,
    /// The person prefers dark colours.
    pub dark: bool,
}

/// A running browser with one tab. [`close`](Self::close) ends it in an
/// orderly way; when it is dropped, it is killed.
pub struct Browser {
    driver: Child,
    /// `http://127.0.0.1:PORT/session/ID`.
    session: String,
    client: Client<HttpConnector, Full<Bytes>>,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser. `host_rules` are Chromium's own for what names lead
    /// to, as `MAP game.example.com 127.64.0.2`.
    ///
    /// # Errors
    /// A program does not start, or the driver refuses the session.
    pub async fn start(programs: &Programs, host_rules: &[String]) -> anyhow::Result<Self> {
        let mut driver = Command::new(&programs.driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver cannot be started")?;
        let stdout = driver.stdout.take().context("chromedriver says nothing")?;
        let port = tokio::time::timeout(PATIENCE, port(stdout))
            .await
            .context("chromedriver does not say its port")??;
        let profile = tempfile::tempdir()?;
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{port}/session"),
            client: Client::builder(TokioExecutor::new()).build_http(),
            profile,
        };
        let mut arguments = vec![
            "--headless=new".to_owned(),
            // As root, as in a container, there is no other way.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--hide-scrollbars".to_owned(),
            // What Chromium fetches for itself must not be taken for the page's.
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            format!("--user-data-dir={}", browser.profile.path().display()),
        ];
        if !host_rules.is_empty() {
            arguments.push(format!("--host-resolver-rules={}", host_rules.join(",")));
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "binary": programs.chromium, "args": arguments },
        }}});
        let session = browser.ask(Method::POST, "", &wanted).await?;
        let id = session["sessionId"]
            .as_str()
            .context("chromedriver names no session")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.post("/url", &json!({ "url": url })).await?;
        Ok(())
    }

    /// Runs the body of a function in the page; answers what it returns.
    /// `arguments` are its `arguments`.
    ///
    /// # Errors
    /// What the script throws.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> anyhow::Result<Value> {
        let body = json!({ "script": script, "args": arguments });
        self.post("/execute/sync", &body).await
    }

    /// Presses and releases a key in the page: a character, or one of
    /// WebDriver's code points for others (`\u{e004}` is Tab).
    ///
    /// # Errors
    /// The driver refuses.
    pub async fn press(&self, key: char) -> anyhow::Result<()> {
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": [
            { "type": "keyDown", "value": key },
            { "type": "keyUp", "value": key },
        ]}]});
        self.post("/actions", &actions).await?;
        Ok(())
    }

    /// Shows the page in another size and colours.
    ///
    /// # Errors
    /// The driver refuses.
    pub async fn look(&self, look: Look) -> anyhow::Result<()> {
        let metrics = json!({
            "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await?;
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await?;
        Ok(())
    }

    /// A command of Chromium's own, of its DevTools protocol.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn devtools(&self, command: &str, parameters: Value) -> anyhow::Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body).await
    }

    /// What is seen, as a PNG file.
    ///
    /// # Errors
    /// It cannot be taken or written.
    pub async fn screenshot(&self, file: &Path) -> anyhow::Result<()> {
        let taken = self.ask(Method::GET, "/screenshot", &Value::Null).await?;
        let png = STANDARD.decode(taken.as_str().unwrap_or_default())?;
        std::fs::write(file, png).with_context(|| format!("cannot write {}", file.display()))
    }

    /// What came into the browser's log since the last time, as
    /// `LEVEL message`: errors of scripts, of loading, of the policy.
    ///
    /// # Errors
    /// The driver refuses.
    pub async fn log(&self) -> anyhow::Result<Vec<String>> {
        let entries = self.logged("browser").await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(entries
            .iter()
            .map(|entry| format!("{} {}", text(&entry["level"]), text(&entry["message"])))
            .collect())
    }

    /// The URLs that pages asked for since the last time.
    ///
    /// # Errors
    /// The driver refuses.
    pub async fn requested(&self) -> anyhow::Result<Vec<String>> {
        let mut urls = Vec::new();
        for entry in self.logged("performance").await? {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap_or("null"))?;
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent"
                && let Some(url) = message["params"]["request"]["url"].as_str()
            {
                urls.push(url.to_owned());
            }
        }
        Ok(urls)
    }

    /// Ends the browser.
    ///
    /// # Errors
    /// The driver refuses; the browser is killed all the same.
    pub async fn close(self) -> anyhow::Result<()> {
        self.ask(Method::DELETE, "", &Value::Null).await?;
        Ok(())
    }

    async fn logged(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        match self.post("/se/log", &json!({ "type": kind })).await? {
            Value::Array(entries) => Ok(entries),
            other => bail!("chromedriver answers with {other} for a log"),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, body).await
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.session);
        let sent = match body {
            Value::Null => Bytes::new(),
            body => body.to_string().into(),
        };
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(sent))?;
        let whole = async {
            let answer = self.client.request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(PATIENCE, whole)
            .await
            .with_context(|| format!("chromedriver does not answer {url}"))??;
        let mut said: Value = serde_json::from_slice(&body)?;
        ensure!(
            status.is_success(),
            "chromedriver: {}: {}",
            said["value"]["error"],
            said["value"]["message"]
        );
        Ok(said["value"].take())
    }
}

impl Drop for Browser {
    /// chromedriver is killed with its handle, and leaves its browser behind,
    /// which is known by its profile.
    fn drop(&mut self) {
        let _ = self.driver.start_kill();
        let profile = self.profile.path().display().to_string();
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return;
        };
        for process in processes.flatten() {
            let pid = process
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let Some(pid) = pid.and_then(Pid::from_raw) else {
                continue;
            };
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&profile) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// The port, from what chromedriver prints once it listens.
async fn port(stdout: tokio::process::ChildStdout) -> anyhow::Result<u16> {
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(port) = line.split("started successfully on port ").nth(1) {
            let port = port.trim_end_matches('.').parse();
            return port.with_context(|| format!("no port in {line:?}"));
        }
    }
    bail!("chromedriver ended at once")
}
