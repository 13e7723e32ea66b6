//! Two floods against a cluster on loopback, each from one thread of this process.
//!
//! - *Malformed*: noise, a foreign cluster, an unknown sender, a validator's name under a wrong tag,
//!   and too long, in turn, at one node that is not number 1.
//! - *Forged*: votes for slots that matter now, well-formed, from a validator's own address and under
//!   its own datagram key, signed by its own key but on other bytes, so that each costs a pairing to
//!   refuse. The validator does nothing else; the run to compare with is one in which it is silent.

use super::cluster::keys;
use alpenglow_node::crypto::mac::body_digest;
use alpenglow_node::host::net::{Link, VERSION};
use alpenglow_node::protocol::certificate::SignedVote;
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::params::MAX_DATAGRAM_BYTES;
use alpenglow_node::protocol::types::{Hash, NodeId, Slot};
use alpenglow_node::protocol::vote::{Vote, VoteKind};
use alpenglow_node::protocol::wire::{Message, Signed, Unsigned};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A flood under way.
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Duration>,
}

/// Processor time of the calling thread, or of the whole process.
pub fn cpu(of: UsageWho) -> Duration {
    let usage = getrusage(of).expect("the own usage");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}

impl Flood {
    /// Sends what `next` sends, `per_second` times.
    #[expect(clippy::disallowed_methods, reason = "real time passes on real sockets")]
    fn start(per_second: u64, mut next: impl FnMut(u64) + Send + 'static) -> Flood {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), sent.clone());
        let thread = std::thread::spawn(move || {
            let (begun, mut sent) = (Instant::now(), 0);
            while !stopped.load(Relaxed) {
                let due = begun.elapsed().as_micros() as u64 * per_second / 1_000_000;
                (sent..due).for_each(&mut next);
                sent = sent.max(due);
                counted.store(sent, Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
            cpu(UsageWho::RUSAGE_THREAD)
        });
        Flood { stop, sent, thread }
    }

    /// Datagrams sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Ends it; the processor time that the flooding itself took.
    pub fn stop(self) -> Duration {
        self.stop.store(true, Relaxed);
        self.thread.join().expect("the flood does not panic")
    }
}

/// Malformed datagrams at one node that is not number 1.
pub fn malformed(committee: &Committee, victim: SocketAddr, per_second: u64) -> Flood {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(victim).expect("an address");
    let cluster = committee.cluster().0;
    let mut kinds = vec![vec![0xa5; 1_200], vec![VERSION; 1_200], vec![VERSION; 40]];
    let validator = 1_u16.to_le_bytes();
    for (name, length) in
        [([0xff; 2], 1_200), (validator, 1_200), (validator, MAX_DATAGRAM_BYTES + 1)]
    {
        let mut bytes = vec![7; length];
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&cluster[..4]);
        bytes[5..7].copy_from_slice(&name);
        kinds.push(bytes);
    }
    Flood::start(per_second, move |number| {
        let _ = socket.send(&kinds[number as usize % kinds.len()]);
    })
}

/// Forged votes of `liar`, whose address is `from`, at each of `victims`, so many per second each.
/// `head` says near which slot.
pub fn forged(
    committee: &Arc<Committee>,
    (liar, from): (NodeId, SocketAddr),
    victims: Vec<(NodeId, SocketAddr)>,
    per_second: u64,
    mut head: impl FnMut() -> Slot + Send + 'static,
) -> Flood {
    let socket = UdpSocket::bind(from).expect("the liar runs no node");
    let keys = keys(liar.0);
    let mut link = Link::new(committee, liar, keys.datagram(), 1).expect("keys of the genesis");
    let other = Vote::new(Slot(1), VoteKind::Skip);
    let signed = keys.sign(committee, liar, Unsigned::Vote(other)).into_inner();
    let Signed::Vote(SignedVote { signature, .. }) = signed else { unreachable!("a vote") };
    let mut slot = head();
    Flood::start(per_second, move |number| {
        if number.is_multiple_of(100) {
            slot = head();
        }
        let hash = Hash::of("example/forged", &[&number.to_le_bytes()]);
        let vote = Vote::new(slot.plus(number % 8), VoteKind::Notar(hash));
        let signature = signature.clone();
        let body = Message::Vote(SignedVote { vote, signer: liar, signature }).encode();
        let digest = body_digest(&body);
        for (victim, address) in &victims {
            let header = link.seal(*victim, &digest);
            let bytes: Vec<u8> = header.iter().chain(&*body).copied().collect();
            let _ = socket.send_to(&bytes, address);
        }
    })
}
