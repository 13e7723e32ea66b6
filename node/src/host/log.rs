//! Logs: what an operator should read, at a level that one can live with.
//!
//! - *error*: somebody must act now. *warn*: somebody should know. *info*: starts, stops, changes
//!   of mode, and one line of status every half minute. *debug*: every slot. *trace*: every event.
//! - Each line has the fields `node` and, where there is one, `slot`.
//! - Logs go to standard error; standard output is for what a command was asked for.

use super::config::{Log, LogFormat};
use super::view::News;
use crate::protocol::event::{Event, Standing};
use crate::protocol::types::NodeId;
use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::EnvFilter;

/// Starts logging in this process.
///
/// # Errors
/// If the level cannot be understood.
pub fn start(config: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|error| format!("log.level `{}`: {error}", config.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colored = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let started = match config.format {
        LogFormat::Human => builder.with_target(false).with_ansi(colored).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("log: {error}"))
}

/// Says what is worth saying of an event.
pub fn observe(me: NodeId, event: &Event, news: Option<News>) {
    let node = me.0;
    match event {
        Event::Reloaded { votes, tip, highest } => {
            let (slot, votes, finalized) = (tip.slot.0, votes.len(), highest.slot.0);
            info!(node, slot, finalized, votes, "the store is loaded");
        }
        Event::Standing(Standing::Voting) => info!(node, "this node votes"),
        Event::Standing(Standing::Observing) => {
            warn!(node, "this node observes: it follows and serves, but does not vote");
        }
        Event::Contradiction(slot) => {
            error!(node, slot = slot.0, "finality contradicts itself: 20 % or more is byzantine");
        }
        Event::Offence(offender, slot, offence) => {
            warn!(node, slot = slot.0, offender = offender.0, ?offence, "a validator misbehaves");
        }
        Event::Equivocation(slot) => {
            warn!(node, slot = slot.0, "the leader of the slot contradicts itself");
        }
        Event::BlockInvalid(slot) => {
            warn!(node, slot = slot.0, "the leader of the slot made an invalid block");
        }
        Event::Standstill { highest, certificates, votes } => {
            let (slot, certificates, votes) = (highest.0, certificates.len(), votes.len());
            warn!(
                node,
                slot, certificates, votes, "finality stands still; saying everything again"
            );
        }
        Event::CatchUp(slot) => debug!(node, slot = slot.0, "asking for proofs"),
        Event::RepairStarted(block) => debug!(node, slot = block.slot.0, "fetching a block"),
        Event::Delivered { block, transactions, .. } => {
            let (mode, ms) = match news {
                Some(News::Delivered(Some(finality))) => {
                    let after = finality.after_block.map(|time| time.as_millis() as u64);
                    (super::metrics::mode_name(finality.mode), after)
                }
                _ => ("unknown", None),
            };
            let transactions = transactions.len();
            debug!(node, slot = block.slot.0, %block, mode, ms, transactions, "finalized");
        }
        Event::Timeout(slot) => debug!(node, slot = slot.0, "timeout"),
        event => trace!(node, ?event),
    }
}
