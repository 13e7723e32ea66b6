//! A plan as it is written: sections, and rows of faults.
//!
//! The sections are plain structs that serde reads, with unknown keys refused. The rows of faults
//! are read in two steps, because serde cannot check the keys of a row whose shape depends on one
//! of them and still say where a mistake stands. First the keys that all kinds share are taken
//! out: `kind`, `at`, `for`, and who is hit (`nodes`, `stake` or `region`; for a partition
//! `side = { ... }`). What is left are the parameters of the kind, and reads as its
//! [`Effect`] variant. What takes nodes away may have a `rolling`, a crash also a `permanent` (and
//! so may a byzantine fault), a partition also a `shape`, with which `side` may be left out.

use super::error::{PlanError, Words, unknown};
use super::fault::{Effect, KINDS, Kind, Timing};
use super::pattern::{Rolling, Shape};
use super::select::{NodeList, Selection};
use super::settings::{Cpu, Crypto, Disk, Expect, Network, Params, Run, Workload};
use super::shape::{RegionShape, StakeShape};
use super::source::{Source, Table, Value};
use super::swarm::{Stated, Swarm};
use super::units::{Drift, Nanos, Offset};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

/// The version of the plan format that this program reads.
pub const PLAN_FORMAT: u64 = 1;

/// A plan as written, with overrides applied. [`Plan::expand`] makes a world out of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name of the file without its ending.
    pub name: String,
    /// Every section except the faults.
    pub document: Document,
    /// The faults, in the order of the file.
    pub faults: Vec<FaultRow>,
    pub(super) source: Source,
    /// With a `[swarm]`, what the above is completed from under each seed; they are the plan of
    /// seed 0 then.
    pub(super) drawn: Option<Drawn>,
}

/// A plan with a `[swarm]`, before anything is drawn.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    swarm: Swarm,
    file: String,
    text: String,
    sets: Vec<String>,
}

/// The sections of a plan file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What the plan shows, for the reader.
    pub about: String,
    /// [`PLAN_FORMAT`].
    pub plan_format: u64,
    /// Who takes part.
    pub cluster: Cluster,
    /// Genesis parameters.
    #[serde(default)]
    pub params: Params,
    /// Duration and heal.
    pub run: Run,
    /// The network without faults.
    #[serde(default)]
    pub network: Network,
    /// The disks without faults.
    #[serde(default)]
    pub disk: Disk,
    /// How wrong the clocks are.
    #[serde(default)]
    pub clocks: Clocks,
    /// What work costs.
    #[serde(default)]
    pub cpu: Cpu,
    /// What clients do.
    #[serde(default)]
    pub workload: Workload,
    /// What must hold.
    #[serde(default)]
    pub expect: Expect,
    /// Declared so that an error can list the key; the rows are read one by one.
    #[serde(default, rename = "fault")]
    _faults: IgnoredAny,
    /// Likewise: it is taken out before the rest is read.
    #[serde(default, rename = "swarm")]
    _swarm: IgnoredAny,
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// How many nodes.
    pub nodes: u16,
    /// Who holds how much.
    pub stake: StakeShape,
    /// Who sits where.
    pub regions: RegionShape,
    /// Which signatures.
    #[serde(default)]
    pub crypto: Crypto,
}

/// How wrong clocks may be; each node draws its own values, in either direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clocks {
    /// Wall clocks are off by at most this.
    pub offset: Offset,
    /// Clocks run fast or slow by at most this.
    pub drift: Drift,
}

/// One fault as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRow {
    /// When it begins; for a late start, when it ends.
    pub at: Nanos,
    /// How long it lasts; if absent, until the network heals.
    pub lasting: Option<Nanos>,
    /// Whether it outlives the heal.
    pub permanent: bool,
    /// Whether the nodes take turns.
    pub rolling: Option<Rolling>,
    /// How a partition divides the nodes; if absent, in those that are hit and the others.
    pub shape: Option<Shape>,
    /// Who is hit.
    pub selection: Selection,
    /// What happens.
    pub effect: Effect,
}

