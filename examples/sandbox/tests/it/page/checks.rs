//! What is on the page, and how it behaves.

use hyper::Uri;
use serde_json::{Value, json};

use super::{LOOKS, Page};
use crate::processes;
use crate::up::Up;

const GAME: &str = "[data-ingress='game/game']";
const SCORES: &str = "[data-ingress='scores/scores']";
/// The targets of the game that are healthy.
const HEALTHY: &str = "[data-pod^='game/'][data-health=healthy]";

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';
const ESCAPE: char = '\u{e00c}';
const RIGHT: char = '\u{e014}';
const BELOW: char = '\u{e015}';
const LEFT: char = '\u{e012}';
const ABOVE: char = '\u{e013}';

pub async fn everything_is_there(page: &Page) {
    page.says("#link", "Live").await;
    page.has(5, HEALTHY).await;
    page.says("[data-record='game.example.com']", "leads to load balancer")
        .await;
    let group = page.text("[data-group=arcade]").await;
    let rule = page.text("[data-group=arcade] [data-priority='1']").await;
    let address = page
        .up
        .kubectl(&[
            "-n",
            "game",
            "get",
            "ingress",
            "game",
            "-o",
            "jsonpath={.status.loadBalancer.ingress[0].hostname}",
        ])
        .await;
    assert!(group.contains(&address), "{address} is not in\n{group}");
    assert!(rule.contains("game.example.com"), "{rule}");
    assert!(rule.contains("Ingress game/game"), "{rule}");
    let pods = page
        .up
        .kubectl(&["-n", "game", "get", "pods", "-o", "name"])
        .await;
    for pod in pods.lines() {
        let pod = pod.trim_start_matches("pod/");
        assert!(group.contains(pod), "{pod} is not in\n{group}");
    }
    page.says(GAME, "served").await;
    page.says("#controller", "leads").await;
    page.says("#rate", "a minute").await;
}

pub async fn a_scale_up_appears_without_a_reload(page: &Page) {
    // The page itself notes what it marks, since marks fade.
    page.run(
        "window.marked = []; \
         new MutationObserver((changes) => { for (const { target } of changes) { \
           if (target.dataset.changed && target.dataset.pod) window.marked.push(`${target.dataset.changed} ${target.dataset.pod}`); \
         }}).observe(document.getElementById('picture'), { subtree: true, attributes: true, attributeFilter: ['data-changed'] })",
    )
    .await;
    page.up
        .kubectl(&["-n", "game", "scale", "deployment/game", "--replicas=7"])
        .await;
    page.has(7, HEALTHY).await;
    let marked = page
        .run("return window.marked ?? 'it was loaded anew'")
        .await;
    let marked = marked.as_array().unwrap();
    let new = marked
        .iter()
        .filter(|mark| mark.as_str().unwrap().starts_with("new game/"));
    assert_eq!(new.count(), 2, "{marked:?}");
    page.says("#spoken", "arcade").await;
    page.screenshot("scaled").await;
}

pub async fn a_broken_ingress_harms_nobody_else(page: &Page) {
    let broken = "alb.ingress.kubernetes.io/healthcheck-interval-seconds=often";
    page.up
        .kubectl(&[
            "-n",
            "scores",
            "annotate",
            "--overwrite",
            "ingress",
            "scores",
            broken,
        ])
        .await;
    let finding = page
        .says(&format!("{SCORES} .finding"), "InvalidAnnotation")
        .await;
    assert!(finding.contains("often"), "{finding}");
    assert_eq!(page.count(&format!("{GAME} .finding")).await, 0);
    page.says(&format!("{GAME} .state[data-tone=good]"), "served")
        .await;
    page.has(7, HEALTHY).await;
    page.screenshot("broken").await;
}

/// What has the focus: its id, else its text.
async fn focused(page: &Page) -> String {
    let script = "const element = document.activeElement; \
                  return element.id || element.innerText || element.tagName";
    page.run(script).await.as_str().unwrap().to_owned()
}

pub async fn keys_lead_everywhere(page: &Page) {
    let press = async |key| page.browser.press(key).await.unwrap();
    page.run("document.activeElement.blur(); scrollTo(0, 0)")
        .await;
    press('/').await;
    assert_eq!(focused(page).await, "search");
    for key in "scores.example.com".chars() {
        press(key).await;
    }
    page.says("#found", "1 group").await;
    page.has(1, "[data-record='scores.example.com'][data-hit]")
        .await;
    assert_eq!(
        page.count("[data-record='game.example.com'][data-hit]")
            .await,
        0
    );
    press(ESCAPE).await;
    page.has(0, "[data-hit]").await;

    // From the top, everything comes in the order in which it is seen.
    page.run("document.activeElement.blur()").await;
    page.run("document.querySelector('.skip').focus()").await;
    let mut path = Vec::new();
    for _ in 0..16 {
        press(TAB).await;
        path.push(focused(page).await);
        let outline = page
            .run("return getComputedStyle(document.activeElement).outlineStyle")
            .await;
        assert_ne!(outline, "none", "nobody sees that {path:?} has the focus");
    }
    assert_eq!(path[0], "search");
    let place = |name: &str| {
        let found = path.iter().position(|each| each == name);
        found.unwrap_or_else(|| panic!("{name} is not reached: {path:?}"))
    };
    assert!(place("Send") < place("open-all"), "{path:?}");
    assert!(place("open-all") < place("arcade"), "{path:?}");

    let fold = "[data-group=arcade] .fold";
    page.run(&format!("document.querySelector(\"{fold}\").focus()"))
        .await;
    press(ENTER).await;
    page.has(0, GAME).await;
    press(ENTER).await;
    page.has(1, GAME).await;
    assert_eq!(focused(page).await, "arcade");

    page.run("document.getElementById('tab-story').focus()")
        .await;
    press(RIGHT).await;
    assert_eq!(focused(page).await, "tab-try");
    page.has(1, "#panel-try:not([hidden])").await;
    press(LEFT).await;

    page.click(&format!("{HEALTHY} [data-action=log]")).await;
    page.says("#log-text", "\n").await;
    press(ESCAPE).await;
    page.has(0, "dialog[open]").await;
}

