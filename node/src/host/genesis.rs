//! The genesis file: what all nodes of a cluster hold alike, as people read and review it.
//!
//! The cluster id is the hash of everything that consensus depends on: start, figures, stakes,
//! keys. Addresses are not in it, so a node can move without a new cluster; nothing trusts an
//! address. A file whose id is not the hash of its content is refused, so a typing error in a
//! stake is noticed here and not as a fork.

use super::units::{Hex, Span};
use crate::crypto::{Hash, Scheme, bls, ed25519, mac};
use crate::protocol::committee::{Committee, Genesis, GenesisError, Validator};
use crate::protocol::params::{Params, ParamsError};
use crate::protocol::types::Stake;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GenesisFile {
    /// The cluster id: hash of start, figures, stakes and keys.
    pub cluster: Hex<32>,
    /// Nobody starts before this time (UTC).
    pub start: String,
    /// The figures. What is left out has its default.
    #[serde(default)]
    pub params: Figures,
    /// The validators in canonical order.
    #[serde(rename = "validator")]
    pub validators: Vec<Member>,
}

/// Genesis parameters with units; protocol 1.5, row "Ours". Thresholds are not among them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Figures {
    /// Assumed bound of a message delay.
    pub delta: Span,
    /// Time a leader has for one block.
    pub block_time: Span,
    /// Time until a missing block is skipped; above three times delta.
    pub timeout: Span,
    /// Time a leader has for its first slice.
    pub first_slice: Span,
    /// Silence of finality after which everything undecided is sent again.
    pub standstill: Span,
    /// How often that is looked at.
    pub standstill_poll: Span,
    /// Growth of the timeout per window during a standstill, in thousandths.
    pub timeout_growth_permille: u32,
    /// Upper end of the grown timeout.
    pub timeout_cap: Span,
    /// A slice that is not full closes after this time.
    pub slice_interval: Span,
    /// Slices in a block at most.
    pub max_slices: u8,
    /// Slots per epoch.
    pub epoch_slots: u64,
}

/// One validator.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Member {
    /// Its stake. Absent in what a validator gives away before the genesis file is made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stake: Stake,
    /// Where it listens (UDP).
    pub address: SocketAddr,
    /// BLS key that verifies its votes.
    pub vote_key: Hex<96>,
    /// Proof that it holds the secret of its vote key.
    pub possession: Hex<48>,
    /// Ed25519 key that verifies its slices.
    pub slice_key: Hex<32>,
    /// X25519 key of its datagrams.
    pub datagram_key: Hex<32>,
}

fn is_zero(stake: &Stake) -> bool {
    *stake == 0
}

/// Why a genesis file is refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisFileError {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not what the file should be.
    #[error("{}: {}", path.display(), error.to_string().trim_end())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// The start time is not one.
    #[error("start `{0}` is no time such as \"2026-01-31T12:00:00Z\"")]
    Start(String),
    /// A figure is out of range.
    #[error("{0}")]
    Figure(String),
    /// The id does not fit the content.
    #[error(
        "the cluster id is {stated}, but the content hashes to {actual}: the file was changed after \
         it was made, or is damaged"
    )]
    Id {
        /// In the file.
        stated: Hash,
        /// Of the content.
        actual: Hash,
    },
    /// The content is not a valid genesis.
    #[error(transparent)]
    Content(#[from] GenesisError),
}

impl Default for Figures {
    fn default() -> Figures {
        Figures::from(&Params::default())
    }
}

impl From<&Params> for Figures {
    fn from(params: &Params) -> Figures {
        Figures {
            delta: Span::from_nanos(params.delta_ns),
            block_time: Span::from_nanos(params.delta_block_ns),
            timeout: Span::from_nanos(params.delta_timeout_ns),
            first_slice: Span::from_nanos(params.delta_first_ns),
            standstill: Span::from_nanos(params.standstill_ns),
            standstill_poll: Span::from_nanos(params.standstill_poll_ns),
            timeout_growth_permille: params.timeout_growth_permille,
            timeout_cap: Span::from_nanos(params.timeout_cap_ns),
            slice_interval: Span::from_nanos(params.slice_interval_ns),
            max_slices: params.max_slices,
            epoch_slots: params.epoch_slots,
        }
    }
}