impl Plan {
    /// Reads the plan file at `path` and applies `sets`, each `path=value`.
    pub fn load(path: &Path, sets: &[String]) -> Result<Plan, PlanError> {
        let text = std::fs::read_to_string(path).map_err(|e| PlanError {
            place: path.display().to_string(),
            excerpt: None,
            what: format!("cannot read the plan: {e}"),
            remedy: "name a plan file such as fault-plans/calm.toml".into(),
        })?;
        let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into());
        Plan::parse(&name, &path.display().to_string(), &text, sets)
    }

    /// Reads a plan from `text`. `file` is how errors call it.
    pub fn parse(name: &str, file: &str, text: &str, sets: &[String]) -> Result<Plan, PlanError> {
        let (source, mut root) = Source::parse(file, text, sets)?;
        let Some(swarm) = root.remove("swarm") else { return Plan::read(name, source, root) };
        let range = swarm.span();
        let swarm: Swarm = source.read_value(swarm, &[])?;
        swarm.check().map_err(|words| source.error(range, words))?;
        let drawn = Drawn { swarm, file: file.into(), text: text.into(), sets: sets.into() };
        Ok(Plan { drawn: Some(drawn.clone()), ..drawn.plan(name, 0)? })
    }

    /// The plan of one seed: itself, unless it has a `[swarm]`.
    pub(super) fn under(&self, seed: u64) -> Result<Cow<'_, Plan>, PlanError> {
        match &self.drawn {
            None => Ok(Cow::Borrowed(self)),
            Some(drawn) => drawn.plan(&self.name, seed).map(Cow::Owned),
        }
    }

    fn read(name: &str, source: Source, root: Table<'_>) -> Result<Plan, PlanError> {
        let rows = root.get("fault").cloned();
        // First of all: the keys of another format would only be called unknown.
        let format = root.get("plan_format").cloned();
        let format = format.map(|value| source.read_value::<u64>(value, &[])).transpose()?;
        if let Some(found) = format.filter(|f| *f != PLAN_FORMAT) {
            let what = format!("this is plan format {found}, and this program reads {PLAN_FORMAT}");
            let remedy = format!("write plan_format = {PLAN_FORMAT} and check the keys");
            return Err(source.error_at("plan_format", (what, remedy)));
        }
        let document: Document = source.read(root, 0..0, &[])?;
        let mut faults = Vec::new();
        match rows.map(|rows| (rows.span(), rows.into_inner())) {
            None => {}
            Some((_, DeValue::Array(rows))) => {
                for row in rows {
                    faults.push(Row::new(&source, row)?.read(&document.disk)?);
                }
            }
            Some((range, _)) => {
                let words = ("`fault` is not a list", "write [[fault]] above each fault");
                return Err(source.error(range, (words.0.into(), words.1.into())));
            }
        }
        Ok(Plan { name: name.into(), document, faults, source, drawn: None })
    }
}

impl Drawn {
    /// The plan that `seed` draws, under what the file and the overrides state.
    fn plan(&self, name: &str, seed: u64) -> Result<Plan, PlanError> {
        let (source, mut root) = Source::parse(&self.file, &self.text, &self.sets)?;
        root.remove("swarm");
        let stated = |section: &str| root.get(section).cloned();
        let cluster = stated("cluster").map(|value| source.read_value(value, &[])).transpose()?;
        let run = stated("run").map(|value| source.read_value(value, &[])).transpose()?;
        let stated = Stated { cluster: cluster.unwrap_or_default(), run: run.unwrap_or_default() };
        let text = self.swarm.write(seed, &stated);
        source.complete(&mut root, &format!("{} under seed {seed}", self.file), &text)?;
        Plan::read(name, source, root)
    }
}

/// Keys that all kinds share.
const SHARED: [&str; 3] = ["kind", "at", "for"];
/// Kinds of which the nodes can take turns.
const ROLLING: [&str; 3] = ["crash", "pause", "partition"];
/// Keys of which one says who is hit.
const WHO: [&str; 3] = ["nodes", "stake", "region"];

/// A row of the file, while its keys are taken out.
struct Row<'s, 'a> {
    source: &'s Source,
    range: Range<usize>,
    table: Table<'a>,
}

impl<'s, 'a> Row<'s, 'a> {
    fn new(source: &'s Source, row: Spanned<Value<'a>>) -> Result<Self, PlanError> {
        let range = row.span();
        match row.into_inner() {
            DeValue::Table(table) => Ok(Row { source, range, table }),
            _ => {
                let words = ("this fault is not a table", "write { kind = ..., at = ... }");
                Err(source.error(range, (words.0.into(), words.1.into())))
            }
        }
    }

    fn error(&self, what: &str, remedy: &str) -> PlanError {
        self.source.error(self.range.clone(), (what.into(), remedy.into()))
    }

