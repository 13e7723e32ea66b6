//! Nodes that are wrong on purpose, by name.
//!
//! A harness that has never failed proves nothing, and a shrinker can only be measured on a bug
//! that is known. So there is a table of bugs that can be planted, and the product's sources know
//! of none of them. What shows at the doorway is made *around* the node: its effects are changed,
//! it is deaf to some inputs, its store forgets, it believes in another committee. What only the
//! inside can get wrong is a small *patch*, and all patches go into one copy of the sources, each
//! behind a guard that asks which bug is planted; so one build serves all of them.
//!
//! | file | holds |
//! |---|---|
//! | `patched` | the rows of the bugs that are patches; the patches are in `sim-tests/wrong/` |
//! | `patch` `copy` | reads and applies patches; makes the copy of the sources and builds it |
//! | `selector` | what differs between the copy and the product |
//! | `hunt` `table` | `cargo sim wrong`: runs the plans against each, and says what caught it |
//! | the others | bugs around the node |
//!
//! `--wrong NAME` plants one, and a seed file remembers which: the failure can then be replayed and
//! shrunk like a real one, in worker processes too. The program that has the patch in it is built
//! and started where it is needed.
//!
//! A new wrong node is one row here or in `patched`, its file or its patch, and one test that an
//! oracle catches it (`cargo sim wrong NAME` for a patch).

mod copy;
mod disk;
mod forger;
mod hunt;
mod low_quorum;
mod patch;
mod patched;
mod selector;
mod silent;
mod standstill;
mod table;
mod timers;

pub use copy::{hand_over, program};
pub use hunt::{Arguments, run};
pub use patch::{Mismatch, assemble};

use crate::cluster::{Options, Wrap};
use crate::plan::Concrete;
use alpenglow_node::host::driver::Doorway;
use alpenglow_node::protocol::types::{NodeId, Time};
use alpenglow_node::protocol::wire::{self, Message, Reject, Unverified, Verified};
use alpenglow_node::protocol::{Effect, Input, Protocol};
use std::sync::Arc;

/// A bug that can be planted.
pub struct Wrong {
    /// As in `--wrong` and in a seed file; a patch has this name, too.
    pub name: &'static str,
    /// What is wrong, in one sentence.
    pub about: &'static str,
    /// The oracle that is meant for it; `None` if honest nodes must not be harmed by it.
    pub caught_by: Option<&'static str>,
    /// The shipped plans in which it can show soonest: they are tried first.
    pub plans: &'static [&'static str],
    /// How it is made.
    pub made: Made,
}

/// How a wrong node is made.
#[derive(Clone, Copy)]
pub enum Made {
    /// Around the product: plants it in a run of this world under this seed.
    Around(fn(&Concrete, u64, &mut Options)),
    /// By the patch of its name in a copy of the sources.
    Patch,
}

impl Made {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Made::Around(_) => "around",
            Made::Patch => "patch",
        }
    }
}

/// This program does not have the patch in it.
#[derive(Debug, thiserror::Error)]
#[error("{0} is made by a patch, and this program is built without\nremedy: cargo sim wrong {0}")]
pub struct NotHere(&'static str);

impl Wrong {
    /// True if only the program with the patches can plant it, and this is another one.
    fn is_elsewhere(&self) -> bool {
        matches!(self.made, Made::Patch) && !selector::PATCHED
    }

    /// Plants it in a run of this world under this seed.
    ///
    /// # Errors
    /// If it is a patch that this program does not have ([`hand_over`] is for that).
    pub fn plant(&self, plan: &Concrete, seed: u64, options: &mut Options) -> Result<(), NotHere> {
        match self.made {
            Made::Around(plant) => plant(plan, seed, options),
            Made::Patch if self.is_elsewhere() => return Err(NotHere(self.name)),
            Made::Patch => selector::select(self.name),
        }
        Ok(())
    }
}

/// The bugs that are made around the node.
const AROUND: [Wrong; 12] = [
    disk::FORGETS_VOTES,
    disk::FORGETS_BLOCKS,
    disk::SENDS_BEFORE_DURABLE,
    low_quorum::LOW_QUORUM,
    forger::GULLIBLE,
    forger::FORGER,
    standstill::LATE_STANDSTILL,
    standstill::STANDSTILL_WITHOUT_VOTES,
    timers::NO_TIMERS_AFTER_RESTART,
    timers::HASTY,
    silent::KEEPS_CERTIFICATES,
    silent::NEVER_REPAIRS,
];

/// Every bug that can be planted.
pub fn all() -> impl Iterator<Item = &'static Wrong> {
    const { &AROUND }.iter().chain(patched::PATCHED)
}

