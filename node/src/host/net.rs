//! Datagrams: who sent this, and have we seen it before? (protocol 1.2)
//!
//! ```text
//! version 1 | cluster 4 | sender 2 | counter 8 | tag 16 | body
//! ```
//!
//! The tag is keyed by a secret that only the two ends share, and covers the header and a digest
//! of the body, so that a broadcast digests its body once. The sender of a datagram is what the
//! tag proves, never the address it came from.
//!
//! The counter starts at `boot << 32`, where the boot number grows with every start of the sender
//! and at least with its wall clock. So a restarted node never repeats a counter, and a window of
//! the last 4,096 counters per sender is all a receiver needs to drop replays.
//!
//! What a datagram meets on its way in, each step cheaper than the next: its size and cluster, the
//! tag, the replay window (here), what its sender may say per second ([`limits`]), its sender's own
//! queue ([`inbox`]). Only then it is decoded. Each step counts what it drops ([`counters`]).

use crate::crypto::KeyError;
use crate::crypto::mac::{self, DIGEST_BYTES, MacKey, TAG_BYTES};
use crate::protocol::committee::Committee;
use crate::protocol::params::MAX_DATAGRAM_BYTES;
use crate::protocol::types::NodeId;
use crate::protocol::wire::DATAGRAM_OVERHEAD;
use bytes::Bytes;

/// Version of the datagram format.
pub const VERSION: u8 = 1;
/// Counters that a receiver remembers per sender.
pub const REPLAY_WINDOW: u64 = 4_096;

pub mod counters;
pub mod inbox;
pub mod limits;

const AUTHENTICATED: usize = HEADER_BYTES - TAG_BYTES;
/// Bytes before the body.
pub const HEADER_BYTES: usize = DATAGRAM_OVERHEAD;
const _: () = assert!(AUTHENTICATED == 1 + 4 + 2 + 8);

/// A datagram. The body is shared between the receivers of a broadcast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// Version, cluster, sender, counter and tag.
    pub header: [u8; HEADER_BYTES],
    /// The encoded message.
    pub body: Bytes,
}

/// Why a datagram is dropped before its body is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Refused {
    /// Shorter than a header or longer than the largest datagram.
    #[error("wrong size")]
    Size,
    /// Another version or another cluster.
    #[error("foreign")]
    Foreign,
    /// No member of the committee, or this node itself.
    #[error("unknown sender")]
    Sender,
    /// The tag is wrong.
    #[error("wrong tag")]
    Tag,
    /// Seen before, or too old to tell.
    #[error("replay")]
    Replay,
}

impl Datagram {
    /// Splits received bytes.
    pub fn from_bytes(bytes: Bytes) -> Result<Datagram, Refused> {
        if bytes.len() < HEADER_BYTES || bytes.len() > MAX_DATAGRAM_BYTES {
            return Err(Refused::Size);
        }
        let header = bytes[..HEADER_BYTES].try_into().expect("the length is checked");
        Ok(Datagram { header, body: bytes.slice(HEADER_BYTES..) })
    }

    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// True without a body.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

/// The counters of one sender that were seen: the highest, and a bitmap of the window below it.
#[derive(Clone, Debug)]
struct Window {
    highest: u64,
    seen: [u64; (REPLAY_WINDOW / 64) as usize],
}

impl Window {
    fn new() -> Window {
        Window { highest: 0, seen: [0; (REPLAY_WINDOW / 64) as usize] }
    }

    /// True if `counter` is new; it is then remembered.
    fn accept(&mut self, counter: u64) -> bool {
        if counter > self.highest {
            let ahead = counter - self.highest;
            if ahead >= REPLAY_WINDOW {
                self.seen.fill(0);
            } else {
                (self.highest + 1..=counter).for_each(|c| self.set(c, false));
            }
            self.highest = counter;
        } else if self.highest - counter >= REPLAY_WINDOW || self.get(counter) {
            return false;
        }
        self.set(counter, true);
        true
    }

    fn get(&self, counter: u64) -> bool {
        let at = counter % REPLAY_WINDOW;
        self.seen[(at / 64) as usize] >> (at % 64) & 1 == 1
    }