/// What is wrong with a figure, in the words of the file.
fn told(error: &ParamsError) -> String {
    let name = |field: &'static str| match field {
        "delta_ns" => "delta",
        "delta_block_ns" => "block-time",
        "delta_timeout_ns" => "timeout",
        "delta_first_ns" => "first-slice",
        "standstill_ns" => "standstill",
        "standstill_poll_ns" => "standstill-poll",
        "timeout_growth_permille" => "timeout-growth-permille",
        "timeout_cap_ns" => "timeout-cap",
        "slice_interval_ns" => "slice-interval",
        "max_slices" => "max-slices",
        other => other,
    };
    let time = |nanos| humantime::format_duration(Duration::from_nanos(nanos));
    match *error {
        ParamsError::TimeoutTooShort { timeout_ns, delta_ns } => {
            let least = delta_ns.saturating_mul(3);
            let (timeout, least) = (time(timeout_ns), time(least));
            format!("timeout is {timeout}, but must be above three times delta, {least}")
        }
        ParamsError::OutOfRange { name: field, value, min, max } if field.ends_with("_ns") => {
            let (value, min, max) = (time(value), time(min), time(max));
            format!("{} is {value}, but must be between {min} and {max}", name(field))
        }
        ParamsError::OutOfRange { name: field, value, min, max } => {
            format!("{} is {value}, but must be between {min} and {max}", name(field))
        }
        ParamsError::Epoch(slots) => {
            format!("epoch-slots is {slots}, but must be a positive multiple of 4")
        }
    }
}

impl Figures {
    /// Whether a cluster can have these.
    ///
    /// # Errors
    /// [`GenesisFileError::Figure`].
    pub fn check(&self) -> Result<(), GenesisFileError> {
        self.params().validate().map_err(|error| GenesisFileError::Figure(told(&error)))
    }

    /// As the protocol wants them.
    pub fn params(&self) -> Params {
        Params {
            delta_ns: self.delta.as_nanos(),
            delta_block_ns: self.block_time.as_nanos(),
            delta_timeout_ns: self.timeout.as_nanos(),
            delta_first_ns: self.first_slice.as_nanos(),
            standstill_ns: self.standstill.as_nanos(),
            standstill_poll_ns: self.standstill_poll.as_nanos(),
            timeout_growth_permille: self.timeout_growth_permille,
            timeout_cap_ns: self.timeout_cap.as_nanos(),
            slice_interval_ns: self.slice_interval.as_nanos(),
            max_slices: self.max_slices,
            epoch_slots: self.epoch_slots,
        }
    }
}

impl Member {
    /// A validator with its address.
    pub fn new(validator: &Validator, address: SocketAddr) -> Member {
        Member {
            stake: validator.stake,
            address,
            vote_key: Hex(validator.vote_key.0),
            possession: Hex(*validator.possession.bytes()),
            slice_key: Hex(validator.slice_key.0),
            datagram_key: Hex(validator.mac_key.0),
        }
    }

    fn validator(&self) -> Validator {
        Validator {
            stake: self.stake,
            vote_key: bls::PublicKeyBytes(self.vote_key.0),
            possession: bls::Signature::from_bytes(self.possession.0),
            slice_key: ed25519::PublicKeyBytes(self.slice_key.0),
            mac_key: mac::PublicKey(self.datagram_key.0),
        }
    }
}

impl GenesisFile {
    /// A new cluster that starts `start` after 1970, with the id of its content.
    ///
    /// # Errors
    /// [`GenesisFileError::Content`].
    pub fn create(
        figures: Figures,
        start: Duration,
        validators: Vec<Member>,
    ) -> Result<GenesisFile, GenesisFileError> {
        figures.check()?;
        // Whole seconds, so that the text says exactly what is hashed.
        let start = humantime::format_rfc3339(UNIX_EPOCH + Duration::from_secs(start.as_secs()));
        let mut file = GenesisFile {
            cluster: Hex([0; 32]),
            start: start.to_string(),
            params: figures,
            validators,
        };
        let genesis = file.genesis()?;
        file.cluster = Hex(genesis.digest().0);
        Committee::new(&genesis)?;
        Ok(file)
    }

