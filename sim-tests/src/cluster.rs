//! A cluster of real nodes in the simulated world: builds it, breaks it, watches it.
//!
//! [`run`] takes a concrete plan and a seed and gives back everything that is known of the run.
//! The nodes are the product's: its protocol, its driver, its database, its keys. Only the
//! environment is ours. Between two events of the plan the world is pumped; at each of them faults
//! begin or end, power goes or comes, and recovery is measured from every heal.

pub mod datagram;
pub mod env;
pub mod faults;
pub mod load;
pub mod memory;
pub mod node;
pub mod points;
pub mod power;
pub mod recorder;
pub mod setup;

use crate::byzantine::Adversary;
use crate::oracles::{self, Oracle, Scene, Violation};
use crate::plan::{Budget, Concrete, CrashMode, Edge, Effect, Nanos};
use crate::trace::log::Log;
use crate::workload::Workload;
use crate::world::observe::Stats;
use crate::world::{Panicked, Stop, World};
use alpenglow_node::crypto::memo;
use alpenglow_node::host::driver::Doorway;
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::{Protocol, Restored};
use datagram::Packet;
use faults::{Faults, Lifecycle};
use load::Loads;
use power::{Power, PowerCuts};
use recorder::Recorder;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECOND: u64 = 1_000_000_000;

/// Stands for every oracle in [`Options::stop_on`].
pub const ANY: &str = "any";

/// Makes what runs on a node out of the honest protocol: itself, or something around it.
pub type Wrap = Arc<dyn Fn(NodeId, Protocol) -> Box<dyn Doorway> + Send + Sync>;

/// Changes what a node finds in its store when it starts, for nodes that are wrong on purpose.
pub type Tamper = Arc<dyn Fn(NodeId, &mut Restored) + Send + Sync>;

/// How to run, besides what.
#[derive(Clone)]
pub struct Options {
    /// Remember verified signatures (design: a memo of pure functions). Changes nothing but time.
    pub memo: bool,
    /// What runs on each node.
    pub wrap: Option<Wrap>,
    /// What nodes find in their stores.
    pub tamper: Option<Tamper>,
    /// Identities that are byzantine besides those of the plan: oracles do not judge them.
    pub byzantine: BTreeSet<NodeId>,
    /// The committee that nodes believe in, instead of the true one.
    pub believed: Option<Arc<Committee>>,
    /// Power that fails between the steps of a node. The budget knows nothing of it.
    pub power: Option<PowerCuts>,
    /// Called once per virtual second with (now, end) in nanoseconds.
    pub progress: Option<Arc<dyn Fn(u64, u64) + Send + Sync>>,
    /// Keep what nodes observe in the recorder's log. Changes nothing but time and memory.
    pub record: bool,
    /// Oracles watch.
    pub oracles: bool,
    /// Where to write a line of text for every fact.
    pub trace: Option<std::path::PathBuf>,
    /// From this moment (in nanoseconds) on, everything is drawn anew with this salt.
    pub fresh: Option<(u64, u64)>,
    /// The run may end within a virtual second after this oracle, or [`ANY`], has found something.
    pub stop_on: Option<String>,
    /// The events of this range are put into words.
    pub describe: Option<Range<u64>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memo: true,
            wrap: None,
            tamper: None,
            byzantine: BTreeSet::new(),
            believed: None,
            power: None,
            progress: None,
            record: false,
            oracles: true,
            trace: None,
            fresh: None,
            stop_on: None,
            describe: None,
        }
    }
}

/// Everything known of a finished run.
pub struct Outcome {
    /// What saw the run.
    pub recorder: Arc<Mutex<Recorder>>,
    /// Packet counts.
    pub stats: Stats,
    /// How long it was, in virtual time.
    pub virtual_ns: u64,
    /// Rules that no node took.
    pub rules_missed: Vec<&'static str>,
    /// An honest node panicked; the rest is what was known by then.
    pub panicked: Option<Panicked>,
}

impl Outcome {
    /// What saw the run, to look into.
    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The violations, earliest first.
    pub fn violations(&self) -> Vec<Violation> {
        self.recorder().violations.clone()
    }

    /// The fingerprint.
    pub fn fingerprint(&self) -> String {
        self.recorder().fingerprint().hex()
    }
}

