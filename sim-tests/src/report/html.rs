//! Pages that people look at: one self-contained file each, for a run ([`run`]), for a sweep
//! ([`sweep`]) and for the beginning of a failure ([`causes`]).
//!
//! Style, scripts and data are inside the file, and its content security policy forbids everything
//! else: it opens from a mail, from an artifact of a build, in ten years. The data is JSON in a
//! script element that is not executed; every `<` in it is written as an escape, so that no text of
//! a plan or a violation can end the element. The scripts are in `html/assets`, ours, and loaded by
//! nobody else; `tests/browser.rs` runs them in a real browser.

mod causes;
mod run;
mod sweep;

pub use causes::causes;
pub use run::{Picture, run};
pub use sweep::sweep;

const PAGE: &str = include_str!("html/assets/page.html");
const STYLE: &str = include_str!("html/assets/page.css");
const COMMON: &str = include_str!("html/assets/common.js");

/// The page with these scripts and this data.
fn page(title: &str, scripts: &[&str], data: &serde_json::Value) -> String {
    let script = scripts.join("\n");
    let json = data.to_string().replace('<', "\\u003c");
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let mut text = String::with_capacity(PAGE.len() + STYLE.len() + script.len() + json.len());
    let mut rest = PAGE;
    // One pass: what is put in is never searched for further places.
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("every place of the page is closed");
        text.push_str(before);
        text.push_str(match name {
            "title" => &title,
            "style" => STYLE,
            "script" => &script,
            "data" => &json,
            other => unreachable!("the page has no place {other}"),
        });
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of a page, as a browser would read it.
    pub(super) fn data(page: &str) -> serde_json::Value {
        let (_, rest) = page.split_once("id=\"data\">").expect("there is data");
        let (json, _) = rest.split_once("</script>").expect("it ends");
        serde_json::from_str(json).expect("it is JSON")
    }

    #[test]
    fn no_text_ends_the_data_or_the_title() {
        let evil = "</script><script>alert(1)</script><!-- {{script}} & \u{2028}";
        let page = page(evil, &[COMMON], &serde_json::json!({ "x": evil }));
        assert_eq!(data(&page)["x"], evil);
        assert_eq!(page.matches("<script").count(), 2, "the data and ours");
        assert_eq!(page.matches("alert(1)").count(), 2, "once in the title, once in the data");
        assert!(page.contains("<title>&lt;/script>&lt;script>"));
    }

    #[test]
    fn nothing_comes_from_a_network() {
        let scripts = [run::SCRIPTS, sweep::SCRIPTS, causes::SCRIPTS].concat();
        let page = page("t", &scripts, &serde_json::Value::Null);
        let known = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", "//cdn", "url(", "@import", "fetch(", "import("] {
            assert!(!known.contains(word), "{word}");
        }
    }
}
