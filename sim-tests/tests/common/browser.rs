//! A real browser without a window, driven over the WebDriver protocol: JSON over HTTP to
//! chromedriver on this machine. Only what the tests of our pages need.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Keeps to itself: no window, no first-run page, no network of its own.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A running browser; it ends with this value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
    /// Held open: it may still want to say something.
    _said: BufReader<ChildStdout>,
}

/// The program, if the machine has it.
fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|file| file.is_file())
}

impl Browser {
    /// Starts one, or says why there is none.
    pub fn start(width: u32, height: u32, dark: bool) -> Result<Browser, String> {
        let driver = found(&["chromedriver"]).ok_or("there is no chromedriver")?;
        let chromium = found(&["chromium", "chromium-browser", "google-chrome"])
            .ok_or("there is no chromium")?;
        // Port 0: it chooses a free one and says which.
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut said = BufReader::new(driver.stdout.take().expect("it is piped"));
        let port = said
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok()
            })
            .ok_or("chromedriver does not say its port")?;
        let profile = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut arguments: Vec<String> = ARGUMENTS.map(String::from).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.push(format!("--window-size={width},{height}"));
        let mut browser =
            Browser { driver, port, session: String::new(), _profile: profile, _said: said };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
        } } });
        let session = browser.call("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().expect("a session has a name").to_owned();
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.devtools("Emulation.setEmulatedMedia", media);
        browser.devtools("Emulation.setDeviceMetricsOverride", screen);
        Ok(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .expect("it reads");
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("it answers");
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().expect("a length");
                }
                _ if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).expect("the answer is as long as it says");
        let mut answer: Value = serde_json::from_slice(&answer).expect("it is JSON");
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "{method} {path}: {value:#}");
        value
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    fn devtools(&self, command: &str, parameters: Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    /// Opens a page of ours and waits until it says that it is ready.
    pub fn open(&self, page: &Path) {
        self.post("/url", &json!({ "url": format!("file://{}", page.display()) }));
        self.wait("document.body.dataset.ready === 'yes'");
    }

    /// The value of an expression, two frames later: the page has drawn what came before.
    pub fn eval(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done({expression})));"
        );
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// The text of an element.
    pub fn text(&self, selector: &str) -> String {
        let value = self.eval(&format!("document.querySelector({}).textContent", json!(selector)));
        value.as_str().expect("text").to_owned()
    }

    /// Waits until an expression is true.
    pub fn wait(&self, expression: &str) {
        let tries = 200;
        let holds = (0..tries).any(|_| self.eval(expression) == true);
        assert!(holds, "never true in {tries} tries: {expression}");
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().and_then(|names| names.values().next()).expect("one element");
        id.as_str().expect("it has a name").to_owned()
    }

    /// A real click: what covers the element would get it instead, and that is an error.
    pub fn click(&self, selector: &str) {
        self.post(&format!("/element/{}/click", self.element(selector)), &json!({}));
    }

    /// Real keys.
    pub fn keys(&self, selector: &str, text: &str) {
        self.post(&format!("/element/{}/value", self.element(selector)), &json!({ "text": text }));
    }

    /// What the page said on its console, errors of scripts and refused loads included.
    pub fn console(&self) -> Vec<String> {
        let said = self.post("/se/log", &json!({ "type": "browser" }));
        said.as_array().expect("a list").iter().map(|line| line["message"].to_string()).collect()
    }

    /// Keeps a picture of the window for a person to look at.
    pub fn screenshot(&self, file: &Path) {
        let picture =
            self.call("GET", &format!("/session/{}/screenshot", self.session), &json!({}));
        let bytes = base64(picture.as_str().expect("text"));
        assert!(bytes.starts_with(b"\x89PNG"), "it is a picture");
        std::fs::write(file, bytes).expect("the folder is there");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Base64 as browsers write it.
fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let text = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.chunks(4) {
        let word = chunk.iter().fold(0, |word, c| word << 6 | value(*c)) << (6 * (4 - chunk.len()));
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    bytes
}
