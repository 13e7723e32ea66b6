//! The transport of [`super::rpc`]: a bound socket, optionally TLS, and a clean stop.

use super::config::Tls;
use super::runtime::program;
use crate::protocol::types::NodeId;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum_server::tls_rustls::RustlsConfig;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// How long requests under way may take once the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub SocketAddr);

impl Connected<SocketAddr> for Client {
    fn connect_info(address: SocketAddr) -> Client {
        Client(address)
    }
}

/// A running server.
#[derive(Debug)]
pub struct HttpServer {
    handle: axum_server::Handle<SocketAddr>,
    address: SocketAddr,
}

/// Reads certificate chain and key.
///
/// # Errors
/// If they cannot be read or do not fit each other.
pub async fn load_tls(files: &Tls) -> io::Result<RustlsConfig> {
    // Fails if there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    RustlsConfig::from_pem_file(&files.certificate, &files.key).await.map_err(|error| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        io::Error::new(error.kind(), format!("TLS files {certificate} and {key}: {error}"))
    })
}

/// Serves for node `me` until [`HttpServer::stop`], on the current runtime.
///
/// # Errors
/// If the socket or the TLS files cannot be used.
pub async fn serve(
    me: NodeId,
    listener: TcpListener,
    router: Router,
    tls: Option<&Tls>,
) -> io::Result<HttpServer> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let handle = axum_server::Handle::new();
    let service = router.into_make_service_with_connect_info::<Client>();
    let failed = move |result: io::Result<()>| {
        if let Err(error) = result {
            tracing::error!(node = me.0, %error, "the HTTP server ended");
        }
    };
    match tls {
        Some(files) => {
            let config = load_tls(files).await?;
            let server = axum_server::from_tcp_rustls(listener, config)?.handle(handle.clone());
            program::spawn(async move { failed(server.serve(service).await) });
        }
        None => {
            let server = axum_server::from_tcp(listener)?.handle(handle.clone());
            program::spawn(async move { failed(server.serve(service).await) });
        }
    }
    Ok(HttpServer { handle, address })
}

impl HttpServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, and ends those under way.
    pub fn stop(&self) {
        self.handle.graceful_shutdown(Some(GRACE));
    }
}
