//! The vote logs of all lives of a node, read after each of its deaths.
//!
//! A node that contradicts its own log is byzantine, and one fifth of those is the end of safety.
//! Votes below the delivered tip are dropped from the log, so the logs of all deaths are put
//! together before they are judged.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type Vote = (String, Option<String>);

/// Everything that a node is known to have voted.
#[derive(Default)]
pub struct VoteMemory {
    votes: BTreeMap<u64, BTreeSet<Vote>>,
    produced: u64,
    height: u64,
    logs: usize,
}

impl VoteMemory {
    /// Takes the log of one death.
    pub fn read(&mut self, node: usize, store: &Value) {
        assert_eq!(store["intact"], true, "node {node}: {}", store["log_fault"]);
        let height = store["height"].as_u64().unwrap();
        assert!(height >= self.height, "node {node} went back from {} to {height}", self.height);
        let mut now: BTreeMap<u64, BTreeSet<Vote>> = BTreeMap::new();
        for vote in store["votes"].as_array().unwrap() {
            let kind = vote["kind"].as_str().unwrap().to_owned();
            let hash = vote["hash"].as_str().map(str::to_owned);
            now.entry(vote["slot"].as_u64().unwrap()).or_default().insert((kind, hash));
        }
        for (slot, votes) in self.votes.range(height + 1..) {
            let kept = now.get(slot).is_some_and(|now| now.is_superset(votes));
            assert!(kept, "node {node} forgot votes in slot {slot}: {votes:?} -> {now:?}");
        }
        let produced = store["produced"].as_u64().unwrap_or(0);
        assert!(produced >= self.produced, "node {node} forgot what it produced");
        for (slot, votes) in now {
            self.votes.entry(slot).or_default().extend(votes);
        }
        (self.height, self.produced) = (height, produced);
        self.logs += 1;
        self.judge(node);
    }

    /// No pair of votes that an honest validator does not cast (protocol 5.1).
    fn judge(&self, node: usize) {
        for (slot, votes) in &self.votes {
            let count = |kind: &str| votes.iter().filter(|(k, _)| k == kind).count();
            let (notar, skip, last) = (count("notar"), count("skip"), count("final"));
            let (nf, sf) = (count("notar-fallback"), count("skip-fallback"));
            let honest = notar + skip <= 1
                && nf <= 3
                && (last == 0 || (notar == 1 && skip + nf + sf == 0))
                && (nf + sf == 0 || notar + skip == 1);
            assert!(honest, "node {node} contradicts itself in slot {slot}: {votes:?}");
        }
    }

    /// Logs and slots that were judged.
    pub fn size(&self) -> (usize, usize) {
        (self.logs, self.votes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn store(height: u64, votes: &[(u64, &str, Option<&str>)]) -> Value {
        let vote = |(slot, kind, hash): &(u64, &str, Option<&str>)| json!({ "slot": slot, "kind": kind, "hash": hash });
        let votes: Vec<_> = votes.iter().map(vote).collect();
        json!({ "intact": true, "height": height, "produced": null, "votes": votes })
    }

    fn judged(lives: &[Value]) -> bool {
        std::panic::catch_unwind(|| {
            let mut memory = VoteMemory::default();
            lives.iter().for_each(|life| memory.read(0, life));
        })
        .is_ok()
    }

    #[test]
    fn it_notices_what_it_is_there_for() {
        let (a, b) = (Some("aa"), Some("bb"));
        let good = [store(1, &[(2, "notar", a)]), store(1, &[(2, "notar", a), (2, "final", None)])];
        assert!(judged(&good));
        assert!(judged(&[store(1, &[(2, "notar", a)]), store(2, &[])]), "dropped below the tip");
        let bad = [
            [store(1, &[(2, "notar", a)]), store(1, &[])],
            [store(1, &[(2, "notar", a)]), store(2, &[(2, "notar", b)])],
            [store(1, &[(2, "notar", a)]), store(2, &[(2, "skip", None)])],
            [store(1, &[(2, "skip", None)]), store(2, &[(2, "final", None)])],
            [store(2, &[]), store(1, &[])],
        ];
        for lives in bad {
            assert!(!judged(&lives), "{lives:?}");
        }
    }
}
