//! Asking a running node over HTTP.

use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How a node is reached.
#[derive(clap::Args)]
pub struct Access {
    /// Certificate (PEM) to trust, for a node with TLS and a certificate of one's own
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Access {
    /// Asks for `url`; the answer's body, whatever its length.
    pub fn get(&self, url: &str) -> Result<ureq::Body> {
        let scheme = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
        ensure!(scheme, "{url}: not a URL such as http://127.0.0.1:8899");
        let mut config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .http_status_as_error(false);
        if let Some(path) = &self.ca {
            let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
            let certificate = Certificate::from_pem(&pem)?;
            let roots = RootCerts::new_with_certs(&[certificate]);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let agent = ureq::Agent::new_with_config(config.build());
        let mut answer = agent.get(url).call().with_context(|| url.to_owned())?;
        if !answer.status().is_success() {
            let text = answer.body_mut().read_to_string().unwrap_or_default();
            bail!("{url}: {} {}", answer.status(), text.trim());
        }
        Ok(answer.into_body())
    }
}