/// Runs a plan under a seed. One run per process.
pub fn run(plan: &Concrete, seed: u64, options: Options) -> Outcome {
    let committee = setup::committee(plan, seed);
    let byzantine = plan.byzantine();
    let lies = |node: &NodeId| options.byzantine.contains(node) || byzantine.contains(&node.0);
    let scene = Scene {
        stakes: plan.nodes.iter().map(|node| node.stake).collect(),
        total: plan.total_stake(),
        correct: committee.nodes().map(|node| !lies(&node)).collect(),
        params: setup::params(plan),
        genesis: committee.genesis_block(),
        committee: committee.clone(),
        budget: Budget::of(plan),
        plan: plan.clone(),
    };
    let watchers: Vec<Box<dyn Oracle + Send>> =
        if options.oracles { oracles::all(&scene) } else { Vec::new() };
    let recorder = Recorder::new(scene, watchers);
    recorder.lock().expect("nobody else has it yet").log = options.record.then(Log::default);
    if let Some(path) = &options.trace {
        match std::fs::File::create(path) {
            Ok(file) => {
                let writer = Box::new(std::io::BufWriter::new(file));
                recorder.lock().expect("nobody else has it yet").trace_to(writer);
            }
            Err(error) => tracing::error!(%error, path = %path.display(), "no trace"),
        }
    }
    if let Some(range) = &options.describe {
        recorder.lock().expect("nobody else has it yet").describe(range.clone());
    }
    let (watching, plan) = (recorder.clone(), Arc::new(plan.clone()));
    let result = crate::world::run(seed, move || async move {
        Run::new(plan, seed, options, committee, watching).drive().await
    });
    let missed = alpenglow_node::protocol::rules::hits();
    let rules_missed = missed.into_iter().filter(|(_, n)| *n == 0).map(|(r, _)| r).collect();
    let (stats, virtual_ns, panicked) = match result {
        Ok((stats, virtual_ns)) => (stats, virtual_ns, None),
        Err(panicked) => (Stats::default(), panicked.at_ns, Some(panicked)),
    };
    Outcome { recorder, stats, virtual_ns, rules_missed, panicked }
}

/// What a control point of the world means.
#[derive(Clone, Copy)]
enum Point {
    /// The power of this node failed between two of its steps. The first points are these, one
    /// for each node.
    PowerFails(usize),
    /// It comes back.
    PowerReturns(usize),
    Edge(Edge, usize),
    /// The base loss of the network ends.
    Clean,
    /// The recovery with this number begins.
    Healed(usize),
    /// Everything is drawn anew with this salt.
    Fresh(u64),
    Second(u64),
}

struct Run {
    plan: Arc<Concrete>,
    committee: Arc<Committee>,
    options: Options,
    world: World<Packet>,
    adversary: Arc<Adversary>,
    recorder: Arc<Mutex<Recorder>>,
    workload: Arc<Workload>,
    loads: Loads,
    /// Crashes of the node whose power fails between steps.
    power_failures: usize,
    points: Vec<Point>,
    /// What the run was made for has happened.
    stopped: bool,
}

impl Run {
    fn new(
        plan: Arc<Concrete>,
        seed: u64,
        options: Options,
        committee: Arc<Committee>,
        recorder: Arc<Mutex<Recorder>>,
    ) -> Run {
        memo::set_enabled(options.memo);
        let world = setup::world(&plan, seed);
        world.set_observer(recorder.clone());
        let workload = Arc::new(Workload::new(&plan, seed));
        for node in 0..plan.nodes.len() {
            node::install(&world, &committee, node);
        }
        let loads = load::none(plan.nodes.len());
        let adversary = Adversary::new(plan.clone(), seed, committee.clone());
        let program = node::Program {
            plan: plan.clone(),
            seed,
            committee: options.believed.clone().unwrap_or_else(|| committee.clone()),
            adversary: adversary.clone(),
            recorder: recorder.clone(),
            workload: workload.clone(),
            loads: loads.clone(),
            power: options.power.map(Power::new),
            wrap: options.wrap.clone(),
            tamper: options.tamper.clone(),
        };
        world.set_program(move |port| program.clone().run(port));
        let points = (0..plan.nodes.len()).map(Point::PowerFails).collect();
        Run {
            plan,
            committee,
            options,
            world,
            adversary,
            recorder,
            workload,
            loads,
            power_failures: 0,
            points,
            stopped: false,
        }
    }

