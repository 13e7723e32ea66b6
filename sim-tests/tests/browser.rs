//! The pages in a real browser: they load without a word on the console, show the violation, filter
//! and zoom, and stay usable with a hundred nodes and ten minutes. Screenshots are kept in the
//! target folder, for a person to look at.
//!
//! Without chromium and chromedriver these tests say so and pass; `.ci/run` tries to install them.
#![cfg(feature = "sim")]

#[path = "common/browser.rs"]
mod browser;

use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::pool::Mode;
use alpenglow_node::protocol::types::{BlockId, Hash, NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use browser::Browser;
use serde_json::json;
use sim_tests::report::html;
use sim_tests::scenario::Scenario;
use sim_tests::testing::child_result;
use sim_tests::world::observe::{NodeEvent, Observer};
use std::path::{Path, PathBuf};

/// A folder that stays after the test.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Keeps a page that was made in a child process; one line travels back: where.
fn keep(name: &str, page: &str) -> String {
    let path = folder().join(name).with_extension("html");
    std::fs::write(&path, page).expect("the target folder can be written");
    path.display().to_string()
}

fn start(width: u32, height: u32, dark: bool) -> Option<Browser> {
    match Browser::start(width, height, dark) {
        Ok(browser) => Some(browser),
        Err(why) => {
            println!("skipped: {why} (Debian: apt-get install chromium chromium-driver)");
            None
        }
    }
}

/// Certificates are believed without their stake, and one node forges them.
fn broken() -> Scenario {
    Scenario::plan("calm")
        .set("cluster.nodes=7")
        .set("run.duration=6s")
        .set("expect.liveness=false")
        .wrong("gullible")
        .recorded()
}

/// How many events the page says are in view.
fn in_view(browser: &Browser) -> u64 {
    let said = browser.text("#status");
    let number = said.split(' ').next().expect("it begins with a number").replace(',', "");
    number.parse().unwrap_or_else(|_| panic!("no number in front: {said}"))
}

/// From when to when, as the page says.
fn range(browser: &Browser) -> (f64, f64) {
    let said = browser.text("#range");
    let mut numbers = said.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
    (numbers.next().expect("from"), numbers.next().expect("to"))
}

/// Pixels of the lanes in the hue of violations.
fn red(browser: &Browser) -> u64 {
    let script = "(() => {
        const canvas = document.getElementById('canvas');
        const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const probe = document.createElement('i');
        probe.style.color = 'var(--trouble)';
        document.body.append(probe);
        const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
        probe.remove();
        let n = 0;
        for (let i = 0; i < all.length; i += 4) n += all[i] === r && all[i + 1] === g && all[i + 2] === b;
        return n;
    })()";
    browser.eval(script).as_u64().expect("a number")
}

