//! The questions of `docs/debugging.md`: for each, the situation is brought
//! about, and the sentence that the document quotes is looked for on the page.

use std::path::Path;

use super::Page;
use crate::processes;

/// The headings of the document, each with the sentence that it quotes.
fn questions() -> Vec<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/debugging.md");
    let text = std::fs::read_to_string(file).unwrap();
    let sections = text.split("\n## ").skip(1);
    sections
        .map(|section| {
            let (heading, body) = section.split_once('\n').unwrap();
            let mut quoted = body.lines().filter_map(|line| line.strip_prefix("> "));
            let sentence = quoted.next().unwrap();
            (heading.to_owned(), sentence.to_owned())
        })
        .collect()
}

/// Whether a text has the sentence; `…` in it stands for anything.
fn has(text: &str, sentence: &str) -> bool {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = text.as_str();
    sentence.split('…').map(str::trim).all(|part| {
        let found = rest.find(part);
        if let Some(at) = found {
            rest = &rest[at + part.len()..];
        }
        found.is_some()
    })
}

/// Where on the page the answer is, once the situation is there.
async fn situation(page: &Page, question: &str) -> &'static str {
    let scores = |replicas: &'static str| {
        let arguments = ["-n", "scores", "scale", "deployment/scores", replicas];
        async move { page.up.kubectl(&arguments).await }
    };
    match question {
        "Why this rule and not that?" => {
            let answer = page.request("https://scores.example.com/").await;
            assert!(
                has(
                    &answer,
                    "Rule 2 took it: forward to … (Service scores/scores"
                ),
                "{answer}"
            );
            assert!(has(&answer, "Pod scores/scores-… answered"), "{answer}");
            let rule = page.text("[data-priority='1'][data-trace=no] .why").await;
            assert!(has(&rule, "does not match: the host is"), "{rule}");
            page.has(1, "[data-priority='2'][data-trace=match]").await;
            page.has(1, "[data-pod^='scores/'][data-trace=on]").await;
            "#answer"
        }
        "Why 503?" => {
            scores("--replicas=0").await;
            page.has(0, "[data-pod^='scores/'][data-health=healthy]")
                .await;
            // Nodes go on for a moment with a target that has left, and that
            // may answer 503 itself while it ends.
            processes::eventually("no target answers", async || {
                let answer = page.request("https://scores.example.com/").await;
                has(&answer, "503 … No target answered:")
            })
            .await;
            "#answer"
        }
        "Why is this target unhealthy?" => {
            scores("--replicas=2").await;
            page.has(2, "[data-pod^='scores/'][data-health=healthy]")
                .await;
            page.click("#tab-try").await;
            try_out(page, "fail-health").await;
            "[data-health=unhealthy]"
        }
        "What happened when the pod died?" => {
            try_out(page, "heal").await;
            page.has(0, "[data-health=unhealthy]").await;
            try_out(page, "delete-pod").await;
            // As kubectl says it: pod "game-…" deleted.
            let said = page.text("[data-id=delete-pod] output").await;
            let pod = said.split('"').nth(1).unwrap();
            page.has(0, &format!("[data-pod='game/{pod}']")).await;
            page.click("#tab-story").await;
            page.says("#story", &format!("Pod game/{pod} is gone"))
                .await;
            page.write("#filters [name=group]", "arcade").await;
            page.write("#filters [name=calls]", "write").await;
            assert!(page.count(".entry:not([hidden])").await > 0);
            page.has(0, ".entry:not([hidden], [data-write])").await;
            let writes = page.text("#story").await;
            let left = format!("DeregisterTargets: … pod game/{pod}");
            assert!(has(&writes, &left), "{left} is not in\n{writes}");
            page.write("#filters [name=calls]", "").await;
            "#story"
        }
        "Who owns this record?" => "[data-record='game.example.com']",
        "Why is this Ingress not served?" => {
            page.click("#tab-try").await;
            try_out(page, "break").await;
            "[data-ingress='scores/scores'] .finding"
        }
        "What will change if I apply this?" => {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../2048/ingress.yaml");
            let manifest = std::fs::read_to_string(file).unwrap();
            let changed = manifest.replace("game.example.com", "play.example.com");
            page.click("#tab-plan").await;
            page.write("#plan [name=yaml]", &changed).await;
            page.click("#plan [type=submit]").await;
            page.says("#plan-answer .lines", "Nothing was written")
                .await;
            let lines = page.text("#plan-answer .lines").await;
            assert!(
                has(&lines, "group arcade: … rule 443/1 host play.example.com"),
                "{lines}"
            );
            "#plan-answer"
        }
        "What did the controller do in the last minute?" => "#minute",
        other => panic!("docs/debugging.md asks {other:?}, and nobody knows where to look"),
    }
}

/// Presses the button of a thing to try.
async fn try_out(page: &Page, id: &str) {
    let item = format!("[data-id={id}]");
    let ready = format!("{item} button:not([aria-disabled])");
    page.has(1, &ready).await;
    page.click(&ready).await;
    page.says(&format!("{item} output"), "done").await;
}

pub async fn each_question_has_its_sentence(page: &Page) {
    let questions = questions();
    assert_eq!(questions.len(), 8);
    for (question, sentence) in questions {
        let selector = situation(page, &question).await;
        let expected = format!("{question} {selector} says {sentence:?}");
        processes::eventually(&expected, async || {
            has(&page.text(selector).await, &sentence)
        })
        .await;
    }
    page.click("#tab-story").await;
}
