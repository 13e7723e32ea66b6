//! The validator set of a cluster: stakes, keys, who leads when, who relays what.
//!
//! Everything here is a pure function of the genesis file, so that every node computes the same
//! (K25): the leader of a window and the relays of a slice come from ChaCha20 streams keyed by
//! hashes of public data, integers are drawn by rejection (never by modulo), and each window has
//! a stream of its own, so that any of them can be computed alone.
//!
//! First version (1.3): one static validator set; only the schedule changes with the epoch.

use super::params::{Params, ParamsError};
use super::stake::{StakeError, Stakes};
use super::types::{BlockId, Hash, NodeId, Slot, Stake, Window};
use super::vote::{Vote, VoteKind};
use crate::crypto::{KeyError, Scheme, bls, ed25519, mac};
use borsh::{BorshDeserialize, BorshSerialize};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// One validator as the genesis file states it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Validator {
    /// Its stake, above 0.
    pub stake: Stake,
    /// Verifies its votes.
    pub vote_key: bls::PublicKeyBytes,
    /// Proves that it holds the secret of `vote_key` (rogue keys, 1.7).
    pub possession: bls::Signature,
    /// Verifies the slices that it signs as a leader.
    pub slice_key: ed25519::PublicKeyBytes,
    /// Its end of the pairwise datagram keys.
    pub mac_key: mac::PublicKey,
}

/// What a cluster agrees on before it starts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Genesis {
    /// The cluster id, which every signed byte string and every schedule depends on. Whoever makes
    /// the file sets it to [`Genesis::digest`], so that two clusters never share one; a simulation
    /// may choose it, to keep a schedule while it changes the keys.
    pub cluster: Hash,
    /// Wall-clock time before which nobody starts, in nanoseconds since 1970 (UTC).
    pub start_unix_ns: u64,
    /// Which signatures.
    pub scheme: Scheme,
    /// The figures.
    pub params: Params,
    /// The validators in canonical order.
    pub validators: Vec<Validator>,
}

