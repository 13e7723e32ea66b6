//! Authentic messages that wait for the node: a bounded queue per peer, emptied in turn.
//!
//! One queue for all would belong to whoever sends most. Here each peer has its own place, the
//! node takes one message of each peer that has any, round after round, and a peer that sends more
//! than the node can take loses its own messages and nobody else's.

use crate::protocol::types::NodeId;
use std::collections::VecDeque;

/// Messages of one peer at most. A leader's burst of one slot to a single relay is within it.
pub const PER_PEER: usize = 4_096;
/// Messages of all peers together. Beyond it each peer still has its equal share of as many again.
pub const TOTAL: usize = 16_384;

/// The queues of all peers.
#[derive(Debug)]
pub struct Inbox<T> {
    queues: Vec<VecDeque<T>>,
    /// Peers with something in their queue, each once.
    ready: VecDeque<NodeId>,
    len: usize,
    share: usize,
}

impl<T> Inbox<T> {
    /// For a committee of `n`.
    pub fn new(n: usize) -> Inbox<T> {
        let share = (TOTAL / n.max(1)).clamp(1, PER_PEER);
        let queues = std::iter::repeat_with(VecDeque::new).take(n).collect();
        Inbox { queues, ready: VecDeque::new(), len: 0, share }
    }

    /// Adds a message of `peer`, a member; false if it must be dropped.
    pub fn push(&mut self, peer: NodeId, item: T) -> bool {
        let queue = &mut self.queues[peer.index()];
        let cap = if self.len < TOTAL { PER_PEER } else { self.share };
        if queue.len() >= cap {
            return false;
        }
        if queue.is_empty() {
            self.ready.push_back(peer);
        }
        queue.push_back(item);
        self.len += 1;
        true
    }

    /// The next message of the peer whose turn it is.
    pub fn pop(&mut self) -> Option<(NodeId, T)> {
        let peer = self.ready.pop_front()?;
        let queue = &mut self.queues[peer.index()];
        let item = queue.pop_front().expect("a ready peer has a message");
        if !queue.is_empty() {
            self.ready.push_back(peer);
        }
        self.len -= 1;
        Some((peer, item))
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_peer_costs_another_nothing() {
        let mut inbox = Inbox::new(3);
        let taken = (0..100_000).filter(|i| inbox.push(NodeId(0), *i)).count();
        assert_eq!(taken, PER_PEER);
        assert!(inbox.push(NodeId(1), 7));
        let first: Vec<_> = (0..4).filter_map(|_| inbox.pop()).collect();
        assert_eq!(first, [(NodeId(0), 0), (NodeId(1), 7), (NodeId(0), 1), (NodeId(0), 2)]);
    }

    #[test]
    fn many_floods_together_leave_every_peer_its_share() {
        let n = 2_000;
        let mut inbox = Inbox::new(n);
        for peer in 0..1_000 {
            for i in 0..PER_PEER {
                inbox.push(NodeId(peer), i);
            }
        }
        assert!(inbox.len() <= 2 * TOTAL);
        for peer in 1_000..2_000 {
            for i in 0..TOTAL / n {
                assert!(inbox.push(NodeId(peer), i), "peer {peer} has its share");
            }
        }
        assert!(inbox.len() <= 2 * TOTAL);
        let popped = std::iter::from_fn(|| inbox.pop()).count();
        assert!(popped > TOTAL && inbox.is_empty() && inbox.ready.is_empty());
    }
}
