//! The page itself, compiled in: `examples/sandbox/console/`, as it is.

/// A file of the page: its content type and its text.
pub type Asset = (&'static str, &'static str);

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A script of the page.
macro_rules! script {
    ($name:literal) => {
        (
            concat!("/", $name),
            SCRIPT,
            include_str!(concat!("../../console/", $name)),
        )
    };
}

/// Path, content type and text of each file.
const ASSETS: [(&str, &str, &str); 18] = [
    ("/", HTML, include_str!("../../console/index.html")),
    ("/style.css", STYLE, include_str!("../../console/style.css")),
    script!("announce.js"),
    script!("api.js"),
    script!("dom.js"),
    script!("group.js"),
    script!("log.js"),
    script!("main.js"),
    script!("measure.js"),
    script!("picture.js"),
    script!("plan.js"),
    script!("request.js"),
    script!("search.js"),
    script!("story.js"),
    script!("stream.js"),
    script!("tabs.js"),
    script!("try.js"),
    script!("words.js"),
];

/// The file at a path of the console.
pub fn asset(path: &str) -> Option<Asset> {
    ASSETS
        .iter()
        .find(|(at, ..)| *at == path)
        .map(|(_, content_type, text)| (*content_type, *text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_file_of_the_page_is_served_and_all_that_they_name_is_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let path = format!("/{}", name.replace("index.html", ""));
            assert!(asset(&path).is_some(), "{path} is not served");
        }
        for (path, _, text) in ASSETS {
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let named = line.rsplit('\'').nth(1).unwrap();
                let imported = named.strip_prefix('.').unwrap();
                assert!(asset(imported).is_some(), "{path} imports {named}");
            }
        }
        assert!(asset("/nothing.js").is_none());
    }

    /// A browser that hears of a script only from the one that imports it
    /// waits once for each step.
    #[test]
    fn the_page_names_each_script_so_that_all_are_fetched_at_once() {
        let (_, page) = asset("/").unwrap();
        for (path, content_type, _) in ASSETS {
            let named = page.contains(&format!("=\"{path}\""));
            assert!(
                named || content_type != SCRIPT,
                "index.html does not name {path}"
            );
        }
    }

    /// The Content-Security-Policy would stop these, and people would see a
    /// page that does less than it should.
    #[test]
    fn nothing_is_inline_and_nothing_is_from_elsewhere() {
        for (path, _, text) in ASSETS {
            let words = [
                " style=\"",
                "onclick=",
                "innerHTML",
                "outerHTML",
                "eval(",
                "insertAdjacentHTML",
            ];
            for word in words {
                assert!(!text.contains(word), "{path} has {word}");
            }
            for scheme in ["https://", "//cdn", "url("] {
                assert!(!text.contains(scheme), "{path} has {scheme}");
            }
        }
    }
}
