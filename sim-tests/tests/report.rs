//! What is written of a run to be looked at: it changes nothing, and it says what happened.
#![cfg(feature = "sim")]

use serde_json::Value;
use sim_tests::runner;
use sim_tests::scenario::{Run, Scenario};
use sim_tests::testing::{child_result, in_child};
use sim_tests::trace::Format;
use std::path::Path;

/// Four nodes for little more than two seconds, in which one of them loses its power.
fn tiny() -> Scenario {
    Scenario::plan("crash-restart")
        .set("cluster.nodes=4")
        .set("cluster.stake=equal")
        .set("cluster.crypto=null")
        .set("cluster.regions={ one-way = \"20ms\" }")
        .set("network.loss=0%")
        .set("run.duration=2200ms")
        .set("run.heal_at=1400ms")
        .set("workload.transactions_per_second=0")
        .set("expect={ safety = true, liveness = false, progress = \"0%\" }")
        .set(r#"fault=[{ kind = "crash", at = "900ms", for = "400ms", nodes = [2] }]"#)
}

/// Everything but the fingerprint would do: the world is not asked to do anything for the record.
#[test]
fn recording_changes_nothing() {
    let run = |argument| {
        child_result("recording_changes_nothing", argument, |argument| {
            let run = match argument {
                "recorded" => tiny().recorded().run(),
                _ => tiny().run(),
            };
            assert_eq!(run.outcome.recorder().log.is_some(), argument == "recorded");
            run.outcome.fingerprint()
        })
    };
    assert_eq!(run("recorded"), run("not recorded"));
}

#[test]
fn a_tiny_run_in_brief() {
    in_child("a_tiny_run_in_brief", || {
        insta::assert_snapshot!(tiny().recorded().run().brief());
    });
}

fn chrome(run: &Run) -> Value {
    let text = runner::trace(Format::Chrome, &run.outcome).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Slices of one track lie side by side or inside each other: readers draw nothing else.
fn nest<'a, T: Ord>(slices: impl Iterator<Item = &'a Value>, track: impl Fn(&Value) -> T) {
    let mut tracks = std::collections::BTreeMap::<T, Vec<(u64, u64)>>::new();
    for slice in slices {
        let ns = |what: &str| (slice[what].as_f64().unwrap() * 1_000.0).round() as u64;
        tracks.entry(track(slice)).or_default().push((ns("ts"), ns("ts") + ns("dur")));
    }
    for mut all in tracks.into_values() {
        all.sort_by_key(|(from, to)| (*from, std::cmp::Reverse(*to)));
        let mut open: Vec<u64> = Vec::new();
        for (from, to) in all {
            open.retain(|end| *end > from);
            assert!(open.iter().all(|end| to <= *end), "one that ends at {to} sticks out");
            open.push(to);
        }
    }
}

/// The format asks for a phase, a process and a time; slices also need a duration.
#[test]
fn a_chrome_trace_has_what_readers_need() {
    in_child("a_chrome_trace_has_what_readers_need", || {
        let trace = chrome(&tiny().recorded().run());
        let events = trace["traceEvents"].as_array().unwrap();
        for event in events {
            let phase = event["ph"].as_str().unwrap();
            assert!(["M", "X", "i", "C"].contains(&phase), "{event}");
            assert!(event["pid"].is_u64() && event["name"].is_string(), "{event}");
            assert!(phase == "M" || event["ts"].as_f64().unwrap() >= 0.0, "{event}");
            assert!(phase != "X" || event["dur"].as_f64().unwrap() >= 0.0, "{event}");
            assert!(phase != "i" || ["t", "g"].contains(&event["s"].as_str().unwrap()), "{event}");
        }
        let of = |event: &Value, what: &str| event[what].as_u64();
        let track = |event: &Value| (of(event, "pid"), of(event, "tid"));
        let titles = events.iter().filter(|event| event["name"] == "thread_name");
        let titled: std::collections::BTreeSet<_> = titles.map(track).collect();
        assert!(titled.iter().all(|(pid, tid)| pid != tid), "nobody is a main thread");
        for event in events.iter().filter(|e| ["X", "i"].contains(&e["ph"].as_str().unwrap())) {
            assert!(titled.contains(&track(event)) || event["s"] == "g", "no title: {event}");
        }
        nest(events.iter().filter(|event| event["ph"] == "X"), track);
        let named = |name: &str| events.iter().filter(|event| event["name"] == name).count();
        assert_eq!(named("thread_name"), 4 + 1, "nodes and one fault");
        assert_eq!(named("down"), 1);
        assert_eq!(named("crash #1"), 1);
        let down = events.iter().find(|event| event["name"] == "down").unwrap();
        assert_eq!((down["ts"].as_f64(), down["dur"].as_f64()), (Some(900_000.0), Some(400_000.0)));
        assert!(named("N 1") >= 4, "everybody voted for the first block");
    });
}

#[test]
fn formats_go_by_extension() {
    let of = |name| Format::of(Path::new(name));
    assert_eq!(of("a/b.json"), Format::Chrome);
    assert_eq!(of("b.brief"), Format::Brief);
    assert_eq!((of("b.txt"), of("b")), (Format::Text, Format::Text));
}

/// What the page shows of a run is what was measured.
#[test]
fn a_page_holds_the_run() {
    in_child("a_page_holds_the_run", || {
        let run = tiny().recorded().run();
        let page = run.page();
        let (_, data) = page.split_once("id=\"data\">").unwrap();
        let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(data["report"]["fingerprint"], run.outcome.fingerprint());
        assert_eq!(data["faults"][0]["label"], "crash #1");
        let slots = data["slots"].as_array().unwrap();
        let finals = slots.iter().filter(|slot| slot["final_ms"].is_array()).count() as u64;
        assert_eq!(finals, run.slots().finalized());
        assert_eq!((&slots[0]["notar"], &slots[0]["skip"]), (&1.0.into(), &0.0.into()));
        let columns = data["events"].as_object().unwrap();
        let events = run.outcome.recorder().log.as_ref().unwrap().entries().len();
        assert!(events > 100 && columns.values().all(|c| c.as_array().unwrap().len() == events));
        assert_eq!(data["left_out"], Value::Array(Vec::new()));
    });
}
