//! `keygen` and `genesis`: the files that a cluster starts from.
//!
//! Either one person makes everything (`genesis --nodes`), for a cluster of their own. Or each
//! validator makes its own key (`keygen`), gives away `validator.toml`, and somebody puts those
//! together (`genesis --validator`); secrets never travel.

use alpenglow_node::host::config::{Config, Http};
use alpenglow_node::host::data;
use alpenglow_node::host::genesis::{Figures, GenesisFile, Member};
use alpenglow_node::host::keys::{Keys, file as key_file};
use alpenglow_node::host::runtime;
use alpenglow_node::host::units::Span;
use alpenglow_node::protocol::stake::Stakes;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub const GENESIS: &str = "genesis.toml";
pub const CONFIG: &str = "node.toml";
const KEY: &str = "node.key";
const DATA: &str = "data";
const VALIDATOR: &str = "validator.toml";
const DEFAULT_STAKE: u64 = 1_000;

#[derive(clap::Args)]
pub struct KeygenArgs {
    /// A new directory for key, configuration and data
    #[arg(long)]
    out: PathBuf,
    /// Where the node will be reached by others (UDP)
    #[arg(long)]
    address: SocketAddr,
}

#[derive(clap::Args)]
pub struct GenesisArgs {
    /// Make so many validators with fresh keys, and a directory for each
    #[arg(long, conflicts_with = "validator", required_unless_present = "validator")]
    nodes: Option<u16>,
    /// A `validator.toml` that `keygen` made; repeat it, in the order of the validators
    #[arg(long)]
    validator: Vec<PathBuf>,
    /// Stakes by validator ("50,30,20"), or one for all
    #[arg(long, value_delimiter = ',', default_values_t = [DEFAULT_STAKE])]
    stake: Vec<u64>,
    /// A new directory
    #[arg(long)]
    out: PathBuf,
    /// With --nodes: address of the first validator; the others follow on the next ports
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)))]
    address: SocketAddr,
    /// With --nodes: HTTP port of the first node, on loopback
    #[arg(long, default_value_t = Http::default().listen.port())]
    http_port: u16,
    /// Nobody starts before so much time from now
    #[arg(long, default_value = "2s")]
    start_in: Span,
    /// A genesis parameter, such as delta=100ms; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// One node's files for a cluster that one person makes.
pub struct Place {
    /// Where others reach it.
    pub address: SocketAddr,
    /// Where it serves HTTP.
    pub http: SocketAddr,
    /// Its stake.
    pub stake: u64,
}

fn new_dir(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("cannot make the directory {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(data::write_new(path, text.as_bytes(), 0o644)?)
}

/// Key, data directory and configuration in `dir`.
fn make_node(dir: &Path, genesis: &Path, http: Option<SocketAddr>) -> Result<Keys> {
    new_dir(dir)?;
    let keys = key_file::create(&dir.join(KEY))?;
    data::create(&dir.join(DATA))?;
    let mut config = Config::new(genesis, KEY.as_ref(), DATA.as_ref());
    if let Some(http) = http {
        config.http.listen = http;
    }
    let head = "# Every field, its meaning and its default: docs/operating.md\n";
    write(&dir.join(CONFIG), &format!("{head}{}", config.text()))?;
    Ok(keys)
}

pub fn keygen(args: &KeygenArgs) -> Result<()> {
    let keys = make_node(&args.out, GENESIS.as_ref(), None)?;
    let member = Member::new(&keys.validator(0), args.address);
    let text = toml::to_string(&member).expect("plain data");
    write(&args.out.join(VALIDATOR), &text)?;
    say!("{}", args.out.join(KEY).display());
    eprintln!(
        "Give {} to whoever makes the genesis file, and put that file beside it as {GENESIS}. \
         Keep {KEY} secret and in one place.",
        args.out.join(VALIDATOR).display()
    );
    Ok(())
}

/// Writes a whole cluster into the new directory `out`: `genesis.toml`, `node-0/`, `node-1/`, ...
pub fn make_cluster(
    out: &Path,
    figures: Figures,
    start: std::time::Duration,
    places: &[Place],
) -> Result<GenesisFile> {
    new_dir(out)?;
    let mut members = Vec::new();
    for (node, place) in places.iter().enumerate() {
        let genesis = Path::new("..").join(GENESIS);
        let keys = make_node(&node_dir(out, node), &genesis, Some(place.http))?;
        members.push(Member::new(&keys.validator(place.stake), place.address));
    }
    let file = GenesisFile::create(figures, start, members)?;
    write(&out.join(GENESIS), &file.text())?;
    Ok(file)
}

/// The directory of a node in a cluster that one person made.
pub fn node_dir(out: &Path, node: usize) -> PathBuf {
    out.join(format!("node-{node}"))
}

pub fn genesis(args: &GenesisArgs) -> Result<()> {
    let figures = figures(&args.set)?;
    let start = runtime::unix_time() + args.start_in.0;
    let count = args.nodes.map_or(args.validator.len(), usize::from);
    ensure!(count > 0, "a cluster needs a validator");
    let stakes = match &args.stake[..] {
        [one] => vec![*one; count],
        all if all.len() == count => all.to_vec(),
        all => bail!("{} stakes for {count} validators", all.len()),
    };
    // Before anything is made: whoever corrects a mistake wants to use the same directory.
    figures.check()?;
    Stakes::new(stakes.clone())?;
    let file = match args.nodes {
        Some(_) => {
            let port = |first: u16, node: usize| {
                let port = usize::from(first) + node;
                u16::try_from(port).with_context(|| format!("port {port} does not exist"))
            };
            let places = (0..count).map(|node| {
                let address = (args.address.ip(), port(args.address.port(), node)?).into();
                let local = IpAddr::from(Ipv4Addr::LOCALHOST);
                let http = (local, port(args.http_port, node)?).into();
                Ok(Place { address, http, stake: stakes[node] })
            });
            let places = places.collect::<Result<Vec<_>>>()?;
            make_cluster(&args.out, figures, start, &places)?
        }
        None => {
            let members = args.validator.iter().zip(stakes).map(|(path, stake)| {
                let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
                let member: Member =
                    toml::from_str(&text).with_context(|| path.display().to_string())?;
                Ok(Member { stake, ..member })
            });
            let file = GenesisFile::create(figures, start, members.collect::<Result<_>>()?)?;
            new_dir(&args.out)?;
            write(&args.out.join(GENESIS), &file.text())?;
            file
        }
    };
    say!("{}", args.out.join(GENESIS).display());
    eprintln!(
        "{count} validators, cluster {}, start {}. Give every node the same file.",
        hex::encode(&file.cluster.0[..4]),
        file.start
    );
    Ok(())
}

/// The default figures with changes: each value is TOML, or else a string.
pub fn figures(changes: &[String]) -> Result<Figures> {
    let mut table = toml::Table::new();
    for change in changes {
        let (name, value) = change.split_once('=').with_context(|| format!("{change}: no `=`"))?;
        let parsed = format!("value = {value}").parse::<toml::Table>().ok();
        let value = parsed.and_then(|mut table| table.remove("value"));
        let text = || change.split_once('=').map_or("", |(_, text)| text).to_owned();
        table.insert(name.to_owned(), value.unwrap_or_else(|| toml::Value::String(text())));
    }
    let figures = table.try_into::<Figures>();
    figures.map_err(|error| anyhow!("--set: {}", error.to_string().trim_end().replace('\n', " ")))
}