    /// Reads the file, checks its id, every figure, every key and every proof of possession.
    ///
    /// # Errors
    /// See [`GenesisFileError`].
    pub fn load(path: &Path) -> Result<(GenesisFile, Committee), GenesisFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| GenesisFileError::Read { path: path.to_owned(), error })?;
        let file: GenesisFile = toml::from_str(&text).map_err(|error| {
            GenesisFileError::Syntax { path: path.to_owned(), error: Box::new(error) }
        })?;
        let committee = file.committee()?;
        Ok((file, committee))
    }

    /// The checked validator set.
    ///
    /// # Errors
    /// [`GenesisFileError::Start`], [`GenesisFileError::Id`], [`GenesisFileError::Content`].
    pub fn committee(&self) -> Result<Committee, GenesisFileError> {
        self.params.check()?;
        let genesis = self.genesis()?;
        let (stated, actual) = (genesis.cluster, genesis.digest());
        if stated != actual {
            return Err(GenesisFileError::Id { stated, actual });
        }
        Ok(Committee::new(&genesis)?)
    }

    /// Where each validator listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.validators.iter().map(|validator| validator.address).collect()
    }

    /// The file as text.
    pub fn text(&self) -> String {
        toml::to_string(self).expect("a genesis file is plain data")
    }

    fn genesis(&self) -> Result<Genesis, GenesisFileError> {
        let time: SystemTime = humantime::parse_rfc3339(&self.start)
            .map_err(|_| GenesisFileError::Start(self.start.clone()))?;
        let start = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Ok(Genesis {
            cluster: Hash(self.cluster.0),
            start_unix_ns: u64::try_from(start).unwrap_or(u64::MAX),
            scheme: Scheme::Bls,
            params: self.params.params(),
            validators: self.validators.iter().map(Member::validator).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::keys::Keys;

    fn file() -> GenesisFile {
        let member = |i: u8| {
            let validator = Keys::from_seed(Scheme::Bls, &[i; 32]).validator(u64::from(i));
            Member::new(&validator, SocketAddr::from(([127, 0, 0, 1], 8_000 + u16::from(i))))
        };
        let start = Duration::from_secs(1_790_000_000);
        GenesisFile::create(Figures::default(), start, (1..=3).map(member).collect()).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("genesis.toml");
        std::fs::write(&path, file().text()).unwrap();
        let (read, committee) = GenesisFile::load(&path).unwrap();
        assert_eq!(read, file());
        assert_eq!((committee.len(), committee.cluster().0), (3, file().cluster.0));
        assert_eq!(committee.params(), &Params::default());
    }

    #[test]
    fn a_changed_stake_is_another_cluster_and_a_changed_address_is_not() {
        let mut moved = file();
        moved.validators[0].address.set_port(1);
        moved.committee().unwrap();
        let mut richer = file();
        richer.validators[0].stake += 1;
        assert!(matches!(richer.committee(), Err(GenesisFileError::Id { .. })));
    }

    #[test]
    fn figures_out_of_range_are_told_in_the_words_of_the_file() {
        let refused = |text: &str| {
            let figures: Figures = toml::from_str(text).unwrap();
            figures.check().unwrap_err().to_string()
        };
        let figures = [
            "delta = \"1s\"",
            "block-time = \"2h\"",
            "timeout-growth-permille = 1001",
            "epoch-slots = 3",
        ];
        let sentences: Vec<_> = figures.into_iter().map(refused).collect();
        insta::assert_snapshot!(sentences.join("\n"), @r"
        timeout is 800ms, but must be above three times delta, 3s
        block-time is 2h, but must be between 1ms and 1h
        timeout-growth-permille is 1001, but must be between 0 and 1000
        epoch-slots is 3, but must be a positive multiple of 4
        ");
        // Every field has a name that the file knows.
        let names = toml::to_string(&Figures::default()).unwrap();
        let fields = "delta_ns delta_block_ns delta_timeout_ns delta_first_ns standstill_ns \
                      standstill_poll_ns timeout_growth_permille timeout_cap_ns slice_interval_ns \
                      max_slices";
        for name in fields.split(' ') {
            let error = ParamsError::OutOfRange { name, value: 0, min: 0, max: 0 };
            let sentence = told(&error);
            let word = sentence.split(' ').next().unwrap();
            assert!(names.lines().any(|line| line.starts_with(&format!("{word} ="))), "{word}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_and_figures_have_defaults() {
        let text = file().text();
        let unknown = text.replace("[params]", "[params]\nquorum = 51");
        assert!(
            toml::from_str::<GenesisFile>(&unknown).unwrap_err().to_string().contains("quorum")
        );
        let figures: Figures = toml::from_str("delta = \"100ms\"").unwrap();
        assert_eq!(figures.params(), Params { delta_ns: 100_000_000, ..Params::default() });
    }
}