    fn set(&mut self, counter: u64, value: bool) {
        let at = counter % REPLAY_WINDOW;
        let word = &mut self.seen[(at / 64) as usize];
        *word = *word & !(1 << (at % 64)) | u64::from(value) << (at % 64);
    }
}

/// Seals what one node sends.
#[derive(Debug)]
struct Sealer {
    me: NodeId,
    cluster: [u8; 4],
    keys: Vec<Option<MacKey>>,
    counters: Vec<u64>,
}

/// Opens what one node receives.
#[derive(Debug)]
pub struct Opener {
    cluster: [u8; 4],
    keys: Vec<Option<MacKey>>,
    windows: Vec<Window>,
}

/// Seals and opens the datagrams of one node.
#[derive(Debug)]
pub struct Link {
    sealer: Sealer,
    opener: Option<Opener>,
}

impl Link {
    /// Derives the pairwise keys. `boot` must be above that of every earlier incarnation.
    pub fn new(
        committee: &Committee,
        me: NodeId,
        secret: &mac::SecretKey,
        boot: u32,
    ) -> Result<Link, KeyError> {
        let id = committee.cluster().0;
        let cluster = id[..4].try_into().expect("4 of 32 bytes");
        let key = |node: NodeId| {
            let public = committee.mac_key(node).expect("a member has a key");
            (node != me).then(|| secret.shared(public, &id)).transpose()
        };
        let keys: Vec<_> = committee.nodes().map(key).collect::<Result<_, _>>()?;
        let counters = vec![u64::from(boot) << 32; committee.len()];
        let windows = vec![Window::new(); committee.len()];
        let opener = Opener { cluster, keys: keys.clone(), windows };
        Ok(Link { sealer: Sealer { me, cluster, keys, counters }, opener: Some(opener) })
    }

    /// Takes the receiving half away, for whoever reads the socket.
    ///
    /// # Panics
    /// The second time: there is one memory of what was seen.
    pub fn detach_opener(&mut self) -> Opener {
        self.opener.take().expect("it is detached once")
    }

    /// The header for one receiver of a body with this digest.
    pub fn seal(&mut self, to: NodeId, digest: &[u8; DIGEST_BYTES]) -> [u8; HEADER_BYTES] {
        let sealer = &mut self.sealer;
        let counter = &mut sealer.counters[to.index()];
        *counter += 1;
        let mut header = [0; HEADER_BYTES];
        header[0] = VERSION;
        header[1..5].copy_from_slice(&sealer.cluster);
        header[5..7].copy_from_slice(&sealer.me.0.to_le_bytes());
        header[7..15].copy_from_slice(&counter.to_le_bytes());
        let key = sealer.keys[to.index()].as_ref().expect("nobody sends to itself");
        let tag = key.tag(&header[..AUTHENTICATED], digest);
        header[AUTHENTICATED..].copy_from_slice(&tag);
        header
    }

    /// Who sent this, if it is authentic and new.
    ///
    /// # Panics
    /// If the opener was detached.
    pub fn open(&mut self, datagram: &Datagram) -> Result<NodeId, Refused> {
        let opener = self.opener.as_mut().expect("whoever detached it opens");
        opener.open(&datagram.header, &datagram.body)
    }
}

impl Opener {
    /// Who sent these bytes, if they are authentic and new, and what follows the header. Nothing
    /// is copied: most of a flood ends here.
    pub fn open_bytes<'a>(&mut self, bytes: &'a [u8]) -> Result<(NodeId, &'a [u8]), Refused> {
        let (header, body) = bytes.split_first_chunk().ok_or(Refused::Size)?;
        Ok((self.open(header, body)?, body))
    }

