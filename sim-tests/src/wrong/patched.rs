//! Bugs that only the inside of the protocol can have. The patch of each is
//! `sim-tests/wrong/NAME.patch`; most are mistakes that some implementation really made, and then
//! the correction of the specification (section 11) that rules them out is named.

use super::{Made, Wrong};

/// A row; the patch has the row's name.
const fn row(
    name: &'static str,
    caught_by: &'static str,
    plans: &'static [&'static str],
    about: &'static str,
) -> Wrong {
    Wrong { name, about, caught_by: Some(caught_by), plans, made: Made::Patch }
}

/// Plans in which leaders and voters split the stake.
const SPLIT: &[&str] = &["equivocating-leader", "split-at-threshold"];
/// Plans in which nodes come back from their disks.
const RESTART: &[&str] = &["power-cut", "crash-restart"];

/// Every bug that is a patch.
#[rustfmt::skip]
pub(super) static PATCHED: &[Wrong] = &[
    // What one voter may say in a slot.
    row("votes-again", "O32", RESTART, "the flags of Votor are not rebuilt from the vote log"),
    row("own-votes-unloaded", "O32", RESTART, "reloaded votes enter neither the own Pool nor the network again"),
    row("skip-beside-notar", "O5", &["partition-heal"], "a window that is given up is skipped in the slots with a notar vote, too"),
    row("final-beside-fallback", "O7", &["forked-window"], "a final vote is cast in spite of a fallback vote"),
    row("fallback-without-block", "O11", SPLIT, "SafeToNotar for a block that is not stored (K4)"),
    row("fallback-without-parent", "O11", SPLIT, "SafeToNotar without the certificate of the parent (K18)"),
    row("skip-without-maximum", "O12", SPLIT, "SafeToSkip counts the strongest block against itself"),
    row("own-vote-last", "O11", &["forked-window"], "the fallbacks are not evaluated when the own vote is stored (K3)"),
    row("one-waiting-child", "O11", &["forked-window"], "only one block can wait for the certificate of its parent (K6)"),
    // What votes add up to.
    row("counts-twice", "O14", &["vote-spam"], "a fallback vote beside the notar vote for the same block counts, too"),
    row("quorum-one-unit-low", "O14", &["over-budget", "twenty-twenty"], "one unit of stake less than a threshold reaches it"),
    row("stake-unchecked", "O14", &["certificate-games"], "certificates of others are taken without adding up their stake"),
    row("votes-unverified", "O14", &["vote-spam"], "votes are taken without checking their signatures"),
    row("certificate-before-vote", "O14", &["calm"], "a certificate is built before the vote that made it possible is stored (K1)"),
    row("many-fallbacks", "O35", &["vote-spam"], "any number of notar-fallback votes of one validator is stored (K14)"),
    row("far-votes", "O35", &["vote-spam"], "votes for slots in the far future are stored (K31)"),
    // What is final, and what may be a parent.
    row("final-without-notarization", "O20", &["lossy-wan", "gray-network"], "a finalization certificate finalizes the block with most votes"),
    row("finality-goes-back", "O37", &["late-joiner"], "a lower slot that is finalized later becomes the highest (K7)"),
    row("fast-final-is-no-parent", "O23", &["far-apart"], "a fast-finalization certificate does not make its block a parent (K2)"),
    row("no-repair-of-fast-final", "O49", &["far-apart"], "a block with only a fast-finalization certificate is not fetched"),
    row("final-parent-is-no-parent", "O45", &["far-apart", "calm"], "a final block is not taken for an own vote on the parent (J2)"),
    row("no-timers-in-mid-window", "O47", &["power-cut"], "finality in the middle of a window starts no timers (J1)"),
    // Timers and standstill.
    row("timeouts-stay-long", "O50", &["partition-heal"], "timeouts that grew at a standstill stay long after it"),
    row("early-timer-ignores-shreds", "O45", &["far-apart"], "the timer for crashed leaders skips also whom it has heard (K12)"),
    // Blocks.
    row("produces-again", "O27", RESTART, "after a restart a leader produces in a window in which it did before"),
    row("takes-equivocated-block", "O30", &["equivocating-leader", "withheld-shreds"], "a block is completed although its leader was caught lying"),
    row("begins-on-far-block", "O45", &["early-blocks"], "a leader begins on a block that was sent long before its time, and leaves its nearer windows out"),
    row("parent-switch-anywhere", "O29", &["lying-repair"], "a block may switch its parent in any slot and any number of times (K23)"),
    row("bare-hash", "O10", &["lying-repair"], "a parent is compared by its hash without the slot (K20)"),
];
