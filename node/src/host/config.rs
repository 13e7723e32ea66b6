//! The configuration of one node: a TOML file in which every field but three has a default.
//!
//! Nothing that the cluster must agree on is here: that is the genesis file's. A key that this
//! version does not know is an error, because the alternative is a node that silently does not do
//! what its file says.

use super::units::Size;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file. Paths are relative to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The genesis file, the same at every node.
    pub genesis: PathBuf,
    /// The secret key. The validator that this node is follows from it.
    pub key: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// Datagrams between validators.
    #[serde(default)]
    pub network: Network,
    /// HTTP for clients and operators.
    #[serde(default)]
    pub http: Http,
    /// The database.
    #[serde(default)]
    pub storage: Storage,
    /// What is said on standard error.
    #[serde(default)]
    pub log: Log,
}

/// Datagrams between validators.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Network {
    /// Where to listen (UDP). Default: the own address in the genesis file. Differs from it behind
    /// a translated address, or to listen on all interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

/// HTTP for clients and operators.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Http {
    /// Where to listen (TCP).
    pub listen: SocketAddr,
    /// Certificate chain and key (PEM). Without it, plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Transactions a second that one client address may submit; bursts up to two seconds' worth.
    pub transactions_per_second: u32,
    /// The same for all clients together.
    pub transactions_per_second_total: u32,
}

/// Files for TLS.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// Certificate chain, own certificate first (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
}

/// The database.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Storage {
    /// Memory for pages of the database.
    pub cache: Size,
}

/// What is said on standard error.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// error, warn, info, debug or trace; or directives such as "info,alpenglow_node=debug".
    pub level: String,
}

/// For whom logs are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One readable line each.
    Human,
    /// One JSON object each.
    Json,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 8899)),
            tls: None,
            transactions_per_second: 500,
            transactions_per_second_total: 2_000,
        }
    }
}

impl Default for Storage {
    fn default() -> Storage {
        Storage { cache: Size(64 << 20) }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Human, level: "info".to_owned() }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not a configuration.
    #[error("{}: {}", path.display(), error.to_string().trim_end())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// A value cannot be used.
    #[error("{name} is {value}, but must be at least {min}")]
    TooSmall {
        /// The key.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The smallest legal value.
        min: u64,
    },
}

/// Below this, blocks of several hundred KiB are written twice.
const MIN_CACHE_BYTES: usize = 2 << 20;

impl Config {
    /// A configuration with defaults.
    pub fn new(genesis: &Path, key: &Path, data: &Path) -> Config {
        Config {
            genesis: genesis.to_owned(),
            key: key.to_owned(),
            data: data.to_owned(),
            network: Network::default(),
            http: Http::default(),
            storage: Storage::default(),
            log: Log::default(),
        }
    }

    /// Reads and checks the file; its paths become relative to the working directory.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        let mut config: Config = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        config.check()?;
        let base = path.parent().unwrap_or(Path::new(""));
        let tls = config.http.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        let paths = [&mut config.genesis, &mut config.key, &mut config.data];
        for path in paths.into_iter().chain(tls) {
            *path = base.join(&*path);
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let at_least = |name, value: u64, min: u64| {
            if value < min { Err(ConfigError::TooSmall { name, value, min }) } else { Ok(()) }
        };
        let cache = self.storage.cache.0 as u64;
        at_least("storage.cache (bytes)", cache, MIN_CACHE_BYTES as u64)?;
        let http = &self.http;
        at_least("http.transactions-per-second", http.transactions_per_second.into(), 1)?;
        let total = http.transactions_per_second_total.into();
        at_least("http.transactions-per-second-total", total, 1)
    }

    /// The file as text.
    pub fn text(&self) -> String {
        toml::to_string(self).expect("a configuration is plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = "genesis = \"g.toml\"\nkey = \"node.key\"\ndata = \"data\"\n";

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    #[test]
    fn three_lines_are_enough_and_paths_are_relative_to_the_file() {
        let config = load(SHORT).unwrap();
        assert!(config.key.is_absolute() && config.key.ends_with("node.key"));
        assert!(config.http.listen.ip().is_loopback());
        assert_eq!(config.storage, Storage::default());
    }

    #[test]
    fn what_is_written_is_read() {
        let mut config = Config::new("/g".as_ref(), "/k".as_ref(), "/d".as_ref());
        config.network.listen = Some(SocketAddr::from(([0, 0, 0, 0], 8001)));
        config.http.tls = Some(Tls { certificate: "/c".into(), key: "/p".into() });
        config.log = Log { format: LogFormat::Json, level: "warn".into() };
        assert_eq!(load(&config.text()).unwrap(), config, "{}", config.text());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("[http]\nport = 1", "port"),
            ("[storage]\ncache = 64", "unit"),
            ("[storage]\ncache = \"1MiB\"", "storage.cache"),
            ("[http]\ntransactions-per-second = 0", "at least 1"),
            ("[consensus]\nquorum = \"51%\"", "consensus"),
            ("[log]\nformat = \"xml\"", "xml"),
        ] {
            let error = load(&format!("{SHORT}{text}")).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
