//! A store that forgets the vote log and the blocks: whoever comes back votes again, and perhaps
//! not the same. This is what happens without the rule that a vote is durable before it is sent.

use super::Wrong;
use crate::cluster::Options;
use crate::plan::Concrete;
use alpenglow_node::protocol::Restored;
use alpenglow_node::protocol::types::NodeId;
use std::sync::Arc;

pub(super) const FORGETS_VOTES: Wrong = Wrong {
    name: "forgets-votes",
    about: "after a restart every node has forgotten the votes and blocks on its disk",
    caught_by: Some("O32"),
    plant,
};

fn plant(_: &Concrete, _: u64, options: &mut Options) {
    options.tamper = Some(Arc::new(|_: NodeId, restored: &mut Restored| {
        restored.votes.clear();
        restored.candidates.clear();
    }));
}
