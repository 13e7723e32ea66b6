//! The node's datagrams as the world's packets.

use crate::world::Payload;
use alpenglow_node::host::net::{Datagram, HEADER_BYTES};
use bytes::Bytes;

/// A datagram under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet(pub Datagram);

impl Payload for Packet {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn flip_bit(&self, bit: u64) -> Packet {
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        let mut datagram = self.0.clone();
        if byte < HEADER_BYTES {
            datagram.header[byte] ^= mask;
        } else {
            let mut body = datagram.body.to_vec();
            body[byte - HEADER_BYTES] ^= mask;
            datagram.body = Bytes::from(body);
        }
        Packet(datagram)
    }
}

/// What has to be equal between two equal runs: the tag covers every byte.
pub fn digest(packet: &Packet) -> u64 {
    let tag = &packet.0.header[HEADER_BYTES - 8..];
    u64::from_le_bytes(tag.try_into().expect("8 bytes"))
}
