//! The words of a scenario test: build a cluster, do something to it, say what must hold.
//!
//! ```no_run
//! # use sim_tests::{scenario::Scenario, testing::in_child};
//! in_child("the_slow_path_is_enough", || {
//!     let run = Scenario::plan("forty-percent-crashed").seed(3).run();
//!     run.passes();
//!     assert_eq!(run.slots().finalized_fast, 0);
//! });
//! ```
//!
//! One process makes one run, so each run of a test goes into a child of its own.

use crate::cluster::power::PowerCuts;
use crate::cluster::{self, Options, Outcome};
use crate::oracles::Violation;
use crate::plan::{Concrete, Plan, Safety};
use crate::report::json::Slots;
use crate::runner::{Job, expectations_missed, page, trace};
use crate::trace::Format;
use crate::wrong;
use std::path::PathBuf;

/// A run to make.
pub struct Scenario {
    plan: PathBuf,
    sets: Vec<String>,
    seed: u64,
    options: Options,
    change: Option<fn(&mut Concrete)>,
}

/// A run that was made.
pub struct Run {
    /// The world.
    pub plan: Concrete,
    /// The seed.
    pub seed: u64,
    /// What is known of it.
    pub outcome: Outcome,
}

impl Scenario {
    /// The shipped plan of this name.
    pub fn plan(name: &str) -> Scenario {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let plan = root.join("../fault-plans").join(name).with_extension("toml");
        Scenario { plan, sets: Vec::new(), seed: 0, options: Options::default(), change: None }
    }

    /// Overrides a value of the plan: `cluster.nodes=4`.
    pub fn set(mut self, set: &str) -> Scenario {
        self.sets.push(set.into());
        self
    }

    /// Changes the world itself, in ways that no plan file can say.
    pub fn change(mut self, change: fn(&mut Concrete)) -> Scenario {
        self.change = Some(change);
        self
    }

    /// Another seed than 0.
    pub fn seed(mut self, seed: u64) -> Scenario {
        self.seed = seed;
        self
    }

    /// Verifies every signature every time.
    pub fn without_memo(mut self) -> Scenario {
        self.options.memo = false;
        self
    }

    /// No oracle watches.
    pub fn unjudged(mut self) -> Scenario {
        self.options.oracles = false;
        self
    }

    /// Keeps what nodes observe, for [`Run::brief`] and pictures.
    pub fn recorded(mut self) -> Scenario {
        self.options.record = true;
        self
    }

    /// The power of a node fails between its steps.
    pub fn power(mut self, cuts: PowerCuts) -> Scenario {
        self.options.power = Some(cuts);
        self
    }

    /// Plants the wrong node of this name in the world as it is set by now.
    pub fn wrong(mut self, name: &str) -> Scenario {
        let wrong = wrong::named(name).unwrap_or_else(|error| panic!("{error}"));
        let planted = wrong.plant(&self.expand(), self.seed, &mut self.options);
        planted.unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// The concrete plan.
    pub fn expand(&self) -> Concrete {
        let plan = Plan::load(&self.plan, &self.sets).unwrap_or_else(|error| panic!("{error}"));
        let mut plan = plan.expand(self.seed).unwrap_or_else(|error| panic!("{error}"));
        if let Some(change) = self.change {
            change(&mut plan);
        }
        plan
    }

    /// Makes the run.
    pub fn run(self) -> Run {
        let plan = self.expand();
        let outcome = cluster::run(&plan, self.seed, self.options);
        if let Some(panicked) = &outcome.panicked {
            panic!(
                "node {:?} panicked at {} ns: {}",
                panicked.node, panicked.at_ns, panicked.message
            );
        }
        Run { plan, seed: self.seed, outcome }
    }
}

impl Run {
    /// Fails the test if an oracle found something or an expectation of the plan was missed.
    pub fn passes(&self) {
        let mut violations = self.outcome.violations();
        if self.plan.expect.safety == Safety::MayBreak {
            Violation::forgive(&mut violations);
        }
        assert!(violations.is_empty(), "{}: {}", self.name(), list(&violations));
        let recorder = self.outcome.recorder();
        let missed = expectations_missed(&self.plan, &recorder.measure, self.outcome.virtual_ns);
        assert!(missed.is_empty(), "{}: {missed:?}", self.name());
    }

    /// Fails the test unless this oracle found something, and found it first.
    pub fn is_caught_by(&self, oracle: &str) {
        let violations = self.outcome.violations();
        let first = violations.iter().min_by_key(|violation| violation.at_ns);
        let first = first.unwrap_or_else(|| panic!("{}: nothing was found", self.name()));
        let earliest: Vec<_> =
            violations.iter().filter(|v| v.at_ns == first.at_ns).map(|v| v.oracle).collect();
        assert!(earliest.contains(&oracle), "{}: {}", self.name(), list(&violations));
    }

    /// Fails the test unless this oracle found something.
    pub fn is_seen_by(&self, oracle: &str) {
        let violations = self.outcome.violations();
        let seen = violations.iter().any(|violation| violation.oracle == oracle);
        assert!(seen, "{}: {oracle} found nothing{}", self.name(), list(&violations));
    }

    /// The run as a short text, made for snapshots.
    ///
    /// # Panics
    /// If the run was not [`Scenario::recorded`].
    pub fn brief(&self) -> String {
        trace(Format::Brief, &self.outcome).expect("the run was recorded")
    }

    /// The run as a page.
    ///
    /// # Panics
    /// If the run was not [`Scenario::recorded`].
    pub fn page(&self) -> String {
        let job =
            Job { plan: &self.plan, seed: self.seed, quiet: true, options: Options::default() };
        let report = job.report(&self.outcome, 0, 0);
        page(&report, &self.outcome, "a scenario test").expect("the run was recorded")
    }

    /// How slots ended.
    pub fn slots(&self) -> Slots {
        Slots::of(&self.outcome.recorder().measure)
    }

    /// How often a situation was reached.
    pub fn probe(&self, name: &str) -> u64 {
        self.outcome.recorder().measure.probes.get(name).copied().unwrap_or(0)
    }

    fn name(&self) -> String {
        format!("plan {}, seed {}", self.plan.name, self.seed)
    }
}

fn list(violations: &[Violation]) -> String {
    let line =
        |v: &Violation| format!("\n  {} at {:.6} s: {}", v.oracle, v.at_ns as f64 / 1e9, v.detail);
    violations.iter().take(20).map(line).collect()
}
