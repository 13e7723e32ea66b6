//! The catalogue of situations worth reaching.
//!
//! A run that passes has shown nothing about a situation that it never came to. So each situation
//! that somebody should worry about has a name and is counted, in three ways: by what is measured
//! ([`SITUATIONS`]), by the lies that really happened (the names of [`BEHAVIOURS`]), and, on the
//! side of the protocol, by the rules that were taken (`protocol::rules::RULES`). A plan may name
//! any of the first two as a goal (`expect.sometimes`); a sweep lists what it never reached;
//! `sim coverage` judges it.
//!
//! Whoever counts something adds a row here first: counting an unknown name is a panic, so the
//! catalogue is complete.

use super::behaviour::BEHAVIOURS;

/// One situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// As written in plans and results.
    pub name: &'static str,
    /// What it means that a run reached it.
    pub about: &'static str,
}

const fn probe(name: &'static str, about: &'static str) -> Probe {
    Probe { name, about }
}

/// What is measured, in the order in which a slot lives.
#[rustfmt::skip]
pub const SITUATIONS: [Probe; 53] = [
    // Certificates and finality.
    probe("notarization", "60 % notarize a block"),
    probe("fast-finalization", "80 % notarize a block at once"),
    probe("final-certificate", "60 % cast final votes"),
    probe("notar-fallback-certificate", "60 % notarize a block or fall back to it"),
    probe("skip-certificate", "60 % skip a slot or fall back to skipping it"),
    probe("slow-finalization", "a block is final by two rounds of 60 %"),
    probe("indirect-finalization", "a block is final because a later one is"),
    probe("two-certified-blocks", "one Pool holds certificates of two blocks of one slot"),
    probe("certified-and-skipped", "one Pool holds a block's certificate and the slot's skip certificate"),
    probe("contradiction-seen", "certificates that contradict each other meet in one Pool"),
    probe("safety-broken", "two truths, in a plan that permits it (O1, O2 or O3)"),
    // Votes and timers.
    probe("timeout", "a slot's timer fires"),
    probe("safe-to-notar", "a node may fall back to a block that it did not vote for"),
    probe("safe-to-skip", "a node may fall back to skipping a slot that it voted for"),
    probe("equivocation-seen", "a leader is caught signing two things"),
    probe("offence-seen", "a validator is caught casting votes that exclude each other"),
    probe("standstill", "nothing was finalized for so long that everything is said again"),
    // Blocks.
    probe("optimistic-handover", "a leader begins before its parent is ready"),
    probe("parent-switch", "a leader goes on with another parent"),
    probe("full-slice", "a slice closes because it is full"),
    probe("transaction-expired", "a transaction outlives its last slot and is given up"),
    probe("repair", "a block is fetched from peers"),
    probe("repair-abandoned", "a fetch ends because the block is not needed any more"),
    probe("block-from-store", "a block comes from the own store"),
    probe("catch-up", "a node that is behind asks for proofs"),
    probe("epoch-end", "finality crosses the end of an epoch"),
    // Power and disks.
    probe("restart", "a node comes back"),
    probe("restart-as-leader", "a node comes back in a window that is its own to lead"),
    probe("vote-durable-unsent", "power fails after a vote is durable and before it leaves"),
    probe("all-down", "no correct node is up"),
    probe("storage-error", "a node cannot use its store"),
    probe("log-lost", "a vote log is not whole any more"),
    probe("start-refused", "a node refuses to start on what is left of its disk"),
    probe("observing", "a node follows and does not vote"),
    // Fault points in the host.
    probe("driver.early_wake", "the driver wakes before anything is due"),
    probe("driver.short_batch", "the driver takes less than what has arrived"),
    probe("driver.late_completion", "a completed commit is noticed late"),
    probe("driver.late_commit", "a commit begins late"),
    // Oracles whose premises held, so that they judged something.
    probe("judged-O28", "a produced chain was compared with the rules of production"),
    probe("judged-O29", "the content of a stored block was checked"),
    probe("judged-O34", "signed bytes were checked"),
    probe("judged-O37", "the spreading of a certificate was checked"),
    probe("judged-O38", "the schedule was recomputed"),
    probe("judged-O40", "a certificate was due everywhere"),
    probe("judged-O41", "an initial vote was due"),
    probe("judged-O42", "a slot was due to be decided"),
    probe("judged-O43", "a window was final or skipped as a whole"),
    probe("judged-O44", "a window was due to make progress"),
    probe("judged-O45", "a good window was due to be final"),
    probe("judged-O46", "the moment of a finalization was computed and compared"),
    probe("judged-O48", "a certified block was due to be stored"),
    probe("judged-O49", "a joiner was due to have caught up"),
    probe("judged-O50", "a quiet node was checked for idle talk"),
];

/// Everything that a run counts: situations, then lies.
pub fn probes() -> impl Iterator<Item = Probe> {
    let lie = |lie: &super::Behaviour| probe(lie.name, lie.shows);
    SITUATIONS.iter().copied().chain(BEHAVIOURS.iter().map(lie))
}

/// True if a run may count this.
pub fn is_probe(name: &str) -> bool {
    probes().any(|probe| probe.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = probes().map(|probe| probe.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