/// Why a genesis is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GenesisError {
    /// A figure is out of range.
    #[error("params: {0}")]
    Params(#[from] ParamsError),
    /// The stakes are unusable.
    #[error("stakes: {0}")]
    Stakes(#[from] StakeError),
    /// A key does not decode.
    #[error("{key} key of validator {node}: {error}")]
    Key {
        /// Whose.
        node: usize,
        /// Which.
        key: &'static str,
        /// Why.
        error: KeyError,
    },
    /// A proof of possession does not verify.
    #[error("validator {0} does not prove possession of its vote key")]
    Possession(usize),
    /// Two validators share a key.
    #[error("validators {0} and {1} have the same {2} key")]
    SharedKey(usize, usize, &'static str),
}

/// A verified genesis, ready for use.
#[derive(Debug)]
pub struct Committee {
    params: Params,
    stakes: Stakes,
    cluster: Hash,
    start_unix_ns: u64,
    vote_keys: Vec<bls::PublicKey>,
    slice_keys: Vec<ed25519::PublicKey>,
    mac_keys: Vec<mac::PublicKey>,
    by_stake: Vec<NodeId>,
}

impl Committee {
    /// Verifies a genesis: parameters, stakes, every key and every proof of possession.
    pub fn new(genesis: &Genesis) -> Result<Committee, GenesisError> {
        genesis.params.validate()?;
        let validators = &genesis.validators;
        let stakes = Stakes::new(validators.iter().map(|v| v.stake).collect())?;
        distinct(validators, "vote", |v| v.vote_key.0.to_vec())?;
        distinct(validators, "slice", |v| v.slice_key.0.to_vec())?;
        distinct(validators, "datagram", |v| v.mac_key.0.to_vec())?;
        let mut vote_keys = Vec::with_capacity(validators.len());
        let mut slice_keys = Vec::with_capacity(validators.len());
        for (node, validator) in validators.iter().enumerate() {
            let error = |key| move |error| GenesisError::Key { node, key, error };
            let key = bls::PublicKey::decode(genesis.scheme, &validator.vote_key)
                .map_err(error("vote"))?;
            if !key.verify_possession(&validator.possession) {
                return Err(GenesisError::Possession(node));
            }
            vote_keys.push(key);
            let slice_key = ed25519::PublicKey::decode(genesis.scheme, &validator.slice_key)
                .map_err(error("slice"))?;
            slice_keys.push(slice_key);
        }
        let mut by_stake: Vec<NodeId> = (0..validators.len() as u16).map(NodeId).collect();
        by_stake.sort_by_key(|&node| (std::cmp::Reverse(stakes.of(node)), node));
        Ok(Committee {
            params: genesis.params.clone(),
            cluster: genesis.cluster,
            start_unix_ns: genesis.start_unix_ns,
            mac_keys: validators.iter().map(|v| v.mac_key).collect(),
            stakes,
            vote_keys,
            slice_keys,
            by_stake,
        })
    }

    /// The figures.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The stakes.
    pub fn stakes(&self) -> &Stakes {
        &self.stakes
    }

    /// The number of validators.
    #[expect(clippy::len_without_is_empty, reason = "never empty: stakes refuse that")]
    pub fn len(&self) -> usize {
        self.stakes.len()
    }

    /// All validators in canonical order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.stakes.len() as u16).map(NodeId)
    }

    /// All validators by decreasing stake, ties by index.
    pub fn by_stake(&self) -> &[NodeId] {
        &self.by_stake
    }

    /// The cluster id.
    pub fn cluster(&self) -> Hash {
        self.cluster
    }

    /// Wall-clock start of the cluster, nanoseconds since 1970.
    pub fn start_unix_ns(&self) -> u64 {
        self.start_unix_ns
    }

    /// The genesis block: slot 0, final at every node from the start.
    pub fn genesis_block(&self) -> BlockId {
        BlockId::new(Slot::GENESIS, Hash::of("ag/genesis-block", &[&self.cluster.0]))
    }

    /// Verifies votes of `node`; `None` outside the committee.
    pub fn vote_key(&self, node: NodeId) -> Option<&bls::PublicKey> {
        self.vote_keys.get(node.index())
    }

    /// Verifies slices of `node`; `None` outside the committee.
    pub fn slice_key(&self, node: NodeId) -> Option<&ed25519::PublicKey> {
        self.slice_keys.get(node.index())
    }

    /// The datagram key of `node`; `None` outside the committee.
    pub fn mac_key(&self, node: NodeId) -> Option<&mac::PublicKey> {
        self.mac_keys.get(node.index())
    }

    /// The epoch of a slot.
    pub fn epoch(&self, slot: Slot) -> u64 {
        slot.0 / self.params.epoch_slots
    }

    fn randomness(&self, epoch: u64) -> Hash {
        Hash::of("ag/epoch", &[&self.cluster.0, &epoch.to_le_bytes()])
    }

    /// The leader of a window: drawn by stake from the window's own stream (1.4).
    pub fn leader(&self, window: Window) -> NodeId {
        let epoch = self.epoch(window.first());
        let key = Hash::of(
            "ag/leader",
            &[
                &self.cluster.0,
                &epoch.to_le_bytes(),
                &self.randomness(epoch).0,
                &window.0.to_le_bytes(),
            ],
        );
        self.draw(&mut ChaCha20Rng::from_seed(key.0), None).expect("the total stake is not 0")
    }

    /// Draws a member by stake, other than `except`; `None` if there is no other.
    pub fn draw(&self, rng: &mut ChaCha20Rng, except: Option<NodeId>) -> Option<NodeId> {
        let total = self.stakes.total() - except.map_or(0, |node| self.stakes.of(node));
        if total == 0 {
            return None;
        }
        let mut draw = uniform(rng, total);
        for node in self.nodes().filter(|&node| Some(node) != except) {
            let stake = self.stakes.of(node);
            if draw < stake {
                return Some(node);
            }
            draw -= stake;
        }
        unreachable!("the draw is below the stake of all that were asked")
    }

    /// The stream that orders and places the relays of one slice (3.2).
    pub fn relay_stream(&self, slot: Slot, slice: u8) -> ChaCha20Rng {
        let key = Hash::of(
            "ag/rotor",
            &[
                &self.cluster.0,
                &self.randomness(self.epoch(slot)).0,
                &slot.0.to_le_bytes(),
                &[slice],
            ],
        );
        ChaCha20Rng::from_seed(key.0)
    }

    /// The bytes that a vote signature covers: tag, cluster, kind, slot and, if any, block hash.
    pub fn vote_bytes(&self, vote: &Vote) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(b"ag/vote/");
        bytes.extend_from_slice(&self.cluster.0);
        let (kind, hash) = match vote.kind {
            VoteKind::Notar(hash) => (0, Some(hash)),
            VoteKind::Skip => (1, None),
            VoteKind::NotarFallback(hash) => (2, Some(hash)),
            VoteKind::SkipFallback => (3, None),
            VoteKind::Final => (4, None),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&vote.slot.0.to_le_bytes());
        if let Some(hash) = hash {
            bytes.extend_from_slice(&hash.0);
        }
        bytes
    }
}

impl Genesis {
    /// The hash of everything in this file except the cluster id itself.
    pub fn digest(&self) -> Hash {
        let content = Genesis { cluster: Hash::default(), ..self.clone() };
        let bytes = borsh::to_vec(&content).expect("writing to memory does not fail");
        Hash::of("ag/genesis", &[&bytes])
    }
}

fn distinct(
    validators: &[Validator],
    name: &'static str,
    key: impl Fn(&Validator) -> Vec<u8>,
) -> Result<(), GenesisError> {
    let mut seen = std::collections::BTreeMap::new();
    for (node, validator) in validators.iter().enumerate() {
        if let Some(first) = seen.insert(key(validator), node) {
            return Err(GenesisError::SharedKey(first, node, name));
        }
    }
    Ok(())
}

/// A uniform integer in `[0, bound)` by rejection sampling. `bound` is above 0.
pub fn uniform(rng: &mut ChaCha20Rng, bound: u64) -> u64 {
    assert!(bound > 0, "a draw from nothing");
    let excess = (u64::MAX % bound + 1) % bound; // 2^64 mod bound
    loop {
        let draw = rng.next_u64();
        if draw <= u64::MAX - excess {
            return draw % bound;
        }
    }
}

#[cfg(test)]
pub mod tests;
