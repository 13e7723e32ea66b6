//! What must be true of a world before it can run.
//!
//! A world can come from a plan, from a seed file that somebody edited, or from the shrinker that
//! took a node away. All three pass through here, so that the cluster that builds it need not ask
//! again. A defect names the key in words of the world; [`super::super::Plan::expand`] translates
//! that to the row of the plan file.

use super::Concrete;
use crate::plan::error::{Words, unknown};
use crate::plan::fault::{Effect, Fault, Timing};
use crate::plan::file::PLAN_FORMAT;
use crate::plan::probe::{is_probe, probes};
use crate::plan::shape::check_stakes;
use crate::plan::units::{Drift, Nanos, Share};

/// Something wrong with a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Defect {
    /// The fault that it is in, by index.
    pub(in crate::plan) fault: Option<usize>,
    /// The key, of the fault or of the whole world.
    pub(in crate::plan) key: &'static str,
    what: String,
    remedy: String,
}

impl Defect {
    /// Something wrong with a key of the world.
    pub(in crate::plan) fn new(key: &'static str, what: String, remedy: &str) -> Defect {
        Defect { fault: None, key, what, remedy: remedy.into() }
    }

    /// The same for a key of a fault.
    pub(in crate::plan) fn of(self, fault: usize) -> Defect {
        Defect { fault: Some(fault), ..self }
    }

    /// The dotted path in the text of the world.
    pub(in crate::plan) fn path(&self) -> String {
        match self.fault {
            Some(index) => format!("fault.{index}.{}", self.key),
            None => self.key.into(),
        }
    }

    /// What is wrong, and the remedy.
    pub(in crate::plan) fn words(self) -> Words {
        (self.what, self.remedy)
    }
}

type Check = Result<(), Defect>;

/// An error unless `good`.
fn ensure(good: bool, key: &'static str, what: impl FnOnce() -> String, remedy: &str) -> Check {
    if good { Ok(()) } else { Err(Defect::new(key, what(), remedy)) }
}

impl Concrete {
    /// Checks everything that does not need the fault budget.
    pub(in crate::plan) fn check(&self) -> Check {
        let format = self.plan_format;
        ensure(
            format == PLAN_FORMAT,
            "plan_format",
            || format!("plan format {format}"),
            "write 1",
        )?;
        self.check_nodes()?;
        self.check_params()?;
        self.check_settings()?;
        for (index, fault) in self.faults.iter().enumerate() {
            self.check_fault(fault).map_err(|defect| defect.of(index))?;
        }
        self.check_overlaps()?;
        self.check_expectations()
    }

    fn check_nodes(&self) -> Check {
        let (count, stakes) = (self.nodes.len(), self.nodes.iter().map(|n| n.stake));
        let possible = (1..=2_000).contains(&count);
        ensure(possible, "node", || format!("{count} nodes"), "use 1 to 2000 nodes")?;
        check_stakes(&stakes.collect::<Vec<_>>())
            .map_err(|e| Defect::new("node", e.to_string(), "mend the stakes"))?;
        let regions = self.map.regions.len();
        let square =
            |m: &Vec<Vec<Nanos>>| m.len() == regions && m.iter().all(|r| r.len() == regions);
        ensure(
            square(&self.map.p50) && square(&self.map.p90),
            "map",
            || format!("the delays are not tables of {regions} times {regions}"),
            "give one row and one column for each region",
        )?;
        let lost = self.nodes.iter().find(|node| !self.map.regions.contains(&node.region));
        match lost {
            None => Ok(()),
            Some(node) => {
                let what = format!("region {:?} is not on the map", node.region);
                Err(Defect::new("map.regions", what, "use the regions of the map"))
            }
        }
    }

