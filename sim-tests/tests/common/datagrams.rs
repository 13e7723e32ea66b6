//! Small worlds for the tests of the world, and datagrams of bytes.

use bytes::Bytes;
use sim_tests::world::disk::DiskConfig;
use sim_tests::world::network::{Latency, Network};
use sim_tests::world::{ClockConfig, Config, Payload};

/// One millisecond in nanoseconds.
pub const MS: u64 = 1_000_000;

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram(pub Bytes);

impl From<&str> for Datagram {
    fn from(text: &str) -> Datagram {
        Datagram(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl Payload for Datagram {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn flip_bit(&self, bit: u64) -> Datagram {
        let mut bytes = self.0.to_vec();
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        Datagram(bytes.into())
    }
}

/// A calm world in which every packet takes exactly ten milliseconds.
pub fn calm(nodes: usize, seed: u64) -> Config {
    Config {
        seed,
        nodes,
        network: Network::uniform(nodes, Latency::with_jitter(10 * MS, 0)),
        disk: DiskConfig::default(),
        clocks: vec![ClockConfig::default(); nodes],
    }
}