    /// Cheapest check first; the digest of the body comes last.
    fn open(&mut self, header: &[u8; HEADER_BYTES], body: &[u8]) -> Result<NodeId, Refused> {
        if HEADER_BYTES + body.len() > MAX_DATAGRAM_BYTES {
            return Err(Refused::Size);
        }
        if header[0] != VERSION || header[1..5] != self.cluster {
            return Err(Refused::Foreign);
        }
        let sender = NodeId(u16::from_le_bytes([header[5], header[6]]));
        let key = self.keys.get(sender.index()).and_then(Option::as_ref).ok_or(Refused::Sender)?;
        let tag = header[AUTHENTICATED..].try_into().expect("the header has a fixed length");
        let digest = mac::body_digest(body);
        if !key.check(&header[..AUTHENTICATED], &digest, &tag) {
            return Err(Refused::Tag);
        }
        let counter = u64::from_le_bytes(header[7..15].try_into().expect("8 bytes"));
        if !self.windows[sender.index()].accept(counter) {
            return Err(Refused::Replay);
        }
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::committee::tests::{committee, secrets};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn pair() -> (Link, Link) {
        let committee = committee(&[1, 1, 1]);
        let link = |i| Link::new(&committee, NodeId(i), &secrets(i).2, 7).unwrap();
        (link(0), link(1))
    }

    #[test]
    fn bytes_open_like_datagrams() {
        let (mut a, mut b) = pair();
        let sent = datagram(&mut a, 1, b"hello");
        let bytes: Vec<u8> = sent.header.iter().chain(&*sent.body).copied().collect();
        let mut opener = b.detach_opener();
        assert_eq!(opener.open_bytes(&bytes[..HEADER_BYTES - 1]), Err(Refused::Size));
        assert_eq!(opener.open_bytes(&[1; MAX_DATAGRAM_BYTES + 1]), Err(Refused::Size));
        assert_eq!(opener.open_bytes(&bytes), Ok((NodeId(0), &b"hello"[..])));
        assert_eq!(opener.open_bytes(&bytes), Err(Refused::Replay));
    }

    fn datagram(link: &mut Link, to: u16, body: &'static [u8]) -> Datagram {
        let header = link.seal(NodeId(to), &mac::body_digest(body));
        Datagram { header, body: Bytes::from_static(body) }
    }

    #[test]
    fn what_is_sealed_opens_once_and_names_its_sender() {
        let (mut a, mut b) = pair();
        let sent = datagram(&mut a, 1, b"hello");
        assert_eq!(b.open(&sent), Ok(NodeId(0)));
        assert_eq!(b.open(&sent), Err(Refused::Replay));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let (mut a, mut b) = pair();
        let sent = datagram(&mut a, 1, b"hello");
        for bit in 0..(sent.len() * 8) {
            let mut bytes: Vec<u8> = sent.header.iter().chain(&*sent.body).copied().collect();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let changed = Datagram::from_bytes(bytes.into()).unwrap();
            assert!(b.open(&changed).is_err(), "bit {bit}");
        }
        assert!(b.open(&sent).is_ok(), "none of them was remembered");
    }

    #[test]
    fn foreign_senders_receivers_and_sizes_are_refused() {
        let (mut a, mut b) = pair();
        let for_another = datagram(&mut a, 2, b"hello");
        assert_eq!(b.open(&for_another), Err(Refused::Tag));
        let mut unknown = datagram(&mut a, 1, b"hello");
        unknown.header[5] = 9;
        assert_eq!(b.open(&unknown), Err(Refused::Sender));
        let reflected = datagram(&mut b, 0, b"hello");
        assert_eq!(b.open(&reflected), Err(Refused::Sender), "one's own datagram");
        assert_eq!(Datagram::from_bytes(Bytes::from_static(&[1; 30])), Err(Refused::Size));
        let long = Bytes::from(vec![1; MAX_DATAGRAM_BYTES + 1]);
        assert_eq!(Datagram::from_bytes(long), Err(Refused::Size));
    }

    #[test]
    fn a_restart_with_a_higher_boot_number_is_heard_at_once() {
        let (mut a, mut b) = pair();
        for _ in 0..5_000 {
            let sent = datagram(&mut a, 1, b"x");
            assert!(b.open(&sent).is_ok());
        }
        let committee = committee(&[1, 1, 1]);
        let mut again = Link::new(&committee, NodeId(0), &secrets(0).2, 8).unwrap();
        assert_eq!(b.open(&datagram(&mut again, 1, b"x")), Ok(NodeId(0)));
        assert_eq!(b.open(&datagram(&mut a, 1, b"x")), Err(Refused::Replay), "the old life");
    }

    proptest! {
        /// The window accepts each counter once, whatever the order, while it is within reach.
        #[test]
        fn each_counter_is_accepted_once(jumps in proptest::collection::vec(-5_000i64..5_000, 1..300)) {
            let mut window = Window::new();
            let mut seen = BTreeSet::new();
            let (mut at, mut highest) = (1_000_000i64, 0u64);
            for jump in jumps {
                at += jump;
                let counter = at as u64;
                let fresh = highest.saturating_sub(counter) < REPLAY_WINDOW && seen.insert(counter);
                highest = highest.max(counter);
                prop_assert_eq!(window.accept(counter), fresh);
            }
        }
    }
}
