//! The console's page in a real browser, as people use it: what is on it,
//! what changes without a reload, and for each question of
//! `docs/debugging.md` the sentence that answers it.
//!
//! One sandbox and one browser for all of it: each step goes on from what the
//! one before has left.

mod answers;
mod checks;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use sandbox::browser::{Browser, Look, Programs};
use sandbox::web;
use serde_json::{Value, json};

use crate::processes;
use crate::up::Up;

/// What the page is looked at in; the first is the one people have most.
const LOOKS: [(&str, Look); 4] = [
    ("light", look(1280, 800, false)),
    ("dark", look(1280, 800, true)),
    ("narrow", look(390, 844, false)),
    ("narrow-dark", look(390, 844, true)),
];

const fn look(width: u32, height: u32, dark: bool) -> Look {
    Look {
        width,
        height,
        dark,
    }
}

/// A sandbox with the examples of this repository in it, and its console in a
/// browser.
struct Page {
    up: Up,
    browser: Browser,
    console: String,
    screenshots: PathBuf,
}

/// The browser's programs. Where it does not matter they may be missing, and
/// the test says that it was skipped.
fn programs() -> Option<Programs> {
    let found = Programs::find();
    if found.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "chromium and chromedriver are missing; .ci/run installs them"
        );
        eprintln!("skipped: chromium and chromedriver are not in PATH");
    }
    found
}

/// A free port that no client gets: it is taken again after the sandbox has ended.
fn console_port() -> String {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| rand::random_range(20_000..30_000));
    ports.find(is_free).unwrap().to_string()
}

impl Page {
    async fn open(programs: &Programs) -> Self {
        let up = Up::start(&["--console-port", &console_port()]).await;
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for example in ["2048", "group"] {
            let folder = repository.join("examples").join(example);
            up.kubectl(&["apply", "-k", &folder.display().to_string()])
                .await;
        }
        let aws = up.variables["AWS_ENDPOINT_URL"].clone();
        processes::eventually("two listeners are open", async || {
            web::listeners(&aws).await.unwrap().len() == 2
        })
        .await;
        let rules: Vec<String> = web::listeners(&aws)
            .await
            .unwrap()
            .iter()
            .map(|each| format!("MAP game.example.com:{} {}", each.port, each.socket))
            .collect();
        let browser = Browser::start(programs, &rules).await.unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let screenshots = target.join("console");
        std::fs::create_dir_all(&screenshots).unwrap();
        let page = Self {
            console: up.variables["SANDBOX_CONSOLE"].clone(),
            up,
            browser,
            screenshots,
        };
        page.browser.look(LOOKS[0].1).await.unwrap();
        // Chromium's own first page is not what is looked at.
        page.browser.open("about:blank").await.unwrap();
        page.browser.requested().await.unwrap();
        page.browser.open(&page.console).await.unwrap();
        page
    }

    async fn run(&self, script: &str) -> Value {
        self.browser.run(script, &[]).await.unwrap()
    }

    /// The text of the first element that matches, empty if there is none.
    async fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        let text = self.browser.run(script, &[json!(selector)]).await.unwrap();
        text.as_str().unwrap().to_owned()
    }

    /// How many elements match.
    async fn count(&self, selector: &str) -> u64 {
        let script = "return document.querySelectorAll(arguments[0]).length";
        let count = self.browser.run(script, &[json!(selector)]).await.unwrap();
        count.as_u64().unwrap()
    }

    /// Waits until the element's text has `words`; answers the whole text.
    async fn says(&self, selector: &str, words: &str) -> String {
        let expected = format!("{selector} says {words:?}");
        processes::eventually(&expected, async || {
            self.text(selector).await.contains(words)
        })
        .await;
        self.text(selector).await
    }

    /// Waits until so many elements match.
    async fn has(&self, count: u64, selector: &str) {
        let expected = format!("{count} of {selector}");
        processes::eventually(&expected, async || self.count(selector).await == count).await;
    }

    async fn click(&self, selector: &str) {
        let script = "document.querySelector(arguments[0]).click()";
        self.browser.run(script, &[json!(selector)]).await.unwrap();
    }

    /// Writes into a field as a person does, as far as the page can tell.
    async fn write(&self, selector: &str, text: &str) {
        let script = "const field = document.querySelector(arguments[0]); \
                      field.value = arguments[1]; \
                      field.dispatchEvent(new Event('input', { bubbles: true })); \
                      field.dispatchEvent(new Event('change', { bubbles: true }))";
        let arguments = [json!(selector), json!(text)];
        self.browser.run(script, &arguments).await.unwrap();
    }

    /// Sends a request from the box; answers what is said of it.
    async fn request(&self, url: &str) -> String {
        self.run("document.querySelector('#answer [data-action=clear-answer]')?.click()")
            .await;
        self.write("#request [name=url]", url).await;
        self.click("#request [type=submit]").await;
        self.says("#answer h3", url).await;
        self.text("#answer").await
    }

    async fn screenshot(&self, name: &str) {
        let file = self.screenshots.join(format!("{name}.png"));
        self.browser.screenshot(&file).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_what_there_is_what_changes_and_why() {
    let Some(programs) = programs() else {
        return;
    };
    let page = Page::open(&programs).await;
    checks::everything_is_there(&page).await;
    checks::a_scale_up_appears_without_a_reload(&page).await;
    answers::each_question_has_its_sentence(&page).await;
    checks::a_broken_ingress_harms_nobody_else(&page).await;
    checks::keys_lead_everywhere(&page).await;
    checks::screen_readers_find_names_and_landmarks(&page).await;
    checks::it_is_readable_in_each_look(&page).await;
    checks::nothing_went_wrong_and_nothing_came_from_elsewhere(&page).await;
    checks::the_game_reacts_to_an_arrow_key(&page).await;
    checks::a_lost_connection_is_said_and_mended(page).await;
}
