//! Nodes that are wrong on purpose, by name.
//!
//! A harness that has never failed proves nothing, and a shrinker can only be measured on a bug
//! that is known. So there is a table of bugs that can be planted: each is made *around* the
//! product (its effects are changed, its store forgets, it believes in another committee), never by
//! editing it. `--wrong NAME` plants one, and a seed file remembers which: the failure can then be
//! replayed and shrunk like a real one, in worker processes too.
//!
//! A new wrong node is one file, one row of [`ALL`], and one test that an oracle catches it.

mod forger;
mod forgets_votes;
mod low_quorum;
mod standstill;

use crate::cluster::{Options, Wrap};
use crate::plan::Concrete;
use alpenglow_node::host::driver::Doorway;
use alpenglow_node::protocol::types::{NodeId, Time};
use alpenglow_node::protocol::wire::{self, Message, Reject, Unverified, Verified};
use alpenglow_node::protocol::{Effect, Input, Protocol};
use std::sync::Arc;

/// A bug that can be planted.
pub struct Wrong {
    /// As in `--wrong` and in a seed file.
    pub name: &'static str,
    /// What is wrong, in one sentence.
    pub about: &'static str,
    /// The oracle that is meant for it; `None` if honest nodes must not be harmed by it.
    pub caught_by: Option<&'static str>,
    /// Plants it in a run of this world under this seed.
    pub plant: fn(&Concrete, u64, &mut Options),
}

/// Every bug that can be planted.
pub const ALL: [Wrong; 5] = [
    forgets_votes::FORGETS_VOTES,
    low_quorum::LOW_QUORUM,
    forger::GULLIBLE,
    forger::FORGER,
    standstill::LATE_STANDSTILL,
];

/// The name of no wrong node.
#[derive(Debug, thiserror::Error)]
#[error("there is no wrong node {name:?}\nremedy: use one of {}", self.known())]
pub struct Unknown {
    name: String,
}

impl Unknown {
    fn known(&self) -> String {
        ALL.iter().map(|wrong| wrong.name).collect::<Vec<_>>().join(", ")
    }
}

/// The wrong node of this name.
pub fn named(name: &str) -> Result<&'static Wrong, Unknown> {
    ALL.iter().find(|wrong| wrong.name == name).ok_or_else(|| Unknown { name: name.into() })
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
        let mut effects = Vec::new();
        self.node.step(now, input.clone(), &mut effects);
        self.lie.change(&self.node, &input, &mut effects);
        out.append(&mut effects);
    }
}

/// Everybody tells the lie that `which` gives; `None` is honest.
fn everybody(which: impl Fn(NodeId) -> Option<Arc<dyn Lie>> + Send + Sync + 'static) -> Wrap {
    Arc::new(move |me, node| match which(me) {
        Some(lie) => Box::new(Liar { node, lie }),
        None => Box::new(node),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_are_refused() {
        for wrong in &ALL {
            assert_eq!(named(wrong.name).unwrap().about, wrong.about);
        }
        let message = named("forgetful").err().unwrap().to_string();
        assert!(message.contains("forgets-votes, low-quorum"), "{message}");
    }
}