    /// Takes out the value of `key`.
    fn take<T: Deserialize<'a>>(&mut self, key: &str) -> Result<Option<T>, PlanError> {
        self.table.remove(key).map(|value| self.source.read_value(value, &[])).transpose()
    }

    /// Takes out the value of `key`, which must be there.
    fn need<T: Deserialize<'a>>(&mut self, key: &str) -> Result<T, PlanError> {
        self.take(key)?.ok_or_else(|| {
            self.error(&format!("the key `{key}` is missing"), &format!("add `{key} = ...` here"))
        })
    }

    fn read(mut self, disk: &Disk) -> Result<FaultRow, PlanError> {
        let kind = self.kind()?;
        let at = self.need("at")?;
        let lasting = match kind.timing {
            Timing::Lasting => self.lasting()?,
            Timing::Instant | Timing::Until if !self.table.contains_key("for") => None,
            Timing::Instant | Timing::Until => {
                let what = format!("a {} has no `for`", kind.name);
                return Err(self.error(&what, "remove `for`: `at` alone says when it happens"));
            }
        };
        let partition = kind.name == "partition";
        let shape = if partition { self.take("shape")? } else { None };
        let selection = match shape {
            Some(_) if !self.table.contains_key("side") => Selection::Nodes(NodeList::All),
            _ => self.selection(kind)?,
        };
        let crash = kind.name == "crash";
        let lasts = crash || kind.name == "byzantine";
        let permanent = if lasts { self.take("permanent")?.unwrap_or(false) } else { false };
        let rolls = ROLLING.contains(&kind.name);
        let rolling: Option<Rolling> = if rolls { self.take("rolling")? } else { None };
        if rolling.is_some() && shape.is_some() {
            let what = "a partition with a shape cannot also roll";
            return Err(self.error(what, "remove `rolling` or `shape`"));
        }
        if permanent && (lasting.is_some() || rolling.is_some()) {
            return Err(self.error(
                "what is permanent cannot end or roll",
                "remove `permanent`, or remove `for` and `rolling`",
            ));
        }
        if crash && !self.table.contains_key("mode") {
            self.insert("mode", DeValue::String(Cow::Borrowed(disk.crash.name())));
        }
        let effect = self.effect(kind)?;
        Ok(FaultRow { at, lasting, permanent, rolling, shape, selection, effect })
    }

    fn insert(&mut self, key: &'static str, value: Value<'a>) {
        let range = self.range.clone();
        self.table
            .insert(Spanned::new(range.clone(), Cow::Borrowed(key)), Spanned::new(range, value));
    }

    fn kind(&mut self) -> Result<&'static Kind, PlanError> {
        let name: Spanned<String> = self.need("kind")?;
        Kind::named(name.get_ref()).ok_or_else(|| {
            let known = KINDS.iter().map(|kind| kind.name.to_owned()).collect();
            let words: Words = unknown("fault", name.get_ref(), known, &[]);
            self.source.error(name.span(), words)
        })
    }

    fn lasting(&mut self) -> Result<Option<Nanos>, PlanError> {
        let lasting: Option<Spanned<Nanos>> = self.take("for")?;
        match lasting {
            Some(zero) if zero.get_ref().0 == 0 => {
                let words = ("a fault cannot last no time", "remove the fault, or let it last");
                Err(self.source.error(zero.span(), (words.0.into(), words.1.into())))
            }
            lasting => Ok(lasting.map(Spanned::into_inner)),
        }
    }

    /// Reads who is hit: `side = { ... }` of a partition, one key of the row otherwise.
    fn selection(&mut self, kind: &Kind) -> Result<Selection, PlanError> {
        if kind.name == "partition" {
            return self.need("side");
        }
        let found: Vec<_> = WHO.iter().filter_map(|key| self.table.remove_entry(*key)).collect();
        if found.len() != 1 {
            let what = match found.len() {
                0 => format!("this {} does not say whom it hits", kind.name),
                _ => format!("this {} says twice whom it hits", kind.name),
            };
            let remedy = "give one of nodes = [0, 1], nodes = \"all\", stake = \"20%\" or \
                          region = \"london\"";
            return Err(self.error(&what, remedy));
        }
        self.source.read(found.into_iter().collect(), self.range.clone(), &[])
    }

    /// What is left are the parameters of the kind: `{ kind = { parameters } }` is the effect.
    fn effect(mut self, kind: &Kind) -> Result<Effect, PlanError> {
        let parameters = std::mem::take(&mut self.table);
        self.insert(kind.name, DeValue::Table(parameters));
        let mut more = SHARED.to_vec();
        match kind.name {
            "partition" => more.extend(["side", "shape", "rolling"]),
            "pause" => more.extend(WHO.iter().chain(&["rolling"])),
            "byzantine" => more.extend(WHO.iter().chain(&["permanent"])),
            "crash" => more.extend(WHO.iter().chain(&["permanent", "rolling"])),
            _ => more.extend(WHO),
        }
        self.source.read(self.table, self.range, &more)
    }
}
