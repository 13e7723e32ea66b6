//! A whole node from its files: what `run` starts, `check` checks, and `dev` starts four of.

use super::config::{Config, ConfigError};
use super::data::{self, DataError};
use super::genesis::{GenesisFile, GenesisFileError};
use super::http::{self, HttpServer};
use super::keys::Keys;
use super::keys::file::{self as key_file, KeyFileError};
use super::log;
use super::metrics::Metrics;
use super::rpc::{self, Rpc, limit::Limiter};
use super::runtime::{self, Handle, Remote, Setup, StartError, program};
use super::store::{Identity, Store, StoreError};
use super::view::{News, Status, View};
use crate::protocol::committee::Committee;
use crate::protocol::event::Event;
use crate::protocol::types::{NodeId, Slot, Time};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often an observer asks whether it may vote again some day.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis file.
    #[error(transparent)]
    Genesis(#[from] GenesisFileError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The key is nobody's.
    #[error(
        "the key in {} belongs to no validator of the genesis file {}: one of the two is the wrong \
         file",
        key.display(), genesis.display()
    )]
    Stranger {
        /// The key file.
        key: PathBuf,
        /// The genesis file.
        genesis: PathBuf,
    },
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A socket.
    #[error("{what} {address}: {error}")]
    Socket {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The HTTP server.
    #[error("http: {0}")]
    Http(#[source] std::io::Error),
    /// The rest.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Everything that can be read and checked before anything starts.
#[derive(Debug)]
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// The genesis file.
    pub genesis: GenesisFile,
    /// The validator set.
    pub committee: Arc<Committee>,
    /// The own index.
    pub me: NodeId,
    keys: Keys,
}

/// The two sockets of a node.
#[derive(Debug)]
pub struct Sockets {
    /// Datagrams of the validators.
    pub udp: UdpSocket,
    /// HTTP.
    pub http: TcpListener,
}

/// Hears everything that a node says, after metrics and logs.
pub type Listener = Box<dyn FnMut(Time, &Event, Option<News>) + Send>;

/// A running node.
pub struct Node {
    handle: Handle,
    http: HttpServer,
    view: Arc<Mutex<View>>,
}

impl Prepared {
    /// Reads configuration, genesis file and key, and finds out who this node is.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub fn load(config: Config) -> Result<Prepared, NodeError> {
        let (genesis, committee) = GenesisFile::load(&config.genesis)?;
        let keys = key_file::read(&config.key)?;
        let me = genesis.validators.iter().position(|member| {
            let own = keys.validator(member.stake);
            super::genesis::Member::new(&own, member.address) == *member
        });
        let me = me.and_then(|index| u16::try_from(index).ok()).map(NodeId);
        let stranger =
            || NodeError::Stranger { key: config.key.clone(), genesis: config.genesis.clone() };
        let me = me.ok_or_else(stranger)?;
        Ok(Prepared { genesis, committee: Arc::new(committee), me, keys, config })
    }

    /// Whose store this node opens.
    pub fn identity(&self) -> Identity {
        Identity { cluster: self.committee.cluster(), node: self.me }
    }

    /// Binds both sockets.
    ///
    /// # Errors
    /// [`NodeError::Socket`].
    pub fn bind(&self) -> Result<Sockets, NodeError> {
        let own = self.genesis.validators[self.me.index()].address;
        let udp = self.config.network.listen.unwrap_or(own);
        let http = self.config.http.listen;
        let failed = |what, address| move |error| NodeError::Socket { what, address, error };
        Ok(Sockets {
            udp: UdpSocket::bind(udp).map_err(failed("cannot listen for datagrams on", udp))?,
            http: TcpListener::bind(http).map_err(failed("cannot listen for HTTP on", http))?,
        })
    }

    /// Opens the store and starts the node on the current runtime.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn start(self, sockets: Sockets, mut listener: Listener) -> Result<Node, NodeError> {
        let (identity, me) = (self.identity(), self.me);
        let Config { http: config, data, storage, .. } = &self.config;
        let (store, restored) = data::open(data, &identity, storage.cache.0)?;
        let fault = store.report().log;
        if let Some(fault) = fault {
            tracing::warn!(node = me.0, ?fault, "the vote log is not whole");
        }
        let now = runtime::monotonic();
        let view = View::new(self.committee.clone(), me, &restored, now);
        let view = Arc::new(Mutex::new(view));
        let metrics = Arc::new(Metrics::default());
        let (watching, counting) = (view.clone(), metrics.clone());
        let observer = move |event: &Event| {
            let now = runtime::monotonic();
            let news = rpc::lock(&watching).observe(now, event);
            counting.observe(event, news);
            log::observe(me, event, news);
            listener(now, event, news);
        };
        let timing = metrics.clone();
        let setup = Setup {
            committee: self.committee.clone(),
            me,
            keys: self.keys,
            socket: sockets.udp,
            peers: self.genesis.addresses(),
            store,
            restored,
            counters: metrics.counters().clone(),
            observer: Box::new(observer),
            committed: Box::new(move |took| timing.committed(took)),
            // Execution is not part of this program; clients read blocks from the store.
            deliver: Box::new(|_, _| ()),
        };
        let handle = runtime::start(setup).await?;
        if fault.is_some() {
            program::spawn(allow_anew(me, view.clone(), handle.remote().clone()));
        }
        let (each, total) = (config.transactions_per_second, config.transactions_per_second_total);
        let limiter = Mutex::new(Limiter::new(each, total, now));
        let rpc = Rpc { view: view.clone(), metrics, remote: handle.remote().clone(), limiter };
        let router = rpc::router(Arc::new(rpc));
        let served = http::serve(me, sockets.http, router, config.tls.as_ref()).await;
        match served {
            Ok(http) => Ok(Node { handle, http, view }),
            Err(error) => {
                handle.stop().await;
                Err(NodeError::Http(error))
            }
        }
    }
}

