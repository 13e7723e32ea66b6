//! A rolling hash over everything that happened: the identity of a run.
//!
//! The problem: "the same seed gives the same run" is a promise about millions of events. Comparing
//! logs byte by byte is slow and keeps everything; comparing only the final states misses two runs
//! that differed and met again; and a bare hash says *that* two runs differ, never *where*.
//!
//! Our way: every event (time, node, kind, a few words) goes into a 128-bit SipHash-1-3 with fixed
//! keys, once for the whole run and once for its node. Every N events the state is noted as a
//! checkpoint. Two runs that differ have equal checkpoints up to some index and different ones from
//! there on, so a bisection finds the first window of N events with a difference, and the chains of
//! the nodes tell which node it was.
//!
//! The bytes hashed are fixed for ever: little-endian words, no `usize`, no padding.

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// The hash at one moment of a chain of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Number of events hashed so far.
    pub events: u64,
    /// Virtual time of the last one, in nanoseconds.
    pub at_ns: u64,
    /// The hash over all of them.
    pub hash: u128,
}

/// One chain of events with its checkpoints.
#[derive(Clone, Debug)]
struct Chain {
    hasher: SipHasher13,
    events: u64,
    at_ns: u64,
    /// The event count at which the next checkpoint is due.
    due: u64,
    checkpoints: Vec<Checkpoint>,
}

impl Chain {
    fn new(every: u64) -> Chain {
        Chain {
            // The ASCII bytes of a name: any fixed keys do.
            hasher: SipHasher13::new_with_keys(
                u64::from_le_bytes(*b"finger__"),
                u64::from_le_bytes(*b"print__1"),
            ),
            events: 0,
            at_ns: 0,
            due: every,
            checkpoints: Vec::new(),
        }
    }

    #[inline]
    fn add(&mut self, every: u64, at_ns: u64, head: u64, words: &[u64]) {
        self.hasher.write_u64(at_ns);
        self.hasher.write_u64(head);
        for word in words {
            self.hasher.write_u64(*word);
        }
        self.at_ns = at_ns;
        self.events += 1;
        if self.events == self.due {
            self.due += every;
            self.checkpoints.push(self.now());
        }
    }

    fn now(&self) -> Checkpoint {
        Checkpoint { events: self.events, at_ns: self.at_ns, hash: self.hasher.finish128().into() }
    }
}

/// The rolling hash of a run and of each of its nodes.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    every: u64,
    whole: Chain,
    nodes: Vec<Chain>,
    /// Empty between two events; kept for its capacity.
    words: Vec<u64>,
}

impl Fingerprint {
    /// The fingerprint of a run in which nothing has happened yet, with a checkpoint every `every`
    /// events (of the run, and of each node).
    ///
    /// # Panics
    /// If `every` is 0.
    pub fn new(nodes: usize, every: u64) -> Fingerprint {
        assert!(every > 0, "a checkpoint every 0 events");
        let nodes = vec![Chain::new(every); nodes];
        Fingerprint { every, whole: Chain::new(every), nodes, words: Vec::new() }
    }

    /// Adds an event of `node` at virtual time `at_ns`. `kind` separates sorts of events and is at
    /// most 255; the number of `words` is hashed too.
    ///
    /// # Panics
    /// If there is no such node.
    #[inline]
    pub fn event(&mut self, at_ns: u64, node: usize, kind: u64, words: &[u64]) {
        debug_assert!(kind <= 255, "kinds take eight bits");
        let head = (node as u64) << 32 | (words.len() as u64) << 8 | kind;
        self.whole.add(self.every, at_ns, head, words);
        self.nodes[node].add(self.every, at_ns, head, words);
    }

    /// Adds an event with a body of bytes: its length and the bytes.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn event_bytes(&mut self, at_ns: u64, node: usize, kind: u64, bytes: &[u8]) {
        let mut words = std::mem::take(&mut self.words);
        words.push(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            words.push(u64::from_le_bytes(word));
        }
        self.event(at_ns, node, kind, &words);
        words.clear();
        self.words = words;
    }

    /// Number of events so far.
    pub fn events(&self) -> u64 {
        self.whole.events
    }

    /// The state of the whole run.
    pub fn whole(&self) -> Checkpoint {
        self.whole.now()
    }

    /// The state of one node.
    pub fn node(&self, node: usize) -> Checkpoint {
        self.nodes[node].now()
    }

    /// All checkpoints of the whole run, oldest first.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.whole.checkpoints
    }

    /// All checkpoints of one node, oldest first.
    pub fn node_checkpoints(&self, node: usize) -> &[Checkpoint] {
        &self.nodes[node].checkpoints
    }

    /// The hash of the whole run as 32 hex digits.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.whole().hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(every: u64, words: &[u64]) -> Fingerprint {
        let mut print = Fingerprint::new(2, every);
        for (i, word) in words.iter().enumerate() {
            print.event(i as u64, i % 2, 1, &[*word, 7]);
        }
        print
    }

    #[test]
    fn golden_hash() {
        // Fingerprints are stored in seed files: the bytes hashed must never change.
        let mut print = sample(2, &[1, 2, 3]);
        print.event_bytes(9, 0, 5, b"nine bytes");
        assert_eq!(print.hex(), "f442b33da012513822ae34d425050746");
        assert_eq!(Fingerprint::new(1, 1).hex(), "10ebe32087e85aa6d0337653d16227dd");
    }

    #[test]
    fn every_part_of_an_event_matters() {
        let hash = |at, node, kind, words: &[u64]| {
            let mut print = Fingerprint::new(2, 9);
            print.event(at, node, kind, words);
            print.whole().hash
        };
        let base = hash(1, 0, 1, &[5]);
        for other in [
            hash(2, 0, 1, &[5]),
            hash(1, 1, 1, &[5]),
            hash(1, 0, 2, &[5]),
            hash(1, 0, 1, &[6]),
            hash(1, 0, 1, &[5, 0]),
            hash(1, 0, 1, &[]),
        ] {
            assert_ne!(base, other);
        }
        let bytes = |body: &[u8]| {
            let mut print = Fingerprint::new(1, 9);
            print.event_bytes(0, 0, 0, body);
            print.whole().hash
        };
        assert_ne!(bytes(b"ab"), bytes(b"ab\0"), "the length is hashed");
    }

    #[test]
    fn a_difference_shows_from_its_window_on() {
        let mut words: Vec<u64> = (0..100).collect();
        let one = sample(10, &words);
        words[57] = 0;
        let two = sample(10, &words);
        assert_eq!(one.checkpoints().len(), 10);
        assert_eq!(one.checkpoints()[9], one.whole());
        let equal = |(a, b): (&Checkpoint, &Checkpoint)| a == b;
        let prefix = one.checkpoints().iter().zip(two.checkpoints()).take_while(|p| equal(*p));
        assert_eq!(prefix.count(), 5, "events 50 to 59 hold the difference");
        assert_eq!(one.node(0), two.node(0), "node 0 saw the even events only");
        assert_eq!(one.node_checkpoints(1)[1], two.node_checkpoints(1)[1]);
        assert_ne!(one.node_checkpoints(1)[2], two.node_checkpoints(1)[2]);
        assert_eq!(one.node_checkpoints(1)[2].events, 30);
        assert_eq!(one.node_checkpoints(1)[2].at_ns, 59);
    }
}