#[test]
fn a_failing_run_can_be_explored() {
    let test = "a_failing_run_can_be_explored";
    let page = child_result(test, "", |_| {
        let run = broken().run();
        run.is_caught_by("O14");
        keep("failing", &run.page())
    });
    let Some(browser) = start(1440, 1000, false) else { return };
    browser.open(Path::new(&page));
    assert_eq!(browser.text("#verdict"), "✕ FAIL: safety");
    assert!(browser.text("#violations").contains("O14"));

    // The violation is shown, and a click leads to it from elsewhere.
    browser.click("[data-violation='0']");
    let (from, to) = range(&browser);
    assert!(red(&browser) > 200, "a line through all lanes, in the hue of trouble");
    browser.screenshot(&folder().join("failing.png"));

    // Zoom by button and by key, back to everything.
    browser.click("#zoom-in");
    let (closer_from, closer_to) = range(&browser);
    assert!(closer_to - closer_from < (to - from) * 0.8 && closer_from >= from && closer_to <= to);
    let near = in_view(&browser);
    browser.keys("#lanes-box", "++");
    assert!(in_view(&browser) < near, "less is in view");
    browser.keys("#lanes-box", "0");
    let all = in_view(&browser);
    assert!(all > near);
    assert_eq!(range(&browser).0, 0.0);

    // Filters: kinds, nodes, nonsense.
    browser.click("[data-group=votes]");
    let without_votes = in_view(&browser);
    assert!(without_votes < all && without_votes > 0);
    browser.click("[data-group=votes]");
    assert_eq!(in_view(&browser), all);
    browser.keys("#nodes", "2-3");
    assert!(browser.text("#status").ends_with("2 of 7 nodes") && in_view(&browser) < all);
    browser.keys("#nodes", "x");
    assert_eq!(
        browser.eval("document.getElementById('nodes').getAttribute('aria-invalid')"),
        "true"
    );

    // The table holds what is in view, but few rows exist; a click picks the event.
    let rows =
        browser.eval("Number(document.querySelector('.rows').getAttribute('aria-rowcount'))");
    assert_eq!(rows.as_u64(), Some(in_view(&browser)));
    assert!(browser.eval("document.querySelectorAll('.row').length").as_u64() < Some(60));
    browser.click(".row");
    assert!(browser.text("#picked").contains(" at "));
    browser.keys("#lanes-box", "n");
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// A hundred nodes for ten minutes: made up, because simulating it takes half an hour.
fn crowd() -> String {
    let scenario = Scenario::plan("mainnet-100")
        .set("cluster.crypto=null")
        .set("run.duration=400ms")
        .set("expect={ safety = true, liveness = false, progress = \"0%\" }")
        .unjudged()
        .recorded();
    let mut run = scenario.run();
    let mut recorder = run.outcome.recorder();
    for slot in 10..1_500_u64 {
        let block = BlockId::new(Slot(slot), Hash::of("made up", &[&slot.to_le_bytes()]));
        for (step, event) in [
            Event::SlotSeen(block.slot),
            Event::VoteCast(Vote::new(block.slot, VoteKind::Notar(block.hash))),
            Event::VoteStored(NodeId(0), Vote::new(block.slot, VoteKind::Notar(block.hash))),
            Event::Finalized(block, Mode::Fast),
        ]
        .iter()
        .enumerate()
        {
            for node in 0..100_u16 {
                let at_ns =
                    slot * 400_000_000 + step as u64 * 90_000_000 + u64::from(node) * 700_000;
                recorder.node(at_ns, 0, NodeEvent::Woke);
                recorder.event(NodeId(node), event);
            }
        }
    }
    drop(recorder);
    run.outcome.virtual_ns = 600_000_000_000;
    keep("crowd", &run.page())
}

#[test]
fn a_hundred_nodes_for_ten_minutes_stay_usable() {
    let page = child_result("a_hundred_nodes_for_ten_minutes_stay_usable", "", |_| crowd());
    let size = std::fs::metadata(&page).expect("it was kept").len();
    assert!(size < 20_000_000, "{size} bytes");
    let Some(browser) = start(1440, 1000, false) else { return };
    browser.open(Path::new(&page));
    assert!(browser.text("#left-out").contains("received votes"), "it says what is missing");
    assert!(in_view(&browser) > 200_000);
    browser.screenshot(&folder().join("crowd.png"));
    // Ten steps of zoom, drawn one by one, with everything in view at first.
    let script = "(() => {
        const began = performance.now();
        document.getElementById('zoom-in').click();
        return new Promise((done) => {
            let left = 10;
            const next = () => {
                document.getElementById('zoom-in').click();
                left -= 1;
                requestAnimationFrame(left ? next : () => done(performance.now() - began));
            };
            next();
        });
    })()";
    let took = browser.eval(script).as_f64().expect("a number");
    println!("ten steps of zoom: {took:.0} ms");
    assert!(took < 10_000.0, "{took} ms for ten steps: the tab is frozen");
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// Dark, and as narrow as a phone: nothing sticks out sideways.
#[test]
fn a_narrow_dark_window_is_enough() {
    let page = child_result("a_narrow_dark_window_is_enough", "", |_| {
        let run = Scenario::plan("partition-heal")
            .seed(4)
            .set("cluster.nodes=7")
            .set("cluster.crypto=null")
            .recorded()
            .run();
        keep("passing", &run.page())
    });
    let Some(browser) = start(420, 900, true) else { return };
    browser.open(Path::new(&page));
    assert_eq!(browser.text("#verdict"), "✓ PASS");
    assert!(red(&browser) < 200, "a few crosses of a standstill, but no line");
    let wide = browser.eval("document.documentElement.scrollWidth").as_u64();
    assert!(wide <= Some(420), "{wide:?} pixels");
    let dark = browser.eval("getComputedStyle(document.documentElement).backgroundColor");
    assert_eq!(dark, "rgb(20, 23, 26)");
    browser.screenshot(&folder().join("narrow-dark.png"));
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn a_sweep_can_be_read() {
    let plans = ["calm", "crash-restart", "lossy-wan", "partition-heal"];
    let runs: Vec<serde_json::Value> = (0..200_u64)
        .map(|i| {
            let plan = plans[i as usize % 4];
            let fails = i % 37 == 5;
            let oracle = ["O47", "O14", "O42"][i as usize % 3];
            let violation = json!({ "oracle": oracle, "slot": i, "nodes": [1], "at_ms": 1_000 + i,
                "detail": "a made-up sentence </script> about what went wrong" });
            let p50 = 70.0 + (i * 7919 % 50) as f64 * (1 + i % 4) as f64;
            json!({
                "plan": plan, "seed": i, "verdict": if fails { "safety" } else { "pass" },
                "violations": if fails { vec![violation] } else { vec![] }, "commit": "0123456789abcdef",
                "cpu_ms": 300 + i * 7919 % 400, "virtual_ms": 30_000, "nodes": 20, "peak_rss_mb": 54,
                "finalization_ms": { "p50": p50, "p99": p50 * 6.0 },
                "recovery_ms": if i % 4 == 0 { json!([]) } else { json!([
                    { "first_finalization_ms": 800 + i * 31 % 5_000, "bound_ms": 16_783.6 }]) },
                "probes": { "standstill": i % 4 / 3, "repair": i % 2, "skip-certificate": 1, "epoch-end": 0 },
                "rules_missed": ["votor.try_skip_window", "repair.give_up"],
            })
        })
        .collect();
    for (name, page) in [("sweep", html::sweep(&runs)), ("sweep-empty", html::sweep(&[]))] {
        let page = keep(name, &page);
        let Some(browser) = start(1440, 1000, false) else { return };
        browser.open(Path::new(&page));
        assert_eq!(browser.console(), Vec::<String>::new());
        match name {
            "sweep" => assert_eq!(browser.text("#verdict"), "✕ 6 FAILED"),
            _ => assert!(browser.text("#failures").contains("There are no runs.")),
        }
        browser.screenshot(&folder().join(name).with_extension("png"));
    }
}

/// The curve, its jump and the violation, as `sim causes --report` draws them.
#[test]
fn the_beginning_of_a_failure_can_be_seen() {
    let share = [0, 0, 1, 1, 2, 5, 8, 8, 8];
    let points: Vec<serde_json::Value> = (0..9_u32)
        .map(|i| {
            let (at, failed) = (f64::from(i) * 500.0, share[i as usize]);
            json!({ "at_ms": at, "failed": failed, "futures": 8, "fit": f64::from(failed) / 8.0 })
        })
        .collect();
    let crash = json!({ "label": "crash #1", "text": "crash #1: 2.3s to 3s", "near": true,
        "from_ms": 2_300.0, "to_ms": 3_000.0 });
    let cut = json!({ "label": "partition #2", "text": "partition #2: 0.2s to 1s", "near": false,
        "from_ms": 200.0, "to_ms": 1_000.0 });
    let event = |at: f64, node: u16| json!({ "at_ms": at, "node": node, "text": "Timeout(s7)" });
    let page = html::causes(&json!({
        "plan": "crash-restart", "seed": "7", "story": "A made-up story </script>.",
        "replay": "cargo sim causes seeds/crash-restart-o32-7.toml --futures 8", "nodes": 7,
        "commit": "0123456789abcdef", "oracle": "O32", "detail": "n3 did not reload N(12:3fcb4c85)",
        "violated_ms": 4_100.0, "heal_ms": 3_500.0, "futures": 72, "points": points,
        "jump": { "from_ms": 2_000.0, "to_ms": 2_500.0, "before": 0.25, "after": 0.625 },
        "faults": [crash, cut], "events": [event(2_100.0, 3), event(2_300.0, 3), event(2_410.0, 5)],
    }));
    let page = keep("causes", &page);
    let Some(browser) = start(1440, 1400, false) else { return };
    browser.open(Path::new(&page));
    assert_eq!(browser.text("#verdict"), "\u{2715} O32");
    let dots = browser.eval("document.querySelectorAll('#whole .point').length");
    assert_eq!(dots.as_u64(), Some(9), "one dot for each moment");
    let width = "document.querySelector('#close #jump').getBoundingClientRect().width";
    assert!(browser.eval(width).as_f64() > Some(200.0), "the jump is a quarter of its close-up");
    assert_eq!(browser.eval("document.querySelectorAll('#events tbody tr').length"), 3);
    let wide = browser.eval("document.documentElement.scrollWidth").as_u64();
    assert!(wide <= Some(1440), "{wide:?} pixels");
    browser.screenshot(&folder().join("causes.png"));
    assert_eq!(browser.console(), Vec::<String>::new());
}