/// Has the store note from where on an observer may vote again, as soon as that is known, and raise
/// it when the node finds out that it has been behind.
async fn allow_anew(me: NodeId, view: Arc<Mutex<View>>, remote: Remote) {
    let mut told = (None, None);
    while !remote.has_stopped() {
        program::sleep(LOOK_INTERVAL).await;
        let look = |view: &View| (view.too_early_below(), view.safe_to_vote_from());
        let known = look(&rpc::lock(&view));
        if known == told {
            continue;
        }
        let note = move |store: &mut Store| -> Result<Option<Slot>, StoreError> {
            let (early, safe) = known;
            let raised = early.map(|slot| store.begin_anew_not_before(slot)).transpose()?;
            let noted = safe.map(|slot| store.begin_anew_at(slot)).transpose()?;
            Ok(noted.or(raised).flatten())
        };
        match remote.read(note).await {
            Some(Ok(noted)) => {
                told = known;
                let before = rpc::lock(&view).votes_again_at();
                if let Some(Slot(slot)) = noted
                    && noted != before
                {
                    let node = me.0;
                    tracing::warn!(node, slot, "started again above this height, this node votes");
                    rpc::lock(&view).set_votes_again_at(noted);
                }
            }
            Some(Err(error)) => {
                tracing::error!(node = me.0, %error, "cannot be noted");
                return;
            }
            None => return,
        }
    }
}

impl Node {
    /// Where HTTP is served.
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// For whoever submits and reads.
    pub fn remote(&self) -> &Remote {
        self.handle.remote()
    }

    /// What it says of itself.
    pub fn status(&self) -> Status {
        rpc::lock(&self.view).status(runtime::monotonic())
    }

    /// The view itself.
    pub fn view(&self) -> &Arc<Mutex<View>> {
        &self.view
    }

    /// Stops the node and waits until its database is closed.
    pub async fn stop(self) {
        self.http.stop();
        self.handle.stop().await;
    }
}
