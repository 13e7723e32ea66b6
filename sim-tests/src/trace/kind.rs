//! The kinds of observations that records and traces tell apart: one table, so that the page, the
//! Chrome trace and the short text trace use the same words for the same thing.
//!
//! A new kind is one row of `kinds!`; everything else follows from it.

/// How much room a kind may take. The order is that of importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Rare and telling: power, trouble.
    Landmark,
    /// What nodes decide: votes, blocks, finality.
    Decision,
    /// How they get there: certificates, timers, delivery.
    Step,
    /// Single votes that arrive, input that is dropped.
    Receipt,
}

impl Detail {
    /// All, in order.
    pub const ALL: [Detail; 4] =
        [Detail::Landmark, Detail::Decision, Detail::Step, Detail::Receipt];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Detail::Landmark => "power and trouble",
            Detail::Decision => "votes, blocks, finality",
            Detail::Step => "certificates, timers, delivery",
            Detail::Receipt => "received votes, dropped input",
        }
    }
}

/// What kinds are filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What leaders make and nodes store.
    Blocks,
    /// Own votes.
    Votes,
    /// Certificates.
    Certificates,
    /// Final, skipped, delivered.
    Finality,
    /// Timers and the conditions that permit votes.
    Timers,
    /// Fetching what was missed.
    Repair,
    /// Power and process.
    Power,
    /// What should not happen among honest nodes on a good network.
    Trouble,
    /// Votes of others.
    Received,
}

impl Group {
    /// All, in the order in which they are shown.
    pub const ALL: [Group; 9] = [
        Group::Blocks,
        Group::Votes,
        Group::Certificates,
        Group::Finality,
        Group::Timers,
        Group::Repair,
        Group::Power,
        Group::Trouble,
        Group::Received,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Group::Blocks => "blocks",
            Group::Votes => "votes",
            Group::Certificates => "certificates",
            Group::Finality => "finality",
            Group::Timers => "timers",
            Group::Repair => "repair",
            Group::Power => "power",
            Group::Trouble => "trouble",
            Group::Received => "received",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $short:literal, $long:literal, $group:ident, $detail:ident;)*) => {
        /// What was observed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $long] $kind,)* }

        impl Kind {
            /// All, in the order of their numbers.
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            /// A word or two, for traces.
            pub fn short(self) -> &'static str {
                match self { $(Kind::$kind => $short,)* }
            }

            /// For people who meet it for the first time.
            pub fn long(self) -> &'static str {
                match self { $(Kind::$kind => $long,)* }
            }

            /// What it is filtered by.
            pub fn group(self) -> Group {
                match self { $(Kind::$kind => Group::$group,)* }
            }

            /// How much room it may take.
            pub fn detail(self) -> Detail {
                match self { $(Kind::$kind => Detail::$detail,)* }
            }
        }
    };
}

kinds! {
    Production, "produce", "begins to produce a block", Blocks, Decision;
    ParentSwitched, "switch parent", "goes on with another parent", Blocks, Decision;
    BlockSent, "sent", "the whole block is with the network", Blocks, Decision;
    SlotSeen, "seen", "first piece of the slot's block", Blocks, Step;
    BlockStored, "stored", "block complete", Blocks, Decision;
    BlockRepaired, "repaired", "block complete, through repair", Blocks, Decision;
    BlockReloaded, "reloaded", "block back from the own disk", Blocks, Step;
    VoteNotar, "N", "votes to notarize", Votes, Decision;
    VoteSkip, "S", "votes to skip", Votes, Decision;
    VoteNotarFallback, "NF", "votes to notarize as a fallback", Votes, Decision;
    VoteSkipFallback, "SF", "votes to skip as a fallback", Votes, Decision;
    VoteFinal, "F", "votes to finalize", Votes, Decision;
    CertNotar, "[NO]", "notarization certificate", Certificates, Step;
    CertNotarFallback, "[NF]", "notar-fallback certificate", Certificates, Step;
    CertSkip, "[SK]", "skip certificate", Certificates, Step;
    CertFastFinal, "[FF]", "fast-finalization certificate", Certificates, Step;
    CertFinal, "[FI]", "finalization certificate", Certificates, Step;
    FinalFast, "final fast", "final in one round", Finality, Decision;
    FinalSlow, "final slow", "final in two rounds", Finality, Decision;
    FinalIndirect, "final indirect", "final as an ancestor", Finality, Decision;
    Skipped, "skipped", "skipped by finality", Finality, Step;
    Delivered, "delivered", "delivered in chain order", Finality, Step;
    ParentReady, "ready", "the window may be built on a parent", Timers, Step;
    TimersSet, "timers", "timers of the window are set", Timers, Step;
    Timeout, "timeout", "the slot's timeout fired", Timers, Step;
    TimeoutCrashed, "timeout crashed", "timeout of a silent leader fired", Timers, Step;
    SafeToNotar, "safe to notar", "safe to notarize as a fallback", Timers, Decision;
    SafeToSkip, "safe to skip", "safe to skip as a fallback", Timers, Decision;
    RepairStarted, "fetch", "fetches a block from peers", Repair, Step;
    RepairEnded, "fetched", "the fetch ended", Repair, Step;
    CatchUp, "catch up", "is behind and asks for proofs", Repair, Step;
    Start, "START", "starts", Power, Landmark;
    Crash, "CRASH", "loses its power", Power, Landmark;
    Pause, "PAUSE", "stands still", Power, Landmark;
    Resume, "RESUME", "goes on", Power, Landmark;
    Reloaded, "reload", "reads its vote log", Power, Landmark;
    Voting, "voting", "takes part", Power, Landmark;
    Observing, "observing", "follows without voting", Power, Landmark;
    Standstill, "standstill", "no progress: says everything again", Trouble, Landmark;
    BlockInvalid, "invalid", "the leader's block is invalid", Trouble, Landmark;
    Equivocation, "equivocation", "the leader contradicts itself", Trouble, Landmark;
    Offence, "offence", "a validator provably misbehaved", Trouble, Landmark;
    Contradiction, "contradiction", "certificates contradict each other", Trouble, Landmark;
    GotNotar, "got N", "received a vote to notarize", Received, Receipt;
    GotSkip, "got S", "received a vote to skip", Received, Receipt;
    GotNotarFallback, "got NF", "received a notar-fallback vote", Received, Receipt;
    GotSkipFallback, "got SF", "received a skip-fallback vote", Received, Receipt;
    GotFinal, "got F", "received a vote to finalize", Received, Receipt;
    Rejected, "rejected", "input dropped", Received, Receipt;
}

impl Kind {
    /// An own vote.
    pub fn is_vote(self) -> bool {
        self.group() == Group::Votes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_tell_kinds_apart() {
        let names: std::collections::BTreeSet<&str> =
            Kind::ALL.iter().map(|kind| kind.short()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, i, "numbers are positions");
        }
    }
}