    /// The relations that the protocol relies on.
    fn check_params(&self) -> Check {
        let p = &self.params;
        let ms = Nanos::from_millis(1);
        for (key, time) in [
            ("params.delta", p.delta),
            ("params.delta_block", p.delta_block),
            ("params.delta_timeout", p.delta_timeout),
            ("params.standstill", p.standstill),
            ("params.standstill_poll", p.standstill_poll),
            ("params.slice_interval", p.slice_interval),
        ] {
            let possible = time >= ms && time <= Nanos::from_secs(3_600);
            ensure(possible, key, || format!("{time} is out of range"), "use 1ms to 1h")?;
        }
        let three = Nanos(3 * p.delta.0);
        ensure(
            p.delta_timeout > three,
            "params.delta_timeout",
            || format!("delta_timeout {} is not above 3 * delta = {three}", p.delta_timeout),
            "raise delta_timeout or lower delta",
        )?;
        ensure(
            p.delta_first.0 > 0 && p.delta_first <= p.delta_block,
            "params.delta_first",
            || format!("delta_first {} is not within delta_block {}", p.delta_first, p.delta_block),
            "use a time above 0 and at most delta_block",
        )?;
        ensure(
            p.standstill_poll <= p.standstill,
            "params.standstill_poll",
            || format!("polled every {}, less often than {}", p.standstill_poll, p.standstill),
            "use at most the standstill time",
        )?;
        ensure(
            p.timeout_cap >= p.delta_timeout && p.timeout_cap <= Nanos::from_secs(86_400),
            "params.timeout_cap",
            || format!("a cap of {} for timeouts from {}", p.timeout_cap, p.delta_timeout),
            "use at least delta_timeout and at most 24h",
        )?;
        ensure(
            p.timeout_growth.0.is_multiple_of(1_000_000),
            "params.timeout_growth",
            || format!("a growth of {} is too fine", p.timeout_growth),
            "use a multiple of 0.1%",
        )?;
        let slices = p.max_slices;
        let possible = (2..=64).contains(&slices);
        ensure(possible, "params.max_slices", || format!("{slices} slices"), "use 2 to 64")?;
        ensure(
            p.epoch_slots > 0 && p.epoch_slots.is_multiple_of(4),
            "params.epoch_slots",
            || format!("an epoch of {} slots does not hold whole windows", p.epoch_slots),
            "use a positive multiple of 4",
        )
    }

    fn check_settings(&self) -> Check {
        let run = &self.run;
        ensure(run.duration.0 > 0, "run.duration", || "no duration".into(), "let the run last")?;
        if let Some(heal_at) = run.heal_at {
            ensure(
                heal_at <= run.duration,
                "run.heal_at",
                || format!("heal_at {heal_at} is after the duration of {}", run.duration),
                "heal earlier or run longer",
            )?;
        }
        let network = &self.network;
        ensure(
            (500..=65_535).contains(&network.mtu.0),
            "network.mtu",
            || format!("an mtu of {} is out of range", network.mtu),
            "use 500B to 65535B",
        )?;
        if let Some(bursts) = network.bursts {
            check_positive("network.bursts", &[bursts.length.0, bursts.gap.0])?;
        }
        if let Some(rate) = network.bandwidth {
            check_positive("network.bandwidth", &[rate.0])?;
        }
        ensure(
            (1..=1_232).contains(&self.workload.size.0),
            "workload.size",
            || format!("a transaction of {} does not fit a datagram", self.workload.size),
            "use 1B to 1232B",
        )
    }

    fn check_fault(&self, fault: &Fault) -> Check {
        let count = self.nodes.len();
        let ascending = fault.nodes.windows(2).all(|pair| pair[0] < pair[1]);
        let present = fault.nodes.iter().all(|node| usize::from(*node) < count);
        ensure(
            ascending && present && !fault.nodes.is_empty(),
            "nodes",
            || format!("the nodes are not an ascending list of numbers below {count}"),
            "name each node once",
        )?;
        let stake: u64 = fault.nodes.iter().map(|n| self.nodes[usize::from(*n)].stake).sum();
        ensure(
            stake == fault.stake,
            "stake",
            || format!("these nodes hold {stake}, not {}", fault.stake),
            "write what they hold",
        )?;
        self.check_times(fault)?;
        match &fault.effect {
            Effect::Partition { .. } => ensure(
                fault.nodes.len() < count,
                "side",
                || "this side of the partition holds every node".into(),
                "select fewer nodes",
            ),
            Effect::Cut { from, .. } => {
                let ascending = from.windows(2).all(|pair| pair[0] < pair[1]);
                let apart = |n: &u16| usize::from(*n) < count && !fault.nodes.contains(n);
                ensure(
                    ascending && !from.is_empty() && from.iter().all(apart),
                    "from",
                    || format!("`from` is not an ascending list of other nodes below {count}"),
                    "name each node once, on one side only",
                )
            }
            Effect::ClockDrift { drift } => ensure(
                drift.0.abs() <= MAX_DRIFT.0,
                "drift",
                || format!("a drift of {drift} is beyond {MAX_DRIFT}"),
                "let the clocks run less wrong",
            ),
            Effect::BitRot { bits } => check_positive("bits", &[(*bits).into()]),
            Effect::Bursts(bursts) => check_positive("effect", &[bursts.length.0, bursts.gap.0]),
            Effect::Bandwidth { rate } => check_positive("effect", &[rate.0]),
            _ => Ok(()),
        }
    }