    fn recorder(&self) -> std::sync::MutexGuard<'_, Recorder> {
        self.recorder.lock().expect("the recorder does not panic")
    }

    fn at(&mut self, time: u64, point: Point) {
        self.world.schedule_control(time, self.points.len() as u64);
        self.points.push(point);
    }

    async fn drive(mut self) -> (Stats, u64) {
        let plan = self.plan.clone();
        let mut faults = Faults::new(&plan, self.world.clone(), self.loads.clone());
        for (time, edge, index) in plan.timeline() {
            self.at(time.0, Point::Edge(edge, index));
        }
        if let Some(heal_at) = plan.run.heal_at {
            self.at(heal_at.0, Point::Clean);
        }
        let recoveries = Budget::of(&plan).recoveries(&plan);
        for (number, recovery) in recoveries.iter().enumerate() {
            self.at(recovery.at.0, Point::Healed(number));
        }
        if let Some((at_ns, salt)) = self.options.fresh {
            self.at(at_ns, Point::Fresh(salt));
        }
        self.at(0, Point::Second(0));
        for node in 0..plan.nodes.len() {
            let late = plan.faults.iter().any(|fault| {
                matches!(fault.effect, Effect::LateStart {}) && fault.nodes.contains(&(node as u16))
            });
            if !late {
                self.world.start(node);
            }
        }
        let mut end = self.pump_to(plan.run.duration.0, &mut faults).await;
        loop {
            let undecided = self.recorder().undecided_until();
            match undecided.filter(|until| *until > end) {
                Some(until) if !self.stopped => end = self.pump_to(until, &mut faults).await,
                _ => break,
            }
        }
        let mut recorder = self.recorder();
        for (name, count) in self.adversary.deeds() {
            *recorder.measure.probes.entry(name).or_default() += count;
        }
        recorder.finish(end);
        drop(recorder);
        (self.world.stats(), end)
    }

    /// Pumps until `end`.
    async fn pump_to(&mut self, end: u64, faults: &mut Faults<'_>) -> u64 {
        loop {
            if self.stopped {
                return self.world.now_ns();
            }
            match self.world.pump(end).await {
                Stop::Limit => return end,
                Stop::Control(id) => match self.points[id as usize] {
                    Point::PowerFails(node) => self.power_fails(node),
                    Point::PowerReturns(node) => self.world.start(node),
                    Point::Edge(edge, index) => self.edge(edge, index, faults),
                    Point::Clean => faults.heal(),
                    Point::Healed(number) => self.recorder().measure.healed(number),
                    Point::Fresh(salt) => self.world.draw_anew(salt),
                    Point::Second(second) => self.second(second, end),
                },
            }
        }
    }

    fn edge(&mut self, edge: Edge, index: usize, faults: &mut Faults<'_>) {
        self.adversary.switch(index, edge == Edge::Begin);
        match faults.apply(edge, index) {
            Some(Lifecycle::Crash(nodes, mode)) => {
                nodes.into_iter().for_each(|node| self.crash(node, mode));
            }
            Some(Lifecycle::Start(nodes)) => {
                nodes.into_iter().for_each(|node| self.world.start(node));
            }
            Some(Lifecycle::Rotten(nodes)) => {
                // What a running node has lost is found at its next crash.
                let down = nodes.into_iter().filter(|&node| !self.world.is_up(node));
                down.for_each(|node| self.look_at_disk(node));
            }
            None => {}
        }
    }

    fn crash(&self, node: usize, mode: CrashMode) {
        self.world.crash(node, faults::crash_mode(mode));
        if mode == CrashMode::Wipe {
            self.world.lose_disk(node);
        }
        self.look_at_disk(node);
    }

    fn look_at_disk(&self, node: usize) {
        let mut content = node::image(&self.world, &self.committee, node);
        if !self.plan.spoils_disk(node as u16, Nanos(self.world.now_ns())) {
            // Nothing took the log away: if it is not there, the oracles shall see an empty one.
            content.log.get_or_insert_default();
        }
        self.recorder().image(NodeId(node as u16), &content);
    }

    fn power_fails(&mut self, node: usize) {
        let cuts = self.options.power.expect("only then does power fail between steps");
        self.crash(node, cuts.mode(self.power_failures));
        self.power_failures += 1;
        self.at(self.world.now_ns() + cuts.down.0, Point::PowerReturns(node));
    }

    /// Once per virtual second: the next second's transactions, progress, and the memo's age.
    fn second(&mut self, second: u64, end: u64) {
        for (index, at, node) in self.workload.in_second(second) {
            self.world.schedule_command(at, node, index);
        }
        memo::next_generation();
        if let Some(oracle) = &self.options.stop_on {
            let told = |v: &Violation| v.oracle == oracle || oracle == ANY;
            let found = self.recorder().violations.iter().any(told);
            self.stopped = found;
        }
        let now = Nanos(self.world.now_ns());
        if let Some(progress) = &self.options.progress {
            progress(now.0, end);
        }
        self.at((second + 1) * SECOND, Point::Second(second + 1));
    }
}
