//! Everybody counts a quorum from 2 % less stake than there is: 58.8 % passes for 60 %.
//!
//! The missing stake is taken from node 0 in the committee that nodes believe in, so it shows when
//! node 0 does not vote and between 58.8 % and 60 % of the stake do.

use super::{Made, Wrong};
use crate::cluster::{Options, setup};
use crate::plan::Concrete;

pub(super) const LOW_QUORUM: Wrong = Wrong {
    name: "low-quorum",
    about: "every node counts quorums from 2 % less stake than there is",
    caught_by: Some("O14"),
    plans: &["forty-percent-crashed"],
    made: Made::Around(plant),
};

fn plant(plan: &Concrete, seed: u64, options: &mut Options) {
    let mut believed = plan.clone();
    let missing = plan.total_stake() / 50;
    let first = &mut believed.nodes[0].stake;
    *first = first.saturating_sub(missing).max(1);
    options.believed = Some(setup::committee(&believed, seed));
}