    fn check_times(&self, fault: &Fault) -> Check {
        let kind = fault.effect.kind();
        let instant = kind.timing == Timing::Instant;
        ensure(
            fault.start <= self.run.duration,
            "start",
            || format!("{} is after the duration of {}", fault.start, self.run.duration),
            "let it happen earlier, or run longer",
        )?;
        ensure(
            fault.end.is_none_or(|end| (end == fault.start) == instant && end >= fault.start)
                && !(instant && fault.end.is_none()),
            "end",
            || format!("{} from {} cannot end then", kind.name, fault.start),
            "let it begin earlier, or end later",
        )?;
        ensure(
            kind.timing != Timing::Until || fault.start.0 == 0,
            "start",
            || format!("a {} begins at 0s, not at {}", kind.name, fault.start),
            "use a crash for a node that has run before",
        )?;
        let Some(heal_at) = self.run.heal_at else { return Ok(()) };
        let (late, key) = match fault.end {
            Some(end) => (end > heal_at, "end"),
            None => (fault.start > heal_at, "start"),
        };
        ensure(
            !late,
            key,
            || match fault.end {
                Some(end) => format!("it ends at {end}, after heal_at = {heal_at}"),
                None => format!("it begins at {}, after heal_at = {heal_at}", fault.start),
            },
            "end it earlier, or heal later",
        )?;
        ensure(
            fault.end.is_some()
                || matches!(fault.effect, Effect::Crash { .. } | Effect::Byzantine { .. }),
            "end",
            || format!("a {} cannot outlive heal_at", kind.name),
            "give it an end: only crashed and byzantine nodes can be permanent",
        )
    }

    /// No node suffers two faults of which only one can be in force.
    fn check_overlaps(&self) -> Check {
        for (j, later) in self.faults.iter().enumerate() {
            for earlier in &self.faults[..j] {
                let group = later.effect.kind().exclusive;
                if group.is_none() || group != earlier.effect.kind().exclusive {
                    continue;
                }
                let Some((from, to)) = overlap(earlier, later) else { continue };
                let shared = later.nodes.iter().find(|n| earlier.nodes.binary_search(n).is_ok());
                let Some(node) = shared else { continue };
                let until = to.map_or("the end".to_owned(), |to| to.to_string());
                let what = format!(
                    "{} overlaps {} on node {node} from {from} to {until}",
                    later.label, earlier.label
                );
                let remedy = "let one begin when the other has ended, or select other nodes";
                return Err(Defect::new("start", what, remedy).of(j));
            }
        }
        Ok(())
    }

    fn check_expectations(&self) -> Check {
        let expect = &self.expect;
        if let Some(name) = expect.sometimes.iter().find(|name| !is_probe(name)) {
            let known = probes().map(|probe| probe.name.to_owned()).collect();
            let (what, remedy) = unknown("goal", name, known, &[]);
            return Err(Defect::new("expect.sometimes", what, &remedy));
        }
        let heals = self.run.heal_at.is_some() || self.faults.iter().any(|f| f.end.is_some());
        ensure(
            heals || (expect.recovery.is_none() && expect.caught_up.is_none()),
            "expect.recovery",
            || "nothing in this plan heals".into(),
            "set run.heal_at, or expect no recovery",
        )?;
        ensure(
            self.run.heal_at.is_some() || !expect.liveness || expect.progress > Share::NONE,
            "expect",
            || "without heal_at this plan promises no progress".into(),
            "set run.heal_at, or expect.progress, or expect.liveness = false",
        )
    }
}

/// The largest drift that a clock may have: one part in ten.
const MAX_DRIFT: Drift = Drift(100_000_000);

fn check_positive(key: &'static str, values: &[u64]) -> Check {
    ensure(values.iter().all(|v| *v > 0), key, || "nothing here may be 0".into(), "use more than 0")
}

/// The time in which both are in force; None as the end is the end of the run.
fn overlap(a: &Fault, b: &Fault) -> Option<(Nanos, Option<Nanos>)> {
    let from = a.start.max(b.start);
    let to = match (a.end, b.end) {
        (Some(x), Some(y)) => Some(x.min(y)),
        (x, y) => x.or(y),
    };
    to.is_none_or(|to| from < to).then_some((from, to))
}
