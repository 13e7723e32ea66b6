//! From a plan and a seed to a world: every random part is drawn here, once, by name.
//!
//! The name of a draw is what the plan says, not where it stands: a fault is called by its kind,
//! its time and whom it selects ("partition at 5s, stake 15%..20%"; a second one like it is
//! "..., again 1"). So deleting, adding or moving one fault leaves what the others draw as it
//! was, which is what lets a failure be shrunk fault by fault.

use super::budget::Budget;
use super::concrete::{Concrete, Node};
use super::draw::Draw;
use super::error::{PlanError, Words};
use super::fault::{Effect, Fault, Timing};
use super::file::{FaultRow, Plan};
use super::select::{Population, Selection};
use super::shape::ShapeError;
use super::units::{Drift, Nanos, Offset};
use std::collections::BTreeMap;

impl Plan {
    /// The world of this plan under `seed`, checked against the fault budget.
    pub fn expand(&self, seed: u64) -> Result<Concrete, PlanError> {
        self.under(seed)?.expand_written(seed)
    }

    fn expand_written(&self, seed: u64) -> Result<Concrete, PlanError> {
        let document = &self.document;
        let cluster = &document.cluster;
        let stakes = cluster.stake.stakes(cluster.nodes.into()).map_err(|e| {
            let impossible = matches!(e, ShapeError::Nodes(_));
            let key = if impossible { "cluster.nodes" } else { "cluster.stake" };
            self.source.error_at(key, split(&e.to_string()))
        })?;
        let (map, regions) = cluster.regions.place(&stakes);
        let among = Population { stakes: &stakes, regions: &regions, names: &map.regions };
        let (faults, origin) = self.expand_faults(seed, &among)?;
        let nodes = (0..stakes.len()).map(|i| Node {
            stake: stakes[i],
            region: map.regions[regions[i]].clone(),
            clock_offset: Offset(either_way(seed, i, "offset", document.clocks.offset.0)),
            clock_drift: Drift(either_way(seed, i, "drift", document.clocks.drift.0)),
        });
        let concrete = Concrete {
            plan_format: document.plan_format,
            name: self.name.clone(),
            about: document.about.clone(),
            crypto: cluster.crypto,
            params: document.params.clone(),
            run: document.run.clone(),
            network: document.network.clone(),
            disk: document.disk.clone(),
            cpu: document.cpu.clone(),
            workload: document.workload.clone(),
            expect: document.expect.clone(),
            nodes: nodes.collect(),
            map,
            faults,
        };
        let checked = concrete.check().and_then(|()| Budget::of(&concrete).approve(&concrete));
        match checked {
            Ok(()) => Ok(concrete),
            Err(defect) => {
                let path = match defect.fault {
                    Some(index) => format!("fault.{}.{}", origin[index], as_written(defect.key)),
                    None => defect.key.to_owned(),
                };
                Err(self.source.error_at(&path, defect.words()))
            }
        }
    }

    /// The faults of the world, and for each of them the row of the plan that it comes from.
    fn expand_faults(
        &self,
        seed: u64,
        among: &Population<'_>,
    ) -> Result<(Vec<Fault>, Vec<usize>), PlanError> {
        let (mut faults, mut origin) = (Vec::new(), Vec::new());
        let mut uses = BTreeMap::<String, u32>::new();
        for (row, fault) in self.faults.iter().enumerate() {
            let mut name = format!("{} at {}, {}", fault.effect.name(), fault.at, fault.selection);
            let earlier = uses.entry(name.clone()).or_default();
            if *earlier > 0 {
                name = format!("{name}, again {earlier}");
            }
            *earlier += 1;
            let expanded = fault.expand(seed, &name, row, among, self.document.run.heal_at);
            faults.extend(expanded.map_err(|(key, words)| {
                self.source.error_at(&format!("fault.{row}.{key}"), words)
            })?);
            origin.resize(faults.len(), row);
        }
        Ok((faults, origin))
    }
}

/// The key of a row of the plan for a key of a fault of the world.
fn as_written(key: &str) -> &str {
    match key {
        "start" => "at",
        "end" => "for",
        other => other,
    }
}

fn split(text: &str) -> Words {
    let (what, remedy) = text.split_once('\n').unwrap_or((text, ""));
    (what.into(), remedy.into())
}

/// A uniform number from -`limit` to `limit` for node `index`.
fn either_way(seed: u64, index: usize, parameter: &str, limit: i64) -> i64 {
    let limit = limit.unsigned_abs();
    let mut draw = Draw::new(seed, ["clock", &format!("node {index}"), parameter]);
    let drawn = i128::from(draw.between(0, 2 * limit)) - i128::from(limit);
    i64::try_from(drawn).expect("within the limit, which is an i64")
}

/// A key of the row, and what is wrong there.
type RowError = (String, Words);

impl FaultRow {
    /// Where the row says who is hit.
    fn selection_key(&self) -> String {
        let side = if matches!(self.effect, Effect::Partition { .. }) { "side." } else { "" };
        let key = match self.selection {
            Selection::Nodes(_) => "nodes",
            Selection::Stake(_) => "stake",
            Selection::Region(_) => "region",
        };
        format!("{side}{key}")
    }

    /// The faults of the world that this row stands for; more than one if it rolls.
    fn expand(
        &self,
        seed: u64,
        name: &str,
        row: usize,
        among: &Population<'_>,
        heal_at: Option<Nanos>,
    ) -> Result<Vec<Fault>, RowError> {
        let nodes = self
            .selection
            .choose(among, &mut Draw::new(seed, ["fault", name, "nodes"]))
            .map_err(|e| (self.selection_key(), split(&e.to_string())))?;
        let too_late =
            || ("for".into(), split("it would end after the end of time\nlet it end earlier"));
        let end = match self.lasting {
            Some(lasting) => {
                Some(self.at.0.checked_add(lasting.0).map(Nanos).ok_or_else(too_late)?)
            }
            None if self.permanent => None,
            None => heal_at,
        };
        let whole = Fault {
            label: format!("{} #{}", self.effect.name(), row + 1),
            start: self.at,
            end,
            stake: nodes.iter().map(|n| among.stakes[usize::from(*n)]).sum(),
            nodes,
            effect: self.effect.clone(),
        };
        let mut draw = Draw::new(seed, ["fault", name, "order"]);
        let mut order = whole.nodes.clone();
        let faults = match (self.effect.kind().timing, self.rolling, self.shape) {
            (Timing::Instant, ..) => return Ok(vec![Fault { end: Some(self.at), ..whole }]),
            (Timing::Until, ..) => {
                return Ok(vec![Fault { start: Nanos(0), end: Some(self.at), ..whole }]);
            }
            (Timing::Lasting, None, None) => return Ok(vec![whole]),
            (Timing::Lasting, Some(rolling), _) => {
                draw.shuffle(&mut order);
                rolling.expand(&whole, order, among)
            }
            (Timing::Lasting, None, Some(shape)) => {
                draw.shuffle(&mut order);
                shape.expand(&whole, &order, among, &mut draw)
            }
        };
        faults.map_err(|(key, words)| (key.into(), words))
    }
}