/// The name of no wrong node.
#[derive(Debug, thiserror::Error)]
#[error("there is no wrong node {name:?}\nremedy: use one of {}", self.known())]
pub struct Unknown {
    name: String,
}

impl Unknown {
    fn known(&self) -> String {
        all().map(|wrong| wrong.name).collect::<Vec<_>>().join(", ")
    }
}

/// The wrong node of this name.
pub fn named(name: &str) -> Result<&'static Wrong, Unknown> {
    all().find(|wrong| wrong.name == name).ok_or_else(|| Unknown { name: name.into() })
}

/// What a wrong node does differently; the rest is the honest protocol.
trait Lie: Send + Sync {
    /// Takes or refuses what a peer sent.
    fn verify(
        &self,
        node: &Protocol,
        claim: Unverified<Message>,
    ) -> Result<Verified<Message>, Reject> {
        wire::verify(node.committee(), claim)
    }

    /// False keeps an input from the honest protocol.
    fn hears(&self, _input: &Input) -> bool {
        true
    }

    /// Changes what follows from an input.
    fn change(&self, _node: &Protocol, _input: &Input, _effects: &mut Vec<Effect>) {}
}

/// The honest protocol with a lie around it.
struct Liar {
    node: Protocol,
    lie: Arc<dyn Lie>,
}

impl Doorway for Liar {
    fn precheck(&self, from: NodeId, bytes: &[u8]) -> Result<Unverified<Message>, Reject> {
        self.node.precheck(from, bytes)
    }

    fn verify(&self, claim: Unverified<Message>) -> Result<Verified<Message>, Reject> {
        self.lie.verify(&self.node, claim)
    }

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        if !self.lie.hears(&input) {
            return;
        }
        let mut effects = Vec::new();
        self.node.step(now, input.clone(), &mut effects);
        self.lie.change(&self.node, &input, &mut effects);
        out.append(&mut effects);
    }
}

/// Each node tells the lie that `which` gives it when it starts; `None` is honest.
fn each(
    which: impl Fn(NodeId, &Protocol) -> Option<Arc<dyn Lie>> + Send + Sync + 'static,
) -> Option<Wrap> {
    Some(Arc::new(move |me, node| match which(me, &node) {
        Some(lie) => Box::new(Liar { node, lie }),
        None => Box::new(node),
    }))
}

/// Everybody tells this lie.
fn everybody(lie: impl Lie + 'static) -> Option<Wrap> {
    let lie: Arc<dyn Lie> = Arc::new(lie);
    each(move |_, _| Some(lie.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_found_and_others_are_refused() {
        for wrong in all() {
            assert_eq!(named(wrong.name).unwrap().about, wrong.about);
        }
        let names: BTreeSet<_> = all().map(|wrong| wrong.name).collect();
        assert_eq!(names.len(), all().count(), "each name once");
        let message = named("forgetful").err().unwrap().to_string();
        assert!(message.contains("forgets-votes, forgets-blocks"), "{message}");
    }

    /// The product has no bug to select: whoever wants one is told where it is.
    #[test]
    fn a_patch_is_not_in_the_product() {
        let text = "about = \"\"\nplan_format = 1\ncluster = { nodes = 4, stake = \"equal\", \
                    regions = { one-way = \"20ms\" } }\nrun = { duration = \"1s\", heal_at = \"0s\" }";
        let plan = crate::plan::Plan::parse("four", "four.toml", text, &[]).unwrap();
        let planted = named("counts-twice").unwrap().plant(
            &plan.expand(0).unwrap(),
            0,
            &mut Options::default(),
        );
        assert!(planted.unwrap_err().to_string().contains("cargo sim wrong counts-twice"));
    }
}
