//! The paper's branches by name, and which of them a run has taken.
//!
//! A sweep of ten thousand green seeds proves little about a branch that none of them entered. So
//! each branch of the specification carries `rule!("name")`. In a simulation build it counts; in
//! a production build it compiles to nothing. The names and their sections stand in [`RULES`];
//! a name that is not in the table does not compile.

/// Every rule: its name, and the section of the specification it implements.
pub const RULES: &[(&str, &str)] = &[
    ("blokstor.complete", "4: the first block of a slot is complete through Rotor"),
    ("blokstor.equivocation", "3.4: two signed commitments for one slice, or slices past the last"),
    ("blokstor.invalid", "2.3: a complete block breaks a validity rule"),
    ("blokstor.bad_slice", "2.2: a signed slice does not decode"),
    ("blokstor.repaired", "4: a block is complete through repair"),
    ("catchup.ask", "9: a node that is behind asks for finalization proofs"),
    ("catchup.proofs", "9: proofs of a range arrive"),
    ("epoch.halt", "1.3: no block of the epoch is final, so the next one is not entered"),
    ("epoch.resume", "1.3: a finalization opens the next epoch"),
    ("finality.ancestor", "6.7: an ancestor of a finalized block is final"),
    ("finality.fast", "6.3: FF finalizes"),
    ("finality.bridge", "6.7: more slots than are held were skipped; hash links lead over them"),
    ("finality.far", "1.5: a proof far ahead of what is held is taken"),
    ("finality.missing", "6.7: a finalized block is not stored yet"),
    ("finality.skip", "6.7: a slot between a finalized block and its parent is skipped"),
    ("finality.slow", "6.3: FI with NO finalizes"),
    ("pool.duplicate", "6.1: a vote that is stored already"),
    ("pool.offence", "5.4: a provably wrong pair of votes"),
    ("pool.fast_final", "5.2: 80 % notar"),
    ("pool.notar", "5.2: 60 % notar"),
    ("pool.notar_fallback", "5.2: 60 % notar or notar-fallback"),
    ("pool.skip", "5.2: 60 % skip or skip-fallback"),
    ("pool.final", "5.2: 60 % final"),
    ("pool.received", "6.3: a certificate from a peer"),
    ("pool.final_first", "6.3: FI before NO"),
    ("pool.safe_to_notar", "6.5: SafeToNotar"),
    ("pool.safe_to_notar_repair", "6.5: stake allows SafeToNotar, the block is missing"),
    ("pool.safe_to_notar_parent", "6.5: SafeToNotar waits for the parent's certificate"),
    ("pool.safe_to_skip", "6.5: SafeToSkip"),
    ("producer.abandon", "8.1: the window was finalized past before it began"),
    ("producer.direct", "8.1: a window starts on ParentReady"),
    ("producer.full_slice", "1.5: a slice closes because it is full"),
    ("producer.optimistic", "8.1: a window starts on the previous block before ParentReady"),
    ("producer.switch", "8.2: the parent switch"),
    ("ready.first", "6.4: first ParentReady of a window"),
    ("ready.more", "6.4: a further ParentReady of a window"),
    ("ready.skips", "6.4: ParentReady across skipped slots of an earlier window"),
    ("repair.answer", "9: a repair request is answered"),
    ("repair.bad", "9: a repair answer is refused and its peer backed off"),
    ("repair.block", "9: a repaired block has the hash that was asked for"),
    ("repair.count", "9: a peer proves how many slices a block has"),
    ("repair.nack", "9: a peer does not have it"),
    ("repair.reuse", "9: slices from Rotor are reused"),
    ("repair.root", "9: a peer proves the root of a slice"),
    ("repair.shred", "9: a peer gives a shred of a proved slice"),
    ("repair.start", "9: repair of a block starts"),
    ("repair.store", "9: a block is read back from the store for a peer"),
    ("repair.timeout", "9: an unanswered request goes to another peer"),
    ("restart.reload", "10.4: the vote log is reloaded"),
    ("restart.observer", "10.4: the vote log is lost, so this node does not vote"),
    ("rotor.relay", "3.1: a shred is relayed"),
    ("standstill.fire", "10.1: finality has not advanced"),
    ("standstill.partial", "10.1: the bundle did not fit and goes on next time"),
    ("timeouts.grow", "10.2: a window gets a longer timeout"),
    ("transaction.duplicate", "2.4: a transaction is delivered once"),
    ("transaction.expired", "2.4: a transaction outlived its last slot"),
    ("transaction.forward", "2.4: a transaction goes to the next leaders"),
    ("votor.candidate", "7.2: a block waits for its parent"),
    ("votor.final", "7.2: tryFinal casts F"),
    ("votor.invalid_block", "7.2: trySkipWindow on an invalid block"),
    ("votor.j1", "10.5: timers for the window of a finalized slot"),
    ("votor.j2", "10.5: a finalized parent stands in for the own vote"),
    ("votor.notar", "7.2: tryNotar casts N"),
    ("votor.notar_fallback", "7.2: cast NF"),
    ("votor.skip_fallback", "7.2: cast SF"),
    ("votor.skip_window", "7.2: trySkipWindow casts S"),
    ("votor.timeout", "7.2: a slot's timer ends without a vote"),
    ("votor.timeout_crashed", "7.2: the leader sent nothing at all"),
];

/// The position of `name` in [`RULES`]; evaluated at compile time.
pub const fn index(name: &str) -> usize {
    let mut i = 0;
    while i < RULES.len() {
        if equal(RULES[i].0.as_bytes(), name.as_bytes()) {
            return i;
        }
        i += 1;
    }
    panic!("rule!: this name is not in protocol::rules::RULES")
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(feature = "sim")]
mod counters {
    use super::RULES;
    use std::sync::atomic::{AtomicU64, Ordering};

    static HITS: [AtomicU64; RULES.len()] = [const { AtomicU64::new(0) }; RULES.len()];

    /// Counts one hit of the rule at `index`.
    pub fn hit(index: usize) {
        HITS[index].fetch_add(1, Ordering::Relaxed);
    }

    /// How often each rule was taken by any node of this process, in table order.
    pub fn hits() -> Vec<(&'static str, u64)> {
        RULES.iter().zip(&HITS).map(|((name, _), n)| (*name, n.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(feature = "sim")]
pub use counters::{hit, hits};

/// Marks a branch of the specification. See [`crate::protocol::rules`].
macro_rules! rule {
    ($name:literal) => {{
        const _INDEX: usize = $crate::protocol::rules::index($name);
        #[cfg(feature = "sim")]
        $crate::protocol::rules::hit(_INDEX);
    }};
}
pub(crate) use rule;

#[cfg(test)]
mod tests {
    use super::RULES;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = RULES.iter().map(|r| r.0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