pub async fn screen_readers_find_names_and_landmarks(page: &Page) {
    let tree = page
        .browser
        .devtools("Accessibility.getFullAXTree", json!({}))
        .await
        .unwrap();
    let nodes: Vec<(String, String)> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] != true)
        .map(|node| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&node["role"]["value"]), text(&node["name"]["value"]))
        })
        .collect();
    for role in ["banner", "main", "search", "complementary"] {
        assert!(nodes.iter().any(|(each, _)| each == role), "no {role}");
    }
    let asks = [
        "button",
        "textbox",
        "searchbox",
        "combobox",
        "link",
        "tab",
        "dialog",
    ];
    let nameless = nodes
        .iter()
        .filter(|(role, name)| asks.contains(&role.as_str()) && name.is_empty());
    assert_eq!(
        nameless.collect::<Vec<_>>(),
        Vec::<&(String, String)>::new()
    );
    let heading = |text: &str| {
        let wanted = ("heading".to_owned(), text.to_owned());
        nodes.contains(&wanted)
    };
    assert!(heading("Picture") && heading("Story") && heading("arcade"));
}

/// Text whose contrast with what is behind it is less than 4.5 (WCAG 2.2,
/// 1.4.3); what is disabled does not count.
const FAINT: &str = r"
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const colour = rgba(getComputedStyle(each).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255];
};
const faint = new Set();
for (const element of document.querySelectorAll('body *')) {
  const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!text || !element.checkVisibility() || element.closest('[aria-disabled], :disabled, .mark')) continue;
  const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) faint.add(`${contrast.toFixed(1)} ${element.className || element.tagName}: ${element.innerText.slice(0, 40)}`);
}
return [...faint];
";

pub async fn it_is_readable_in_each_look(page: &Page) {
    page.request("https://scores.example.com/").await;
    for (name, look) in LOOKS {
        page.browser.look(look).await.unwrap();
        page.run("scrollTo(0, 0)").await;
        let wide = page
            .run("return [...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && each.checkVisibility() && !each.closest('.hidden')).map((each) => each.className || each.tagName)")
            .await;
        assert_eq!(wide, json!([]), "reaches over the edge in {name}");
        let faint = page.run(FAINT).await;
        assert_eq!(faint, json!([]), "is hard to read in {name}");
        page.screenshot(name).await;
    }
    let below = page
        .run("return document.querySelector('aside').getBoundingClientRect().top >= document.querySelector('main').getBoundingClientRect().bottom")
        .await;
    assert_eq!(below, true, "on a phone the story is below the picture");
    page.browser.look(LOOKS[0].1).await.unwrap();
    page.click("[data-action=clear-answer]").await;
}

pub async fn nothing_went_wrong_and_nothing_came_from_elsewhere(page: &Page) {
    assert_eq!(page.browser.log().await.unwrap(), Vec::<String>::new());
    let requested = page.browser.requested().await.unwrap();
    assert!(requested.len() > 10, "{requested:?}");
    let from_elsewhere = requested
        .iter()
        .filter(|url| !url.starts_with(&page.console) && !url.starts_with("data:"));
    assert_eq!(from_elsewhere.collect::<Vec<_>>(), Vec::<&String>::new());
}

pub async fn the_game_reacts_to_an_arrow_key(page: &Page) {
    // By its name and plain HTTP, as people type it: the load balancer leads
    // on to HTTPS.
    page.browser.open("http://game.example.com/").await.unwrap();
    let at = page.run("return location.href").await;
    assert_eq!(at, "https://game.example.com/");
    page.has(2, "#board .tile").await;
    let board = "return [...document.querySelectorAll('#board .tile')].map((tile) => [tile.className, tile.getAttribute('style')])";
    let before = page.run(board).await;
    // One of two that are across moves any board that has a tile to move.
    for key in [LEFT, ABOVE, RIGHT, BELOW] {
        page.browser.press(key).await.unwrap();
    }
    processes::eventually("the board changes", async || {
        page.run(board).await != before
    })
    .await;
    page.says("#pod", "game-").await;
    page.screenshot("game").await;
}

pub async fn a_lost_connection_is_said_and_mended(mut page: Page) {
    page.browser.open(&page.console).await.unwrap();
    page.has(7, HEALTHY).await;
    assert_eq!(page.count("#lost:not([hidden])").await, 0);
    page.up.end().await;
    page.says("#link", "Not connected").await;
    page.says("#lost", "What you see is as it was at").await;
    page.has(7, HEALTHY).await;
    page.screenshot("lost").await;

    // Another sandbox at the same address, in which there is nothing.
    let address: Uri = page.console.parse().unwrap();
    let port = address.port().unwrap().to_string();
    page.up = Up::start(&["--bare", "--console-port", &port]).await;
    page.says("#link", "Live").await;
    page.has(0, "#lost:not([hidden])").await;
    page.has(0, "[data-group]").await;
    page.browser.close().await.unwrap();
}
