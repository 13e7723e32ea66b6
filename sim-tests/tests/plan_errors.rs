//! What a person reads who made a mistake in a plan: file, line, fact, remedy.

use proptest::prelude::*;
use sim_tests::plan::{Concrete, Plan};

const GOOD: &str = r#"about = "x"
plan_format = 1
[cluster]
nodes = 5
stake = "equal"
regions = "mainnet"
[run]
duration = "30s"
heal_at = "12s"
[network]
loss = "0.1%"
[[fault]]
kind = "partition"
at = "5s"
for = "3s"
side = { stake = "40%" }
[[fault]]
kind = "crash"
at = "6s"
for = "1s"
nodes = [0]
[expect]
recovery = "<bound"
"#;

/// The error of a plan in which `from` is replaced by `to`.
fn mistake(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    error(&GOOD.replacen(from, to, 1), &[])
}

fn error(text: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    let plan = Plan::parse("p", "p.toml", text, &sets);
    plan.and_then(|plan| plan.expand(1)).expect_err(text).to_string()
}

#[test]
fn the_unchanged_plan_is_good() {
    let plan = Plan::parse("p", "p.toml", GOOD, &[]).unwrap();
    plan.expand(1).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn mistakes_in_reading() {
    let errors = [
        mistake("duration = \"30s\"", "duration = 30s"),
        mistake("heal_at", "heal-at"),
        mistake("[network]", "[netwrk]"),
        mistake("\"30s\"", "30"),
        mistake("\"12s\"", "\"12%\""),
        mistake("\"0.1%\"", "\"0.00000001%\""),
        mistake("\"0.1%\"", "\"101%\""),
        mistake("\"equal\"", "\"eqal\""),
        mistake("\"mainnet\"", "{ two-way = \"20ms\" }"),
        mistake("nodes = 5", "nodes = \"five\""),
        mistake("plan_format = 1", "plan_format = 2"),
        mistake("duration = \"30s\"\n", ""),
        mistake("\"crash\"", "\"crsh\""),
        mistake("nodes = [0]", "nodes = [0]\nmodus = \"keep\""),
        mistake("nodes = [0]", "nodes = [0]\nmode = \"burn\""),
        mistake("nodes = [0]", "nodes = [0]\nstake = \"20%\""),
        mistake("nodes = [0]\n", ""),
        mistake("side = { stake = \"40%\" }", "stake = \"40%\""),
        mistake("\"40%\"", "\"45%..35%\""),
        mistake("\"40%\"", "\"half\""),
        mistake("for = \"1s\"", "for = \"0s\""),
        mistake("for = \"1s\"", "for = \"1s\"\npermanent = true"),
        mistake("recovery = \"<bound\"", "safety = false"),
        error(GOOD, &["run.duraton=10s"]),
        error(GOOD, &["cluster.nodes=few"]),
        error(GOOD, &["fault.2.at=5s"]),
    ];
    insta::assert_snapshot!(errors.join("\n\n"));
}

#[test]
fn mistakes_in_meaning() {
    let crash = "kind = \"crash\"\nat = \"6s\"\nfor = \"1s\"\nnodes = [0]";
    let errors = [
        mistake("nodes = 5", "nodes = 0"),
        mistake("\"equal\"", "[1, 2, 3]"),
        mistake("\"equal\"", "[1, 1, 0, 1, 1]"),
        mistake("nodes = [0]", "nodes = [0, 5]"),
        mistake("nodes = [0]", "nodes = [0, 0]"),
        mistake("nodes = [0]", "region = \"tokyo\""),
        mistake("stake = \"40%\"", "stake = \"<20%\""),
        mistake("stake = \"40%\"", "nodes = \"all\""),
        mistake("heal_at = \"12s\"", "heal_at = \"31s\""),
        mistake("for = \"3s\"", "for = \"8s\""),
        mistake("at = \"6s\"", "at = \"40s\""),
        mistake(crash, &format!("{crash}\n[[fault]]\n{}", crash.replace("\"6s\"", "\"6.5s\""))),
        mistake("for = \"1s\"\nnodes = [0]", "permanent = true\nnodes = [0, 1, 2]"),
        mistake("nodes = [0]", "nodes = [0]\nrolling = { down = \"2s\", gap = \"1s\" }"),
        mistake(
            "nodes = [0]",
            "nodes = [0]\nrolling = { at_once = \"10%\", down = \"1s\", gap = \"1s\" }",
        ),
        mistake("recovery = \"<bound\"", "sometimes = [\"fast-finalisation\"]"),
        mistake("heal_at = \"12s\"\n", ""),
        mistake(crash, &crash.replace("\"crash\"", "\"byzantine\"\nbehaviour = \"twin\"")),
        mistake(crash, &crash.replace("\"crash\"", "\"byzantine\"\nbehaviour = []")),
        mistake(crash, &crash.replace("\"crash\"", "\"byzantine\"\nbehaviour = \"twins\"")),
        error(GOOD, &["params.delta=300ms"]),
        error(GOOD, &["params.delta=20ms", "network.reordering={share=\"1%\", delay=\"1s\"}"]),
        error(GOOD, &["disk.sync=40ms"]),
        error(GOOD, &["cluster.regions={one-way=\"251ms\"}"]),
        error(GOOD, &["params.epoch_slots=30"]),
        error(GOOD, &["workload.size=2kB"]),
    ];
    insta::assert_snapshot!(errors.join("\n\n"));
}

#[test]
fn unreadable_files_are_named() {
    let error = Plan::load(std::path::Path::new("no/such/plan.toml"), &[]).unwrap_err();
    assert_eq!(error.place, "no/such/plan.toml");
    assert!(error.what.starts_with("cannot read the plan: "), "{error}");
}

/// A world that somebody edited is checked like one that was expanded.
#[test]
fn mistakes_in_a_saved_world() {
    let world = Plan::parse("p", "p.toml", GOOD, &[]).unwrap().expand(1).unwrap().to_toml();
    let edit = |from: &str, to: &str| {
        assert!(world.contains(from), "{from} in\n{world}");
        Concrete::parse("seed.toml", &world.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let errors = [
        edit("end = \"8s\"", "end = \"4s\""),
        edit("end = \"7s\"", "end = \"13s\""),
        edit("stake = 400000000", "stake = 400000001"),
        edit("region = \"london\"", "region = \"paris\""),
        edit("label = \"crash #2\"", "lable = \"crash #2\""),
        edit("plan_format = 1", "plan_format = 9"),
    ];
    insta::assert_snapshot!(errors.join("\n\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is typed over a good plan, or saved world, is read or refused, and nothing else.
    #[test]
    fn nothing_that_is_typed_panics(
        at in any::<prop::sample::Index>(),
        cut in 0..6usize,
        typed in "[a-z0-9\"{}=.%,\\[\\]\n ]{0,8}|99999999999|-1|\"9223372036854775807ns\"",
    ) {
        let spoil = |text: &str| {
            let from = at.index(text.len());
            let to = (from + cut).min(text.len());
            format!("{}{typed}{}", &text[..from], &text[to..])
        };
        let plan = Plan::parse("p", "p.toml", &spoil(GOOD), &[]);
        let _ = plan.and_then(|plan| plan.expand(1));
        let world = Plan::parse("p", "p.toml", GOOD, &[]).and_then(|plan| plan.expand(1));
        let _ = Concrete::parse("w.toml", &spoil(&world.unwrap().to_toml()));
    }
}
